//! Trying a plugin out: its cases, and a hostile host.

use crate::args::TestArgs;
use crate::fail::Fail;
use crate::out::Out;
use crate::text::{Mood, clean, clean_lines, count, indent};
use crossdock_testkit::{
    CaseOutcome, Finding, Kit, KitError, Report, Tried, Verdict, find_cases, find_plugin, read_cases,
};
use std::fmt::Write as _;
use std::path::PathBuf;

/// The exit code when a case does not hold or something was found.
const FOUND: u8 = 4;

/// Runs the cases of a plugin and plays a hostile host with it. Gives the exit code.
///
/// # Errors
/// When there is no such plugin, or its cases cannot be used.
pub(crate) async fn test(out: &Out, cache_dir: PathBuf, args: &TestArgs) -> Result<u8, Fail> {
    let (plugin, cases, save) = (args.plugin.clone(), args.cases.clone(), args.save.clone());
    let trying = tokio::task::spawn_blocking(move || try_out(plugin, cases, save, cache_dir));
    let tried = trying.await.map_err(|error| Fail::internal(format!("trying the plugin out: {error}")))?;
    let (report, saved) = tried.map_err(|error| Fail::author(&error))?;
    if out.json {
        let mut document = report.to_json();
        if let Some(document) = document.as_object_mut() {
            document.insert("saved".to_owned(), saved.iter().map(|path| path.display().to_string()).collect());
        }
        out.document(&document)?;
    } else {
        out.text(&page(out, &report, &saved))?;
    }
    Ok(if report.holds() { 0 } else { FOUND })
}

fn try_out(
    plugin: PathBuf,
    cases: Option<PathBuf>,
    save: Option<PathBuf>,
    cache_dir: PathBuf,
) -> Result<(Report, Vec<PathBuf>), KitError> {
    let plugin = find_plugin(&plugin)?;
    let cases = match cases {
        Some(cases) => cases,
        None => find_cases(&plugin)?,
    };
    let cases = read_cases(&cases)?;
    let report = Kit::confined_with_cache(cache_dir)?.load(&plugin)?.test(&cases)?;
    let saved = save.map(|folder| report.save(&folder)).transpose()?.unwrap_or_default();
    Ok((report, saved))
}

fn page(out: &Out, report: &Report, saved: &[PathBuf]) -> String {
    let paint = out.paint;
    let title = format!("{} {}", clean(&report.plugin), clean(&report.version));
    let mut text = format!("{}, {}\n\n{}\n", paint.bold(&title), report.role, paint.bold("Cases"));
    for case in &report.cases {
        let mood = if case.holds() { paint.mood(Mood::Good, "ok    ") } else { paint.mood(Mood::Bad, "FAILED") };
        let _ = writeln!(text, "  {mood}  {}", clean(&case.name));
        case.differences.iter().for_each(|line| text.push_str(&indent(&clean_lines(line), 10)));
    }
    let _ = writeln!(text, "\n{}", paint.bold("A hostile host"));
    for Tried { what, verdict } in &report.tried {
        let _ = match verdict {
            Verdict::Held => writeln!(text, "  {}       {what}", paint.mood(Mood::Good, "held")),
            Verdict::Found => writeln!(text, "  {}      {what}", paint.mood(Mood::Bad, "BROKE")),
            Verdict::NotTried(why) => writeln!(text, "  {}  {what}: {}", paint.dim("not tried"), clean(why)),
        };
    }
    for finding in &report.findings {
        text.push_str(&found(out, finding, saved));
    }
    let _ = writeln!(text, "\n{}", paint.bold(&summary(report)));
    text
}

fn found(out: &Out, finding: &Finding, saved: &[PathBuf]) -> String {
    let paint = out.paint;
    let code = finding.code;
    let mut text = format!("\n{}: {}\n", paint.error(code), paint.bold(finding.promise));
    for (name, value) in [
        ("done", finding.done.as_str()),
        ("expected", &finding.expected),
        ("seen", &finding.seen),
        ("to mend", finding.hint),
        ("written in", finding.written),
        ("case", &finding.case),
    ] {
        let _ = writeln!(text, "  {} {}", paint.dim(&format!("{name:<11}")), clean(value));
    }
    if let Some(detail) = &finding.detail {
        text.push_str(&indent(&clean_lines(detail), 14));
    }
    let _ = writeln!(text, "  {} crossdock explain {code}", paint.dim("more       "));
    let name = format!("{code}.toml");
    match saved.iter().find(|path| path.ends_with(&name)) {
        Some(path) => {
            let _ = writeln!(text, "  {} {}", paint.dim("input      "), clean(&path.display().to_string()));
        }
        None => {
            let _ = writeln!(text, "  {}", paint.dim("the smallest input, as a case (--save DIR writes it):"));
            text.push_str(&indent(&clean_lines(&finding.input), 4));
        }
    }
    text
}

/// One line: what was tried and what came of it.
fn summary(report: &Report) -> String {
    let number = |verdict: fn(&Verdict) -> bool| report.tried.iter().filter(|tried| verdict(&tried.verdict)).count();
    let held = number(|verdict| *verdict == Verdict::Held);
    let not_tried = number(|verdict| matches!(verdict, Verdict::NotTried(_)));
    let hold = report.cases.iter().filter(|case| CaseOutcome::holds(case)).count();
    let mut line = format!(
        "Cases that hold: {hold} of {}; plays that held: {held} of {}",
        report.cases.len(),
        report.tried.len() - not_tried,
    );
    if not_tried > 0 {
        let _ = write!(line, "; {not_tried} could not be tried");
    }
    match report.findings.len() {
        0 => line,
        found => format!("{line}; found: {}", count(i128::try_from(found).unwrap_or(i128::MAX), "broken promise")),
    }
}
