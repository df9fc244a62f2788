//! The codes of this crate and their pages.

use crossdock_model::Code;

macro_rules! codes {
    ($($name:literal),* $(,)?) => {
        /// Every code that the kit itself gives: of its errors, and of what it finds.
        pub const CODES: &[Code] =
            &[$(Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) }),*];
    };
}

codes![
    "case-invalid",
    "cases-unreadable",
    "kit-401-not-unauthorized",
    "kit-bad-settings",
    "kit-batch-matters",
    "kit-broken-contract",
    "kit-busy-rejected",
    "kit-certain-without-answer",
    "kit-checkpoint-repeats",
    "kit-checkpoint-skips",
    "kit-checkpoint-stuck",
    "kit-checkpoint-taken",
    "kit-checkpoint-traps",
    "kit-deadline-missed",
    "kit-describe-differs",
    "kit-double-apply",
    "kit-files",
    "kit-forged-handle",
    "kit-lost-record",
    "kit-memory-grows",
    "kit-not-the-same",
    "kit-ok-on-refusal",
    "kit-ok-without-answer",
    "kit-order-matters",
    "kit-pointer-astray",
    "kit-probe-changes",
    "kit-re-read-differs",
    "kit-retry-after-ignored",
    "kit-secret-in-text",
    "kit-setup",
    "kit-state-in-globals",
    "kit-trap",
    "kit-undo-needs-instance",
    "kit-undo-twice",
    "kit-untouched-not-honoured",
    "plugin-not-built",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::CODES;
    use crate::KINDS;

    /// Those of the kit's own errors.
    const OF_ERRORS: [&str; 5] = ["case-invalid", "cases-unreadable", "kit-files", "kit-setup", "plugin-not-built"];

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        for code in CODES {
            let of_finding = KINDS.iter().any(|kind| kind.code == code.name);
            assert!(of_finding || OF_ERRORS.contains(&code.name), "nothing has the code {}", code.name);
            let headings = ["# ", "\n## Cause\n", "\n## What to check\n", "\n## What to do\n"];
            assert!(headings.iter().all(|heading| code.page.contains(heading)), "{}", code.name);
        }
        for name in KINDS.iter().map(|kind| kind.code).chain(OF_ERRORS) {
            assert!(CODES.iter().any(|code| code.name == name), "{name} has no page");
        }
        let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/codes")).unwrap().count();
        assert_eq!(pages, CODES.len());
    }
}
