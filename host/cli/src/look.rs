//! Questions that change nothing: routes, connectors, plugins, codes, the ledger's health.

use crate::args::ReleaseArgs;
use crate::fail::Fail;
use crate::json;
use crate::out::Out;
use crate::report;
use crate::resync::connectors as connector_table;
use crate::text::{Cell, clean, clean_lines, count, indent, number, quote};
use crossdock::{Error, ErrorClass, Host, Status, VerifyReport};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

/// The digits of a digest that are shown to people.
const DIGEST_SHOWN: usize = 12;

/// Checks a route.
///
/// # Errors
/// All its mistakes.
pub(crate) async fn check(out: &Out, host: &Host, route: &Path) -> Result<(), Fail> {
    let report = host.check(route).await?;
    if out.json {
        return out.document(&report);
    }
    let hash: String = report.hash.chars().take(DIGEST_SHOWN).collect();
    let mut text = format!("Route {} is fine, version {hash}\n\n", out.paint.bold(&report.route));
    let mut table = out.table(&["step", "plugin", "sha-256", "what it can do"]);
    for place in &report.places {
        let digest: String = place.digest.chars().take(DIGEST_SHOWN).collect();
        table.add(vec![
            Cell::new(place.step.as_str()),
            Cell::new(&place.plugin),
            Cell::new(digest),
            Cell::new(&place.abilities),
        ]);
    }
    text.push_str(&table.render(2));
    let route = quote(&route.display().to_string());
    let _ = writeln!(text, "\n{}", out.paint.bold("Next:"));
    let _ = writeln!(text, "  {}", out.command(&format!("connectors check {route}")));
    let _ = writeln!(text, "  {}", out.command(&format!("run {route}")));
    out.text(&text)
}

/// Asks the connectors of a route. Gives the exit code.
///
/// # Errors
/// When the route has mistakes.
pub(crate) async fn connectors(out: &Out, host: &Host, route: &Path) -> Result<u8, Fail> {
    let reports = host.connectors(route).await?;
    if out.json {
        out.document(&json!({ "connectors": reports }))?;
    } else {
        let mut text = connector_table(out, &reports);
        for failure in reports.iter().filter_map(|report| report.failure.as_ref()) {
            if let Some(detail) = &failure.detail {
                let _ = writeln!(text, "\n  {}", clean(&failure.code));
                text.push_str(&indent(&clean_lines(detail), 4));
            }
        }
        out.text(&text)?;
    }
    let all = reports.iter().all(|report| report.operational);
    Ok(if all { 0 } else { ErrorClass::Environment.exit_code() })
}

/// Shows the page of a code, or all codes.
///
/// # Errors
/// When there is no such code.
pub(crate) fn explain(out: &Out, code: Option<&str>) -> Result<(), Fail> {
    let Some(code) = code else {
        let codes = crate::codes::codes();
        if out.json {
            let all = codes.iter().map(|code| json!({ "code": code.name, "means": heading(code.page) }));
            return out.document(&json!({ "codes": all.collect::<Vec<_>>() }));
        }
        let mut table = out.table(&["code", "means"]);
        for code in &codes {
            table.add(vec![Cell::new(code.name), Cell::new(heading(code.page))]);
        }
        return out.text(&table.render(0));
    };
    match crate::codes::explain(code) {
        Some(found) if out.json => out.document(&json!({ "code": found.name, "page": found.page })),
        Some(found) => out.text(&format!("{}\n", found.page.trim_end())),
        None => Err(unknown_code(code)),
    }
}

fn heading(page: &str) -> &str {
    page.lines().next().unwrap_or_default().trim_start_matches("# ")
}

fn unknown_code(code: &str) -> Fail {
    let codes = crate::codes::codes();
    let near = codes
        .iter()
        .map(|known| (strsim::jaro_winkler(known.name, code), known.name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let fix = match near {
        Some((_, name)) => format!("Did you mean {name}? `crossdock explain` lists all codes of the host."),
        None => "`crossdock explain` lists all codes of the host; those of records' failures that plugins give \
                 stand in the README of the plugin."
            .to_owned(),
    };
    Fail::given(format!("explaining {code}: the host has no such code"), fix)
}

/// Lets a quarantined plugin be used again.
///
/// # Errors
/// When none is quarantined there.
pub(crate) async fn release(out: &Out, host: &Host, args: &ReleaseArgs) -> Result<(), Fail> {
    let ReleaseArgs { route, step, reason } = args;
    host.release_plugin(route, step, reason).await?;
    if out.json {
        return out.document(&json!({ "released": { "route": route, "step": step } }));
    }
    out.text(&format!("The plugin at step {step} of route {route} may be used again.\n"))
}

/// Checks the ledger. Gives the exit code.
///
/// # Errors
/// When there is no ledger, or it cannot be read at all.
pub(crate) fn verify(out: &Out, host: &Host) -> Result<u8, Fail> {
    let report = host.verify()?;
    // Of a ledger that is not whole this may not be to be had: what is wrong in it is said all the same.
    let needs = needs_operator(host).unwrap_or(0);
    if out.json {
        let mut whole = json::verified(&report);
        whole["needs_operator"] = needs.into();
        out.document(&whole)?;
    } else {
        let mut text = verified(out, &report, "ledger");
        if needs > 0 {
            let _ = writeln!(text, "\n{}", out.paint.error("Needs a person"));
            report::calls(out, host, None).iter().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
        out.text(&text)?;
    }
    Ok(if report.is_whole() && needs == 0 { 0 } else { ErrorClass::NeedsOperator.exit_code() })
}

/// How many records only a person can help.
fn needs_operator(host: &Host) -> Result<u64, Fail> {
    let routes = host.reports()?.routes().map_err(Error::from)?;
    let of = |status| routes.iter().map(|route| u64::try_from(route.counts.get(status)).unwrap_or(0)).sum::<u64>();
    Ok(of(Status::RollbackFailed) + of(Status::Indeterminate))
}

/// What was found in a ledger, or in a backup of one.
pub(crate) fn verified(out: &Out, report: &VerifyReport, thing: &str) -> String {
    let paint = out.paint;
    let mut text = String::new();
    if report.is_whole() {
        let _ = writeln!(text, "The {thing} is whole: all checksums are right and all numbers add up.\n");
    } else {
        let n = report.violations.len() as u64 + report.unlisted;
        let _ = writeln!(text, "{}\n", paint.error(&format!("The {thing} is not whole: {}.", count(n, "violation"))));
        let mut table = out.table(&["kind", "what"]);
        for violation in &report.violations {
            table.add(vec![Cell::new(violation.kind), Cell::new(&violation.message)]);
        }
        text.push_str(&table.render(2));
        if report.unlisted > 0 {
            let _ = writeln!(text, "  … and {} more", number(report.unlisted));
        }
        text.push_str("\nStop writing to it, keep a copy as evidence, and restore a backup that is whole.\n\n");
    }
    let lines = [
        ("runs", report.runs),
        ("batches", report.batches),
        ("records with a row of their own", report.records),
        ("records in chunks", report.chunk_records),
        ("events", report.events),
        ("checksums", report.rows),
    ];
    for (what, n) in lines {
        let _ = writeln!(text, "  {:>11}  {what}", number(n));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_lead_to_near_ones() {
        let text = unknown_code("records-non").render(crate::text::Paint::default());
        assert!(text.contains("Did you mean records-none?"), "{text}");
        let text = unknown_code("http-422").render(crate::text::Paint::default());
        assert!(text.contains("README of the plugin"), "{text}");
    }
}
