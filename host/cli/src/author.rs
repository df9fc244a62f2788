//! What authors of plugins do: begin one, build one; and what those who look after the contract do: compare two versions.

use crate::args::{BuildArgs, NewArgs, WitCheckArgs};
use crate::fail::Fail;
use crate::out::Out;
use crate::text::{bytes, clean, clean_lines, quote};
use crossdock::{ErrorClass, Host, PluginReport};
use crossdock_author::{Built, Explained, wit};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

impl Fail {
    /// What the author's tools say.
    pub(crate) fn author(error: &impl Explained) -> Self {
        Self::Said {
            code: Some(error.code()),
            class: error.class(),
            message: error.to_string(),
            fix: error.fix().unwrap_or_default(),
        }
    }
}

/// Lays out a new plugin.
///
/// # Errors
/// The name will not do, there is something of that name, or it cannot be written.
pub(crate) fn new(out: &Out, args: &NewArgs) -> Result<(), Fail> {
    let created = crossdock_author::create(args.role, &args.name, args.language, &args.into);
    let created = created.map_err(|error| Fail::author(&error))?;
    if out.json {
        return out.document(&json!({ "dir": created.dir, "files": created.files, "next": created.next }));
    }
    let dir = created.dir.strip_prefix(".").unwrap_or(&created.dir).display().to_string();
    let mut text = format!("{} is begun: a {} in {}\n\n", out.paint.bold(&args.name), args.role, args.language);
    for file in &created.files {
        let _ = writeln!(text, "  {}", clean(&format!("{dir}/{}", file.display())));
    }
    let _ = writeln!(text, "\n{}\n  cd {}", out.paint.bold("Next:"), quote(&dir));
    for command in &created.next {
        let _ = writeln!(text, "  {command}");
    }
    out.text(&text)
}

/// Builds a plugin, and lets the host say what came of it.
///
/// # Errors
/// When it does not build, or what was built is not a plugin for this host.
pub(crate) async fn build(out: &Out, host: &Host, args: &BuildArgs) -> Result<(), Fail> {
    let built = crossdock_author::build(&args.dir, out.json).map_err(|error| Fail::author(&error))?;
    let report = host.inspect(&built.path).await?;
    let schema =
        crossdock_author::keep_schema(&built, &report.settings_schema).map_err(|error| Fail::author(&error))?;
    for warning in differences(&built, &report) {
        out.note(&format!("{} {}", out.paint_err.bold("warning:"), clean(&warning)));
    }
    if out.json {
        return out.document(&json!({
            "language": built.language.as_str(), "plugin": report, "settings_schema_file": schema,
        }));
    }
    out.text(&page(out, &report, &schema))
}

/// Says whether plugins of one version of the contract go on with another. Gives the exit code.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) fn compare(out: &Out, args: &WitCheckArgs) -> Result<u8, Fail> {
    let found = wit::check(&args.old, &args.new).map_err(|error| Fail::author(&error))?;
    if out.json {
        out.document(&found)?;
    } else {
        out.text(&clean_lines(&found.to_string()))?;
    }
    Ok(if found.goes_on { 0 } else { ErrorClass::NeedsOperator.exit_code() })
}

/// What the plugin says of itself otherwise than its manifest.
fn differences(built: &Built, report: &PluginReport) -> Vec<String> {
    let pairs = [("name", &built.name, &report.name), ("version", &built.version, &report.version)];
    let differ = pairs.into_iter().filter(|(_, manifest, plugin)| manifest != plugin);
    let manifest = built.language.manifest();
    differ
        .map(|(what, said, says)| format!("the {what} in {manifest} is {said}, the plugin calls itself {says}"))
        .collect()
}

fn page(out: &Out, report: &PluginReport, schema: &Path) -> String {
    let title = format!("{} {}", clean(&report.name), clean(&report.version));
    let mut text = format!("{}, {}, is built\n\n", out.paint.bold(&title), clean(&report.role));
    let lines = [
        ("file", format!("{}, {}", clean(&shown(&report.path)), bytes(report.size_bytes))),
        ("sha-256", clean(&report.digest).into_owned()),
        ("contract", clean(&report.contract).into_owned()),
        ("settings", clean(&shown(schema)).into_owned()),
    ];
    for (name, value) in lines {
        let _ = writeln!(text, "  {} {value}", out.paint.dim(&format!("{name:<12}")));
    }
    let _ = writeln!(text, "\n{}", out.paint.bold("Next:"));
    let file = quote(&shown(&report.path));
    let _ = writeln!(text, "  crossdock plugin test {file}\n  crossdock plugin inspect {file}");
    text
}

/// A path as one would type it from here.
fn shown(path: &Path) -> String {
    let here = std::path::absolute(".").ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    short.display().to_string()
}
