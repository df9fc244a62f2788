//! What a plugin says of itself, and what it costs.

use crate::fail::Fail;
use crate::out::Out;
use crate::text::{Cell, bytes, clean, count, number};
use crossdock::{Host, PluginReport, SettingReport};
use std::fmt::Write as _;
use std::path::Path;

/// Shows what a plugin says of itself, what is found in its file, and what it costs.
///
/// # Errors
/// When it is not a plugin for this host.
pub(crate) async fn inspect(out: &Out, host: &Host, which: &Path) -> Result<(), Fail> {
    let report = host.inspect(which).await?;
    if out.json { out.document(&report) } else { out.text(&page(out, &report)) }
}

fn page(out: &Out, report: &PluginReport) -> String {
    let paint = out.paint;
    let name = format!("{} {}", clean(&report.name), clean(&report.version));
    let mut text = format!("{}\n{}\n\n", paint.bold(&name), clean(&report.summary));
    let list = |list: Vec<String>| if list.is_empty() { "nothing".to_owned() } else { list.join(", ") };
    let lines = [
        ("role", clean(&report.role).into_owned()),
        ("also exports", list(report.exports.iter().map(ToString::to_string).collect())),
        ("wants", list(report.wants.iter().map(|want| clean(want).into_owned()).collect())),
        ("may ask for", list(report.imports.iter().map(ToString::to_string).collect())),
        ("batch", format!("at most {}", count(report.max_batch, "record"))),
        ("contract", clean(&report.contract).into_owned()),
        ("file", format!("{}, {}", clean(&report.path.display().to_string()), bytes(report.size_bytes))),
        ("sha-256", clean(&report.digest).into_owned()),
    ];
    for (name, value) in lines {
        let _ = writeln!(text, "  {} {value}", paint.dim(&format!("{name:<12}")));
    }
    let _ = writeln!(text, "\n{}", paint.bold("What it costs"));
    for (name, value) in costs(report) {
        let _ = writeln!(text, "  {} {value}", paint.dim(&format!("{name:<12}")));
    }
    let _ = writeln!(text, "\n{}", paint.bold("Settings"));
    text.push_str(&settings(out, &report.settings));
    text
}

/// The figures of its cost, each with what it is.
fn costs(report: &PluginReport) -> [(&'static str, String); 4] {
    let cost = report.cost;
    let how = if cost.from_cache { "read from the cache" } else { "compiled, and kept in the cache" };
    let tables =
        if cost.table_bytes == 0 { String::new() } else { format!(" and {} of tables", bytes(cost.table_bytes)) };
    [
        (
            "to load",
            format!(
                "{}, {how}: {} of machine code, once for all instances",
                time(cost.prepared_us),
                bytes(cost.code_bytes)
            ),
        ),
        (
            "to start",
            format!("{} from nothing to its description; its own `configure` comes on top", time(cost.start_us)),
        ),
        ("an instance", format!("{} of memory{tables}, reserved before it has settings", bytes(cost.memory_bytes))),
        ("beside that", format!("at most {} of the host's own for each", bytes(cost.structures_max_bytes))),
    ]
}

/// Microseconds for people.
fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{}.{} ms", us / 1_000, us % 1_000 / 100),
        10_000..10_000_000 => format!("{} ms", number(us / 1_000)),
        _ => format!("{} s", number(us / 1_000_000)),
    }
}

/// The settings, one a line.
fn settings(out: &Out, settings: &[SettingReport]) -> String {
    if settings.is_empty() {
        return "  none by name; --json has the schema\n".to_owned();
    }
    let mut table = out.table(&["name", "type", "needed", "default", "meaning"]);
    for setting in settings {
        let needed = match (&setting.when, setting.required) {
            (Some(when), true) => format!("yes, {when}"),
            (Some(when), false) => when.clone(),
            (None, true) => "yes".to_owned(),
            (None, false) => String::new(),
        };
        table.add(vec![
            Cell::new(&setting.path),
            Cell::new(&setting.kind),
            Cell::new(needed),
            Cell::new(setting.default.as_ref().map(ToString::to_string).unwrap_or_default()),
            Cell::new(&setting.meaning),
        ]);
    }
    let mut text = table.render(2);
    text.push_str("  --json has the whole schema\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let check = |us: u64, text: &str| assert_eq!(time(us), text);
        check(0, "0 µs");
        check(999, "999 µs");
        check(1_000, "1.0 ms");
        check(9_876, "9.8 ms");
        check(12_345, "12 ms");
        check(9_999_999, "9,999 ms");
        check(12_345_678, "12 s");
    }
}
