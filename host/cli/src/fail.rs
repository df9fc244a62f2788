//! What ends a verb before its work is done, as text and as JSON.

use crate::text::{Paint, clean, clean_lines, indent};
use crossdock::{Error, ErrorClass};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;

/// Why a verb could not do its work.
#[derive(Debug)]
pub(crate) enum Fail {
    /// The host said so.
    Host(Box<Error>),
    /// The command itself found that what was asked cannot be done.
    Said {
        /// The name of a code with a page, if there is one.
        code: Option<&'static str>,
        /// Who can do something about it.
        class: ErrorClass,
        /// What was being done and what went wrong.
        message: String,
        /// What to do next.
        fix: String,
    },
    /// Stdout or stderr could not be written to.
    Output(io::Error),
    /// Asked for by a second Ctrl-C.
    Interrupted,
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Host(Box::new(error))
    }
}

impl Fail {
    /// What was given cannot work as it is.
    pub(crate) fn given(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Said { code: None, class: ErrorClass::InvalidInput, message: message.into(), fix: fix.into() }
    }

    /// The same with a code.
    pub(crate) fn coded(code: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Said { code: Some(code), class: ErrorClass::InvalidInput, message: message.into(), fix: fix.into() }
    }

    /// A mistake of ours, or of the machine.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let fix = "Try again; please report it if that does not help.".to_owned();
        Self::Said { code: None, class: ErrorClass::Internal, message: message.into(), fix }
    }

    /// The exit code for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Host(error) => error.class().exit_code(),
            Self::Said { class, .. } => class.exit_code(),
            Self::Output(_) => ErrorClass::Environment.exit_code(),
            Self::Interrupted => 130,
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Host(error) => Some(error.code()),
            Self::Said { code, .. } => *code,
            Self::Output(_) | Self::Interrupted => None,
        }
    }

    fn fix(&self) -> Option<&str> {
        match self {
            Self::Host(error) => error.fix(),
            Self::Said { fix, .. } => Some(fix),
            Self::Output(_) => Some("Check where the output goes: a full disk, or a closed terminal."),
            Self::Interrupted => Some("Run the route again: it goes on where it stopped."),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Host(error) => error.to_string(),
            Self::Said { message, .. } => message.clone(),
            Self::Output(error) => format!("writing the output: {error}"),
            Self::Interrupted => "stopped at once; what was under way is in the ledger".to_owned(),
        }
    }

    /// For people: several lines, the last one with a line break.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        let mistakes = match self {
            Self::Host(error) => error.render_mistakes(paint.color),
            _ => None,
        };
        let shown = mistakes.is_some();
        if let Some(mistakes) = mistakes {
            out.push_str(&mistakes);
        } else {
            let title = self.code().map_or("error".to_owned(), |code| format!("error[{}]", clean(code)));
            let message = self.message();
            let (first, detail) = message.split_once('\n').unwrap_or((&message, ""));
            let _ = writeln!(out, "{}: {}", paint.error(&title), clean(first.trim_end()));
            out.push_str(&indent(&clean_lines(detail), 2));
        }
        if let Some(fix) = self.fix().filter(|_| !shown) {
            let _ = writeln!(out, "{} {}", paint.bold("fix:"), clean(fix));
        }
        if let Some(code) = self.code().filter(|code| crate::codes::explain(code).is_some()) {
            let _ = writeln!(out, "{} crossdock explain {code}", paint.bold("more:"));
        }
        out
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let error = match self {
            Self::Host(error) => serde_json::to_value(error).unwrap_or_else(|_| json!({ "message": self.message() })),
            _ => {
                let mut error = serde_json::Map::new();
                if let Some(code) = self.code() {
                    error.insert("code".into(), code.into());
                }
                error.insert("message".into(), self.message().into());
                if let Some(fix) = self.fix() {
                    error.insert("fix".into(), fix.into());
                }
                Value::Object(error)
            }
        };
        json!({ "error": error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_went_wrong_and_what_to_do() {
        let fail = Fail::coded("records-none", "looking\x07 for a: none\nin r1\x1b", "Look at `crossdock records`.");
        let expected = "error[records-none]: looking\\u{7} for a: none\n  in r1\\u{1b}\nfix: Look at `crossdock records`.\n\
                        more: crossdock explain records-none\n";
        assert_eq!(fail.render(Paint::default()), expected);
        assert_eq!(fail.exit_code(), 2);
        let expected = json!({ "error": {
            "code": "records-none", "message": "looking\x07 for a: none\nin r1\x1b", "fix": "Look at `crossdock records`."
        } });
        assert_eq!(fail.to_json(), expected);
    }

    #[test]
    fn no_code_no_page() {
        assert_eq!(Fail::given("no", "do").render(Paint::default()), "error: no\nfix: do\n");
        assert!(Fail::given("no", "do").render(Paint { color: true }).starts_with("\x1b[1;31merror\x1b[0m"));
        assert_eq!(Fail::Interrupted.exit_code(), 130);
        assert_eq!(Fail::internal("x").exit_code(), 1);
    }

    #[test]
    fn the_codes_that_are_said_have_pages() {
        for code in ["records-changed", "records-none", "records-several-routes"] {
            assert!(crate::codes::explain(code).is_some(), "{code}");
        }
    }
}
