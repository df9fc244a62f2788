//! The lock `crossdock.lock`: which plugin files a project runs, as text and as checked.

use crate::codes;
use crate::document::document;
use crate::mistake::{Mistake, Mistakes, SourceText, Span};
use crossdock_model::PluginName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use toml::de::DeValue;

/// The format that this version writes, and the latest that it reads.
const FORMAT: u64 = 1;
/// The most bytes of one text in a lock: twice what the sandbox lets a plugin say in one want.
const TEXT_MAX_BYTES: usize = 2 << 10;
/// The most entries of a list in a lock.
const LIST_MAX: usize = 128;

const HEADING: &str = "\
# The plugin files that this project runs. Written by Crossdock; commit it, and do not edit it by hand.
# Another file, or one that wants or imports more, is refused until it is approved: crossdock plugin approve NAME
";

/// Which plugin files a project runs, each under the plugin's name in the project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Lock {
    /// The plugins, in the order of their names.
    pub plugins: BTreeMap<PluginName, LockedPlugin>,
}

/// A plugin's file as it was let in. What the plugin said and what was found in its file; both go with the file, and
/// are kept so that a difference can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPlugin {
    /// The name that the plugin gives itself.
    #[serde(deserialize_with = "text")]
    pub plugin: String,
    /// The version that the plugin gives itself.
    #[serde(deserialize_with = "text")]
    pub version: String,
    /// Where it was fetched from: a URL, or a reference to a registry. `None`: it is a file of this machine.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_text")]
    pub from: Option<String>,
    /// The SHA-256 of its file: 64 hexadecimal digits in lower case.
    #[serde(deserialize_with = "sha256")]
    pub sha256: String,
    /// The size of its file in bytes.
    pub size_bytes: u64,
    /// The version of the plugin contract that it was built for.
    #[serde(deserialize_with = "text")]
    pub contract: String,
    /// Its role: `source`, `transformer` or `destination`.
    #[serde(deserialize_with = "role")]
    pub role: String,
    /// The optional abilities that it exports, sorted: `compensate`, `probe`.
    #[serde(deserialize_with = "list")]
    pub exports: Vec<String>,
    /// What it says that it wants to be granted, each as a kind and what for, sorted.
    #[serde(deserialize_with = "list")]
    pub wants: Vec<String>,
    /// What its imports let it ask the host for, in one word each, sorted: found in its file.
    #[serde(deserialize_with = "list")]
    pub imports: Vec<String>,
    /// When a person approved it, RFC 3339 in UTC. `None`: it was the first under its name, and added by a run.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_text")]
    pub approved_at: Option<String>,
    /// The SHA-256 of the file that it took the place of when it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_sha256")]
    pub replaces: Option<String>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "format")]
    _format: u64,
    #[serde(default)]
    plugins: BTreeMap<PluginName, LockedPlugin>,
}

impl Lock {
    /// Reads and checks the text of a lock. Looks at nothing but the text. `file_name` appears in messages.
    ///
    /// # Errors
    /// When it is of a later format, or is not what [`Lock::to_text`] writes: the first mistake, with its line.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Mistakes> {
        let source = SourceText::new(file_name, text);
        let refuse = |mistake: Mistake| Mistakes::new(&source, vec![mistake]);
        // A conflict that was left in it by a merge is no TOML, and said to be that.
        let document = document(&source).map_err(|mistakes| {
            let damaged =
                |mistake: Mistake| Mistake { code: codes::LOCK_DAMAGED.name, ..mistake.with_fix(DAMAGED_FIX) };
            Mistakes::new(&source, mistakes.into_list().into_iter().take(1).map(damaged).collect())
        })?;
        let format = document.get_ref().get("format");
        let number = format.and_then(|format| match format.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => None,
        });
        match number {
            Some(FORMAT) => {}
            Some(later @ 2..) => {
                let message = format!("this lock has format {later}, and this version reads format {FORMAT}");
                let span = format.map(|format| Span::from(format.span()));
                return Err(refuse(
                    Mistake::new(codes::LOCK_NEWER, message)
                        .at(span, "written by a later version")
                        .with_fix("use the version of Crossdock that wrote it, or a later one"),
                ));
            }
            _ => {
                let message = format!("this is no lock: it does not begin with `format = {FORMAT}`");
                let span = format.map(|format| Span::from(format.span()));
                return Err(refuse(
                    Mistake::new(codes::LOCK_DAMAGED, message).at(span, "not a format").with_fix(DAMAGED_FIX),
                ));
            }
        }
        let written: Written = toml::from_str(text).map_err(|error| {
            refuse(
                Mistake::new(codes::LOCK_DAMAGED, format!("this lock is damaged: {}", error.message().trim_end()))
                    .at(error.span().map(Span::from), "here")
                    .with_fix(DAMAGED_FIX),
            )
        })?;
        Ok(Self { plugins: written.plugins })
    }

    /// The text of the lock's file: the same for the same plugins, in the order of their names.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADING}\nformat = {FORMAT}\n");
        for (name, locked) in &self.plugins {
            let _ = write!(text, "\n[plugins.{name}]\n");
            let mut line = |key: &str, value: String| {
                let _ = writeln!(text, "{key} = {value}");
            };
            line("plugin", quoted(&locked.plugin));
            line("version", quoted(&locked.version));
            locked.from.iter().for_each(|from| line("from", quoted(from)));
            line("sha256", quoted(&locked.sha256));
            line("size_bytes", locked.size_bytes.to_string());
            line("contract", quoted(&locked.contract));
            line("role", quoted(&locked.role));
            line("exports", quoted_list(&locked.exports));
            line("wants", quoted_list(&locked.wants));
            line("imports", quoted_list(&locked.imports));
            locked.approved_at.iter().for_each(|at| line("approved_at", quoted(at)));
            locked.replaces.iter().for_each(|digest| line("replaces", quoted(digest)));
        }
        text
    }
}

const DAMAGED_FIX: &str = "bring the file back as it was, for example from version control; or remove it, look at the \
                           plugins with `crossdock plugin approve --all` and approve them";

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A list with an entry a line, so that a difference between two versions of the file shows what is new.
fn quoted_list(list: &[String]) -> String {
    match list {
        [] => "[]".to_owned(),
        list => format!("[\n{}]", list.iter().map(|entry| format!("    {},\n", quoted(entry))).collect::<String>()),
    }
}

fn checked_text<E: serde::de::Error>(text: String) -> Result<String, E> {
    let fits = (1..=TEXT_MAX_BYTES).contains(&text.len()) && !text.contains(char::is_control);
    if fits { Ok(text) } else { Err(E::custom(format!("a text has 1 to {TEXT_MAX_BYTES} bytes and no line breaks"))) }
}

fn checked_sha256<E: serde::de::Error>(text: String) -> Result<String, E> {
    let fits = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if fits { Ok(text) } else { Err(E::custom("a SHA-256 has 64 hexadecimal digits in lower case")) }
}

fn text<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    checked_text(String::deserialize(value)?)
}

fn some_text<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    text(value).map(Some)
}

fn sha256<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    checked_sha256(String::deserialize(value)?)
}

fn some_sha256<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    sha256(value).map(Some)
}

fn role<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let role = String::deserialize(value)?;
    let fits = matches!(role.as_str(), "source" | "transformer" | "destination");
    if fits { Ok(role) } else { Err(D::Error::custom("a role is `source`, `transformer` or `destination`")) }
}

fn list<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let list: Vec<String> = Vec::deserialize(value)?;
    if list.len() > LIST_MAX {
        return Err(D::Error::custom(format!("a list has at most {LIST_MAX} entries")));
    }
    let mut list = list.into_iter().map(checked_text).collect::<Result<Vec<_>, _>>()?;
    list.sort();
    list.dedup();
    Ok(list)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn lock() -> Lock {
        let locked = LockedPlugin {
            plugin: "map".into(),
            version: "0.1.0".into(),
            from: None,
            sha256: "a".repeat(64),
            size_bytes: 7,
            contract: "0.1.0".into(),
            role: "transformer".into(),
            exports: vec![],
            wants: vec!["http: the \"ERP\" \\ it's".into(), "secret: the token".into()],
            imports: vec!["log".into()],
            approved_at: None,
            replaces: None,
        };
        let approved = LockedPlugin {
            from: Some("ghcr.io/acme/book:1.2.0".into()),
            approved_at: Some("2026-11-22T08:00:00Z".into()),
            replaces: Some("b".repeat(64)),
            exports: vec!["compensate".into(), "probe".into()],
            ..locked.clone()
        };
        let name = |name: &str| PluginName::new(name).unwrap();
        Lock { plugins: BTreeMap::from([(name("shape"), locked), (name("book"), approved)]) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let text = lock().to_text();
        assert_eq!(Lock::parse("crossdock.lock", &text).unwrap(), lock());
        assert_eq!(Lock::parse("crossdock.lock", &text).unwrap().to_text(), text);
        assert!(text.find("[plugins.book]").unwrap() < text.find("[plugins.shape]").unwrap(), "{text}");
        let none = Lock::default().to_text();
        assert_eq!(Lock::parse("crossdock.lock", &none).unwrap(), Lock::default());
    }

    /// The lock with one change: what it is refused with, `code line: message`.
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        let text = lock().to_text();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        let text = text.replacen(from, to, 1);
        let mistakes = Lock::parse("crossdock.lock", &text).unwrap_err();
        let mistake = &mistakes.list()[0];
        let line = mistakes.position(mistake).map_or(0, |at| at.line);
        let found = format!("{} {line}: {}", mistake.code, mistake.message);
        assert!(found.starts_with(expected), "{found}\nexpected\n{expected}");
        assert!(mistake.fix.is_some(), "{found}");
    }

    #[test]
    fn locks_that_were_damaged() {
        let lines: Vec<_> = lock().to_text().lines().map(str::to_owned).collect();
        let line = |text: &str| 1 + lines.iter().position(|line| line.starts_with(text)).unwrap();
        check(
            "format = 1",
            "format = 2",
            "lock-newer-format 4: this lock has format 2, and this version reads format 1",
        );
        check("format = 1", "format = 2\nwhat = 1", "lock-newer-format 4");
        check("format = 1", "format = 0", "lock-damaged 4: this is no lock");
        check("format = 1", "format = \"1\"", "lock-damaged 4: this is no lock");
        check("format = 1", "", "lock-damaged 0: this is no lock");
        check("format = 1", "format = 1\nwhat = 1", "lock-damaged 5: this lock is damaged: unknown field `what`");
        check("[plugins.book]", "<<<<<<< HEAD\n[plugins.book]", "lock-damaged 6: this is not TOML");
        check(
            "[plugins.shape]",
            "[plugins.book]",
            &format!("lock-damaged {}: this is not TOML", line("[plugins.shape]")),
        );
        check("[plugins.shape]", "[plugins.Shape]", "lock-damaged");
        let digest = line("sha256 = ");
        check(
            &"a".repeat(64),
            &"a".repeat(63),
            &format!("lock-damaged {digest}: this lock is damaged: a SHA-256 has 64"),
        );
        check(
            &"a".repeat(64),
            &"A".repeat(64),
            &format!("lock-damaged {digest}: this lock is damaged: a SHA-256 has 64"),
        );
        check("size_bytes = 7", "size_bytes = -7", &format!("lock-damaged {}", digest + 1));
        check("\"transformer\"", "\"hub\"", &format!("lock-damaged {}: this lock is damaged: a role is", digest + 3));
        check(
            "\"log\"",
            "\"a\\u001b[31mb\"",
            &format!("lock-damaged {}: this lock is damaged: a text has", line("imports")),
        );
        check("\"log\"", "1", &format!("lock-damaged {}", 1 + line("imports")));
        check(
            "version = \"0.1.0\"\n",
            "",
            &format!("lock-damaged {}: this lock is damaged: missing field", line("[plugins.book]")),
        );
        check(&"b".repeat(64), "b", &format!("lock-damaged {}", line("replaces")));
    }
}
