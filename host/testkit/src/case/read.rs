//! Reads case files, and refuses what makes no sense, with its place.

use super::{Case, Record, Word};
use crossdock_model::{ErrorClass, Explained};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Why cases cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaseError {
    /// A file or folder cannot be read.
    #[error("reading the cases {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A plugin's folder has no plugin that could be meant.
    #[error("looking for the plugin in {}: {reason}", folder.display())]
    NoPlugin {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        reason: &'static str,
    },
    /// A file is not a case.
    #[error("reading the case {name}: {reason}")]
    Refused {
        /// Its file, or its name.
        name: String,
        /// What is wrong, and in which line.
        reason: String,
    },
}

impl CaseError {
    pub(crate) fn refused(name: &str, reason: impl Into<String>) -> Self {
        Self::Refused { name: name.to_owned(), reason: reason.into() }
    }
}

impl Explained for CaseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "cases-unreadable",
            Self::NoPlugin { .. } => "plugin-not-built",
            Self::Refused { .. } => "case-invalid",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "name the folder with the cases, or one case: `--cases DIR`".to_owned(),
            Self::NoPlugin { .. } => "build it with `crossdock plugin build`, or name its file".to_owned(),
            Self::Refused { .. } => "mend the case; `crossdock explain case-invalid` says what it may hold".to_owned(),
        })
    }
}

/// Reads one case, or all `*.toml` of a folder in the order of their names.
///
/// # Errors
/// When something cannot be read, or is not a case.
pub fn read_cases(path: &Path) -> Result<Vec<Case>, CaseError> {
    let unreadable = |source| CaseError::Unreadable { path: path.to_owned(), source };
    if path.is_file() {
        return Ok(vec![read_case(path)?]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|ending| ending == "toml") {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(CaseError::refused(
            &path.display().to_string(),
            "there is no case in this folder: no file that ends in .toml",
        ));
    }
    files.sort();
    files.iter().map(|file| read_case(file)).collect()
}

fn read_case(file: &Path) -> Result<Case, CaseError> {
    let shown = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|source| CaseError::Unreadable { path: file.to_owned(), source })?;
    let mut case: Case =
        toml::from_str(&text).map_err(|error| CaseError::refused(&shown, error.to_string().trim_end().to_owned()))?;
    case.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    check(&case).map_err(|reason| CaseError::refused(&shown, reason))?;
    Ok(case)
}

fn check(case: &Case) -> Result<(), String> {
    let mut ids = BTreeSet::new();
    for record in &case.records {
        let wrong = |what: &str| Err(format!("record {}: {what}", record.id));
        if record.payload.is_some() && record.text.is_some() {
            return wrong("has both `payload` and `text`; give one of them");
        }
        if !ids.insert(&record.id) {
            return wrong("stands there twice; ids of a case differ");
        }
        if let Some(what) = misplaced(record) {
            return wrong(&what);
        }
    }
    if !case.records.is_empty() && !case.pages.is_empty() {
        return Err("it has records and pages: a source gives pages, and all others are given records".to_owned());
    }
    for (number, exchange) in case.exchanges.iter().enumerate() {
        let wrong = |what: &str| Err(format!("exchange {}: {what}", number + 1));
        if exchange.answer.is_some() == exchange.failure.is_some() {
            return wrong("needs either `answer` or `failure`");
        }
        if exchange.request.body.is_some() && exchange.request.text.is_some() {
            return wrong("its request has both `body` and `text`; give one of them");
        }
        if exchange.answer.as_ref().is_some_and(|answer| answer.body.is_some() && answer.text.is_some()) {
            return wrong("its answer has both `body` and `text`; give one of them");
        }
        if origin(&exchange.request.url).is_none() {
            return wrong("its request needs a whole URL, which begins with http:// or https://");
        }
    }
    for dir in &case.dirs {
        let files = dir.files.keys().chain(dir.after.iter().flatten().map(|(name, _)| name));
        if let Some(name) = files.into_iter().find(|name| !stays_below(name)) {
            return Err(format!("directory {}: {name:?} is not a path below it", dir.guest));
        }
    }
    Ok(())
}

/// An outcome that the call does not have.
fn misplaced(record: &Record) -> Option<String> {
    use Word::{Applied, Dropped, NotApplied, Ok as Fine, Unchanged, Undone, Untouched};
    let not = |what, expect: &Option<super::Expect>, words: &[Word]| {
        let word = expect.as_ref()?.outcome.filter(|word| words.contains(word))?;
        let word = serde_json::to_value(word).ok()?;
        Some(format!("`{what}` has no outcome {word}"))
    };
    not("expect", &record.expect, &[Applied, NotApplied, Undone])
        .or_else(|| not("probe", &record.probe, &[Fine, Unchanged, Dropped, Untouched, Undone]))
        .or_else(|| not("undo", &record.undo, &[Fine, Dropped, Applied, NotApplied]))
}

fn stays_below(name: &str) -> bool {
    let path = Path::new(name);
    !name.is_empty() && path.components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// The origin of a URL.
pub(crate) fn origin(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (end > 0).then(|| &url[..url.len() - rest.len() + end])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_text(text: &str, expected: Result<(), &str>) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("case.toml");
        fs::write(&file, text).unwrap();
        match (read_cases(dir.path()), expected) {
            (Ok(cases), Ok(())) => {
                let again = toml::from_str::<Case>(&cases[0].to_toml().unwrap()).unwrap();
                assert_eq!(Case { name: "case".to_owned(), ..again }, cases[0]);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn cases_are_read_strictly() {
        check_text(
            "[settings]\na = 1\n[[record]]\nid = \"A\"\npayload = { b = [1, \"{{ null }}\"] }\nexpect = \"ok\"",
            Ok(()),
        );
        check_text("[secrets]\nA = \"b\"\nC = { value = \"d\", reveal = true }", Ok(()));
        check_text("[call]\nnow = 2026-01-01T00:00:00Z\n[[dir]]\nguest = \"/in\"\nfiles = { \"a/b\" = \"\" }", Ok(()));
        check_text("[[record]]\nid = \"A\"\nexpected = \"ok\"", Err("line 3"));
        check_text("[[record]]\nid = \"A\"\nexpect = \"okay\"", Err("line 3"));
        check_text("[[record]]\nid = \"A\"\nexpect = { outcom = \"ok\" }", Err("unknown field `outcom`"));
        check_text("[[record]]\nid = \"A\"\nexpect = \"undone\"", Err("`expect` has no outcome \"undone\""));
        check_text("[[record]]\nid = \"A\"\n[[record]]\nid = \"A\"", Err("twice"));
        check_text("[[record]]\nid = \"A\"\npayload = 1\ntext = \"1\"", Err("both"));
        check_text("[[exchange]]\nrequest = { method = \"GET\", url = \"/x\" }\nanswer = {}", Err("whole URL"));
        check_text("[[exchange]]\nrequest = { method = \"GET\", url = \"http://x\" }", Err("either"));
        check_text("[[dir]]\nguest = \"/in\"\nfiles = { \"../b\" = \"\" }", Err("below"));
    }
}
