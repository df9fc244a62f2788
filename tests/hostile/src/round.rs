//! One round of a case: its route is written, run, judged, and run again with the next batch.

use crate::case::{Case, Expect, Scene};
use crate::neighbour::explained;
use crate::site::Site;
use anyhow::{Context as _, Result, bail, ensure};
use crossdock::{Error, Host, RunReport, Status};
use crossdock_devkit::HostileServer;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a run of a case may take. Those that compute until they are stopped take a second or two.
const RUN_TIME_MAX: Duration = Duration::from_secs(30);

/// Writes the route of a case and its records.
///
/// # Errors
/// The disk refuses, or what the case does before does not go well.
pub(crate) fn prepare(
    host: &Arc<Host>,
    project: &Path,
    server: &Arc<HostileServer>,
    case: &Case,
    round: usize,
) -> Result<Site> {
    let site = Site::make(host, project, server, format!("{}-{round}", case.name))?;
    site.write("in/1.ndjson", &(site.filled(&case.scene.lines.join("\n")) + "\n"))?;
    std::fs::write(site.route(), site.filled(&route(site.name(), &case.scene)))?;
    if let Some(before) = &case.scene.before {
        before(&site).context("preparing it")?;
    }
    Ok(site)
}

/// Runs the route once.
///
/// # Errors
/// It does not end, or nothing can be learned of what became of its records.
pub(crate) async fn act(site: &mut Site, case: &Case) -> Result<()> {
    if let Some((from, to)) = &case.scene.twin {
        let twin = format!("{}-twin", site.name());
        let route =
            std::fs::read_to_string(site.route())?.replace(&format!("\"{}\"", site.name()), &format!("\"{twin}\""));
        let route = route.replace("kept.ndjson", "twin.ndjson").replace(from, to);
        let path = site.project().join("routes").join(format!("{twin}.toml"));
        std::fs::write(&path, route)?;
        let report = timeout(RUN_TIME_MAX, run(site.host(), &path)).await.context("the twin did not end")?;
        report.map_err(explained).context("the twin")?;
    }
    if let Some(between) = &case.scene.between {
        between(site)?;
    }
    let run = timeout(RUN_TIME_MAX, run(site.host(), &site.route())).await;
    site.run = Some(run.with_context(|| format!("the run did not end within {} s", RUN_TIME_MAX.as_secs()))?);
    if site.project().join(".crossdock/ledger.db").exists() {
        let reader = site.host().reports().map_err(explained)?;
        site.records = reader.all_records(site.filter()?).collect::<Result<_, _>>()?;
    }
    Ok(())
}

/// Puts the next batch of the same route through.
///
/// # Errors
/// It does not go through.
pub(crate) async fn next(site: &Site, case: &Case) -> Result<()> {
    let mut route = std::fs::read_to_string(site.route())?;
    for (from, to) in &case.next.edits {
        let (from, to) = (site.filled(from), site.filled(to));
        ensure!(route.contains(&from), "{from:?} does not stand in the route");
        route = route.replace(&from, &to);
    }
    std::fs::write(site.route(), route)?;
    if let Some(within) = case.next.removed {
        std::fs::remove_file(site.path(within)).with_context(|| format!("taking {within} away"))?;
    }
    let more: Vec<String> = (101..=104).map(|n| format!("{{\"n\":{n}}}")).collect();
    site.write("in/2.ndjson", &(more.join("\n") + "\n"))?;
    let run = timeout(RUN_TIME_MAX, run(site.host(), &site.route())).await.context("the next run did not end")?;
    let report = run.map_err(explained)?;
    let ok = report.count(Status::Ok);
    ensure!(ok >= case.next.ok, "of the next batch {ok} are ok, not {}: {}", case.next.ok, shown(&report));
    Ok(())
}

/// Whether the run became what it must, and how that was named.
///
/// # Errors
/// It did not.
pub(crate) fn judge(site: &Site, case: &Case) -> Result<String> {
    let run = site.run.as_ref().context("it was not run")?;
    let mut said: Vec<String> = site.records.iter().filter_map(|record| record.message.clone()).collect();
    let named = match (&case.expect, run) {
        (Expect::Refused(code), Err(error)) => {
            said.push(error.to_string());
            said.extend(error.render_mistakes(false));
            let found = codes(&serde_json::to_value(error)?);
            ensure!(found.iter().any(|found| found == code), "refused with {}: {error}", found.join(", "));
            (*code).to_owned()
        }
        (_, Err(error)) => bail!("it was refused: {}: {error}", codes(&serde_json::to_value(error)?).join(", ")),
        (Expect::Refused(_), Ok(report)) => bail!("it was not refused: {}", shown(report)),
        (Expect::Run(code), Ok(report)) => {
            let reason = report.reason.as_ref();
            said.extend(reason.map(|reason| reason.message.clone()));
            let found = reason.map_or("", |reason| reason.code.as_str());
            ensure!(found == *code, "the run does not fail with {code}: {}", shown(report));
            (*code).to_owned()
        }
        (Expect::Records { ok, others }, Ok(report)) => {
            let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
            expected.insert((Status::Ok.to_string(), String::new()), *ok);
            for (count, status, code) in others {
                expected.insert((status.to_string(), (*code).to_owned()), *count);
            }
            expected.retain(|_, count| *count > 0);
            let found = standing(site);
            ensure!(found == expected, "records stand as {found:?}, not {expected:?}: {}", shown(report));
            let codes: Vec<&str> = others.iter().map(|(_, _, code)| *code).filter(|code| !code.is_empty()).collect();
            if codes.is_empty() { "ok".to_owned() } else { codes.join(", ") }
        }
    };
    let said = said.join("\n");
    for words in &case.says {
        ensure!(said.contains(words), "{words:?} is not said, but: {said}");
    }
    for also in &case.also {
        also(site).context("beside it")?;
    }
    Ok(named)
}

/// How many records stand where, and why.
fn standing(site: &Site) -> BTreeMap<(String, String), u64> {
    let mut standing = BTreeMap::new();
    for record in &site.records {
        let code = record.code.clone().unwrap_or_default();
        *standing.entry((record.status.to_string(), code)).or_insert(0) += 1;
    }
    standing
}

async fn run(host: &Host, route: &Path) -> Result<RunReport, Error> {
    host.run(route).await?.finish().await
}

/// The route of a scene, as its file holds it.
fn route(name: &str, scene: &Scene) -> String {
    let usual = "plugin = \"text-source\"\nsettings = { files = \"/in/*.ndjson\", format = \"ndjson\" }\n\
                 grants = { dirs = [{ host = \"$CASE/in\", guest = \"/in\" }] }";
    let source = scene.source.as_deref().unwrap_or(usual);
    let on_error = if scene.head.contains("on_error") { "" } else { "on_error = \"continue\"\n" };
    let batch = if scene.head.contains("batch") { "" } else { "batch = { records = 4 }\n" };
    let mut text = format!("name = \"{name}\"\n{on_error}{batch}{}\n[source]\n{source}\n", scene.head);
    for (at, step) in scene.steps.iter().enumerate() {
        text.push_str(&format!("\n[[step]]\nname = \"step{at}\"\n{step}\n"));
    }
    text + "\n[[step]]\nname = \"keep\"\nplugin = \"file-destination\"\nsettings = { file = \"/out/kept.ndjson\" }\n\
            grants = { dirs = [{ host = \"$CASE/out\", guest = \"/out\", write = true }] }\n"
}

/// Every code that stands in an error and its mistakes.
fn codes(error: &Value) -> Vec<String> {
    match error {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(code) if key == "code" => vec![code.to_owned()],
                _ => codes(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(codes).collect(),
        _ => Vec::new(),
    }
}

fn shown(report: &RunReport) -> String {
    let reason = report.reason.as_ref().map(|reason| format!(", {}: {}", reason.code, reason.message));
    format!("{}{}, {:?}", report.status, reason.unwrap_or_default(), report.counts)
}
