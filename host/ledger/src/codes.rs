//! The codes of this crate and their pages.

use crossdock_model::Code;

/// All codes that errors, runs and records get from this crate.
pub const CODES: &[Code] = &[
    Code { name: "ledger-in-use", page: include_str!("../codes/ledger-in-use.md") },
    Code { name: "ledger-newer-version", page: include_str!("../codes/ledger-newer-version.md") },
    Code { name: "ledger-not-a-ledger", page: include_str!("../codes/ledger-not-a-ledger.md") },
    Code { name: "ledger-sqlite-too-old", page: include_str!("../codes/ledger-sqlite-too-old.md") },
    Code { name: "ledger-missing", page: include_str!("../codes/ledger-missing.md") },
    Code { name: "ledger-not-empty", page: include_str!("../codes/ledger-not-empty.md") },
    Code { name: "ledger-backup-damaged", page: include_str!("../codes/ledger-backup-damaged.md") },
    Code { name: "ledger-not-a-backup", page: include_str!("../codes/ledger-not-a-backup.md") },
    Code { name: "ledger-backup-exists", page: include_str!("../codes/ledger-backup-exists.md") },
    Code { name: "ledger-damaged", page: include_str!("../codes/ledger-damaged.md") },
    Code { name: "ledger-disk-full", page: include_str!("../codes/ledger-disk-full.md") },
    Code { name: "ledger-storage", page: include_str!("../codes/ledger-storage.md") },
    Code { name: "ledger-must-reopen", page: include_str!("../codes/ledger-must-reopen.md") },
    Code { name: "ledger-unknown-run", page: include_str!("../codes/ledger-unknown-run.md") },
    Code { name: "ledger-bad-commit", page: include_str!("../codes/ledger-bad-commit.md") },
    Code { name: "ledger-accounting", page: include_str!("../codes/ledger-accounting.md") },
    Code { name: "ledger-decision-refused", page: include_str!("../codes/ledger-decision-refused.md") },
    Code { name: "ledger-bad-query", page: include_str!("../codes/ledger-bad-query.md") },
    Code { name: "ledger-query-too-long", page: include_str!("../codes/ledger-query-too-long.md") },
    Code { name: "process-ended", page: include_str!("../codes/process-ended.md") },
    Code { name: "record-edited", page: include_str!("../codes/record-edited.md") },
    Code { name: "in-doubt", page: include_str!("../codes/in-doubt.md") },
];
