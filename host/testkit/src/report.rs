//! What came of trying a plugin out.

use crate::case::CaseError;
use crate::error::KitError;
use crate::finding::{Finding, Tried};
use crate::run::CaseOutcome;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What came of trying a plugin out.
#[derive(Debug, Clone)]
pub struct Report {
    /// The plugin's name.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// Its role.
    pub role: &'static str,
    /// The SHA-256 of its file.
    pub digest: String,
    /// What each case came to.
    pub cases: Vec<CaseOutcome>,
    /// What was found, one of each kind, with the smallest input.
    pub findings: Vec<Finding>,
    /// What the hostile host tried.
    pub tried: Vec<Tried>,
}

impl Report {
    /// Whether all cases hold and nothing was found. What could not be tried counts for neither.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty() && self.cases.iter().all(CaseOutcome::holds)
    }

    /// Whether something of this code was found.
    #[must_use]
    pub fn found(&self, code: &str) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }

    /// The report as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let case =
            |case: &CaseOutcome| json!({ "name": case.name, "ok": case.holds(), "differences": case.differences });
        json!({
            "plugin": { "name": self.plugin, "version": self.version, "role": self.role, "digest": self.digest },
            "ok": self.holds(),
            "cases": self.cases.iter().map(case).collect::<Vec<_>>(),
            "findings": self.findings,
            "tried": self.tried,
        })
    }

    /// Writes the input of each finding as a case file into a folder, which is made if it is not there; the file is
    /// named after the code. Gives the files.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<Vec<PathBuf>, KitError> {
        let mut saved = Vec::new();
        for finding in &self.findings {
            let failed = |source| KitError::Case(CaseError::Unreadable { path: folder.to_owned(), source });
            std::fs::create_dir_all(folder).map_err(failed)?;
            let file = folder.join(format!("{}.toml", finding.code));
            std::fs::write(&file, &finding.input).map_err(failed)?;
            saved.push(file);
        }
        Ok(saved)
    }
}
