//! What came of the cases, for people and for programs.

use crate::suite::{Report, Summary, Verdict};
use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};

/// The table: a line a case, then why some did not hold, then how many did.
#[must_use]
pub fn table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["case", "what it does", "what stops it", "verdict", "named", "host memory, MiB", "other route"]);
    for report in &summary.cases {
        let memory = report.host_memory_mib.map(|mib| format!("{mib:.0} of {}", report.memory_max_mib));
        table.add_row([
            report.name.clone(),
            report.what.clone(),
            report.control.clone(),
            word(report.verdict).to_owned(),
            report.named.clone().unwrap_or_default(),
            memory.unwrap_or_default(),
            report.pace.map(|pace| format!("{pace:.2}")).unwrap_or_default(),
        ]);
    }
    let reasons = summary.cases.iter().filter_map(|Report { name, verdict, why, .. }| {
        Some(format!("{name} ({}): {}\n", word(*verdict), why.as_ref()?))
    });
    let count = |verdict| summary.count(verdict);
    format!(
        "{table}\n\n{}{} cases: {} held, {} failed, {} known not to be stopped\n",
        reasons.collect::<String>(),
        summary.cases.len(),
        count(Verdict::Held),
        count(Verdict::Failed),
        count(Verdict::Open),
    )
}

/// The same as JSON.
///
/// # Errors
/// Never for what the suite gives.
pub fn json(summary: &Summary) -> Result<String> {
    Ok(serde_json::to_string_pretty(summary)?)
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Failed => "FAILED",
        Verdict::Open => "open",
    }
}
