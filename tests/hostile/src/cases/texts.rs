//! Secrets on their way out, and texts that mean more than they say.

use crate::case::{Case, LIMITS};
use crate::site::Site;
use anyhow::{Result, ensure};
use crossdock::Status;

/// The value of the secret TOKEN.
pub const CANARY: &str = "canary/+77-ö-0815";

/// A guest that was granted a secret, and to see it.
fn leaks(name: &'static str, what: &'static str, misbehave: &str) -> Case {
    Case::new(name, what, "known secrets are taken out of every text")
        .step(&format!(
            "plugin = \"guest-transformer\"\nsettings = {{ misbehave = \"poison-{misbehave}\" }}\n{LIMITS}\
             grants = {{ secrets = [\"TOKEN\"], reveal = [\"TOKEN\"] }}"
        ))
        .also(|site| nowhere(site, &[CANARY]))
}

/// None of these stands in anything that the host says of the route.
fn nowhere(site: &Site, words: &[&str]) -> Result<()> {
    let said = site.everything_said()?;
    for word in words {
        let at = said.find(word).map(|at| said[at.saturating_sub(60)..].chars().take(150).collect::<String>());
        ensure!(at.is_none(), "{word:?} is said: {at:?}");
    }
    Ok(())
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        leaks("secret-in-panic", "panics with a secret in its message", "leak-panic").one(Status::Failed, "fault-trap"),
        leaks("secret-in-failure", "puts a secret into code, message, detail and pointer of a failure", "leak-message")
            .records(4, vec![(4, Status::Rejected, "failure-without-code")]),
        leaks("secret-in-log", "logs a secret, writes it to stderr and counts under its name", "leak-log"),
        Case::new(
            "nasty-text",
            "fails with ANSI codes, forged lines, bidi marks, NUL, HTML and a formula",
            "one type for texts of plugins",
        )
        .transformer("poison-nasty-message")
        .records(4, vec![(4, Status::Rejected, "failure-without-code")])
        .also(|site| nowhere(site, &["\u{1b}", "\u{202e}", "\0", "\nERROR", "\r"]))
        .also_in_csv(|csv| {
            let formula = csv
                .lines()
                .flat_map(|line| line.split(','))
                .find(|cell| cell.trim_start_matches('"').starts_with(['=', '+', '-', '@', '\t']));
            ensure!(formula.is_none(), "a cell is a formula: {formula:?}");
            Ok(())
        }),
    ]
}
