//! Records and failures as CSV (RFC 4180), for spreadsheets and other programs.

use crate::error::Error;
use crate::host::Host;
use crate::secrets::redact;
use crossdock_ledger::{FailureGroup, RecordFilter, RecordSummary};
use crossdock_model::{ErrorClass, Timestamp};
use crossdock_sandbox::is_unfit;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The first line of records.
const RECORD_COLUMNS: [&str; 17] = [
    "route",
    "id",
    "parent",
    "status",
    "step",
    "attempts",
    "generation",
    "code",
    "fingerprint",
    "message",
    "changed",
    "due",
    "run",
    "batch",
    "target_ids",
    "next_run_takes_it_up",
    "content_kept",
];
/// The first line of failures by cause.
const GROUP_COLUMNS: [&str; 9] =
    ["route", "step", "code", "fingerprint", "count", "first", "last", "sample_id", "sample_message"];

/// Where CSV goes.
pub enum Csv<'w> {
    /// Into this file, which is there as a whole or not at all; one that exists is replaced.
    File(&'w Path),
    /// Into this.
    Writer(&'w mut dyn Write),
}

impl Host {
    /// Writes all records that a filter lets through as CSV, a line each below a line of headings, in the order of
    /// [`LedgerReader::records`](crate::LedgerReader::records). Holds a page of them in memory at a time. Text that a
    /// spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, one of their wide forms, a tab or a line
    /// break, perhaps after blanks) has a `'` put before it: also an id like `-17`, so a program that reads ids from
    /// here takes off one `'` that stands before such a character. Control characters and characters that hide or turn
    /// text around are escaped; secrets are replaced by their names. Answers with the number of records.
    ///
    /// # Errors
    /// When the ledger cannot be read or the file not be written.
    pub fn export_records(&self, filter: &RecordFilter, to: Csv<'_>) -> Result<u64, Error> {
        let reader = self.reports()?;
        write_csv(to, &RECORD_COLUMNS, |line| {
            let mut records = 0;
            for record in reader.all_records(filter.clone()) {
                line(&record_line(&record?))?;
                records += 1;
            }
            Ok(records)
        })
    }

    /// Writes failures by cause as CSV, the largest group first; as [`Host::export_records`].
    ///
    /// # Errors
    /// When the ledger cannot be read or the file not be written.
    pub fn export_failures(&self, filter: &RecordFilter, to: Csv<'_>) -> Result<u64, Error> {
        let found = self.reports()?.failure_groups(filter)?;
        write_csv(to, &GROUP_COLUMNS, |line| {
            for group in &found.groups {
                line(&group_line(group))?;
            }
            Ok(found.groups.len() as u64)
        })
    }
}

type Line<'l> = &'l mut dyn FnMut(&[String]) -> Result<(), Error>;

fn write_csv(to: Csv<'_>, columns: &[&str], body: impl FnOnce(Line<'_>) -> Result<u64, Error>) -> Result<u64, Error> {
    let headings: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let write = |out: &mut dyn Write, place: &str| {
        let mut line = |fields: &[String]| write_line(out, fields).map_err(|error| cannot_write(place, &error));
        line(&headings)?;
        let lines = body(&mut line)?;
        out.flush().map_err(|error| cannot_write(place, &error))?;
        Ok(lines)
    };
    let path = match to {
        Csv::Writer(out) => return write(out, "the output"),
        Csv::File(path) => path,
    };
    let place = path.display().to_string();
    let fail = |error: io::Error| cannot_write(&place, &error);
    // Beside it, so that it can be put in its place in one step.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let file = File::create(&beside).map_err(fail)?;
    let written = write(&mut BufWriter::new(file), &place);
    let done = written.and_then(|lines| std::fs::rename(&beside, path).map_err(fail).map(|()| lines));
    if done.is_err() {
        // What is left of it is of no use; that it could not be removed either says nothing new.
        let _ = std::fs::remove_file(&beside);
    }
    done
}

fn cannot_write(place: &str, error: &io::Error) -> Error {
    Error::new(
        "host-file-unwritable",
        ErrorClass::Environment,
        format!("writing CSV to {place}: {error}"),
        "Name a file in a folder that can be written to, on a disk with room.",
    )
}

fn write_line(out: &mut dyn Write, fields: &[String]) -> io::Result<()> {
    for (at, field) in fields.iter().enumerate() {
        if at > 0 {
            out.write_all(b",")?;
        }
        out.write_all(field_text(field).as_bytes())?;
    }
    out.write_all(b"\r\n")
}

/// What a spreadsheet takes for the beginning of a formula: the usual signs, and their wide forms.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// A field as it stands in the file: without secrets, no formula, no unfit characters, and quoted if it has to be.
fn field_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    if text.trim_start_matches(' ').starts_with(FORMULA) {
        out.push('\'');
    }
    for c in redact(text).chars() {
        if is_unfit(c) && !matches!(c, '\n' | '\r' | '\t') { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if out.contains([',', '"', '\r', '\n']) || out.starts_with(' ') || out.ends_with(' ') {
        return format!("\"{}\"", out.replace('"', "\"\""));
    }
    out
}

fn record_line(record: &RecordSummary) -> Vec<String> {
    let some = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let target_ids: Vec<String> = record.target_ids.iter().map(|(step, id)| format!("{step}: {id}")).collect();
    vec![
        record.route.to_string(),
        record.id.0.clone(),
        some(record.parent.as_ref().map(|id| id.0.as_str())),
        record.status.to_string(),
        some(record.step.as_ref().map(|step| step.as_str())),
        record.attempts.to_string(),
        record.generation.to_string(),
        some(record.code.as_deref()),
        some(record.fingerprint.as_deref()),
        some(record.message.as_deref()),
        time(record.at),
        record.due.map(time).unwrap_or_default(),
        record.run.to_string(),
        record.batch.to_string(),
        target_ids.join("; "),
        record.open.to_string(),
        record.kept.to_string(),
    ]
}

fn group_line(group: &FailureGroup) -> Vec<String> {
    vec![
        group.route.to_string(),
        group.step.to_string(),
        group.code.clone(),
        group.fingerprint.clone(),
        group.count.to_string(),
        time(group.first_at),
        time(group.last_at),
        group.sample.0.clone(),
        group.message.clone(),
    ]
}

/// RFC 3339, UTC, to the millisecond.
pub(crate) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.3}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(field_text(text), expected);
    }

    #[test]
    fn fields_are_quoted_and_harmless() {
        check("", "");
        check("plain 17", "plain 17");
        check("a,b", "\"a,b\"");
        check("say \"x\"", "\"say \"\"x\"\"\"");
        check("two\r\nlines", "\"two\r\nlines\"");
        check(" padded", "\" padded\"");
        check("=1+1", "'=1+1");
        check("+49 30", "'+49 30");
        check("-17", "'-17");
        check("@SUM(A1)", "'@SUM(A1)");
        check("\t=1", "'\t=1");
        check("  =1+1", "'  =1+1");
        check("＝1+1", "'＝1+1");
        check("'=1", "'=1");
        check("a\u{202e}b\u{1b}[2Jc\u{0}", "a\\u{202e}b\\u{1b}[2Jc\\u{0}");
        check("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
        check("a=1", "a=1");
    }

    #[test]
    fn a_line_is_a_line() {
        let mut out = Vec::new();
        let lines = write_csv(Csv::Writer(&mut out), &["a", "b"], |line| {
            line(&["1".to_owned(), "x\ny".to_owned()])?;
            Ok(1)
        });
        assert_eq!(lines.unwrap(), 1);
        assert_eq!(String::from_utf8(out).unwrap(), "a,b\r\n1,\"x\ny\"\r\n");
    }

    #[test]
    fn a_file_is_there_as_a_whole_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("crossdock-export-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("out.csv");
        let broken = || Error::new("host-internal", ErrorClass::Internal, "broken", "none");
        assert!(write_csv(Csv::File(&path), &["a"], |_| Err(broken())).is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert!(write_csv(Csv::File(&path), &["a"], |_| Ok(0)).is_ok());
        assert_eq!(std::fs::read(&path).unwrap(), b"a\r\n");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
