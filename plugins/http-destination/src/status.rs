//! What the statuses of answers mean.

use crate::settings::StatusPattern;

/// A table from statuses to meanings. An exact status counts before its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table<M> {
    exact: Vec<(u16, M)>,
    classes: Vec<(u16, M)>,
}

/// A list of patterns that cannot be used, by the position of the pattern in its list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TableError<M> {
    pub(crate) list: M,
    pub(crate) position: usize,
    pub(crate) problem: String,
}

impl<M: Copy + PartialEq> Table<M> {
    /// A table of lists as they were written.
    pub(crate) fn new(lists: &[(M, &[StatusPattern])]) -> Result<Self, TableError<M>> {
        let mut table = Self { exact: Vec::new(), classes: Vec::new() };
        for (meaning, patterns) in lists {
            for (position, pattern) in patterns.iter().enumerate() {
                let refuse = |problem: String| TableError { list: *meaning, position, problem };
                let (known, number) = match pattern {
                    StatusPattern::Code(code @ 100..=599) => (&mut table.exact, *code),
                    StatusPattern::Code(code) => return Err(refuse(format!("{code} is not an HTTP status"))),
                    StatusPattern::Class(text) => match class(text) {
                        Some(class) => (&mut table.classes, class),
                        None => {
                            return Err(refuse(format!("`{text}` is neither a status nor a class such as \"4xx\"")));
                        }
                    },
                };
                if known.iter().any(|(other, meant)| *other == number && meant != meaning) {
                    return Err(refuse(format!("{pattern} stands in two lists")));
                }
                known.push((number, *meaning));
            }
        }
        Ok(table)
    }

    /// What a status means, if the table says so.
    pub(crate) fn of(&self, status: u16) -> Option<M> {
        let find =
            |list: &[(u16, M)], number| list.iter().find(|(known, _)| *known == number).map(|(_, meaning)| *meaning);
        find(&self.exact, status).or_else(|| find(&self.classes, status / 100))
    }
}

fn class(text: &str) -> Option<u16> {
    let digit = text.strip_suffix("xx")?.parse().ok()?;
    (1..=5).contains(&digit).then_some(digit)
}

/// What a status says of a record that was written or undone.
pub(crate) type Meaning = Result<Done, NotDone>;

/// It is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// By this request.
    Now,
    /// It was so already.
    Before,
}

/// It is not, or nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// Never.
    Rejected,
    /// Certainly not done, perhaps later.
    Retryable,
    /// Certainly not done, credentials refused.
    Unauthorized,
    /// Perhaps done.
    Unknown,
}

/// What a status means where the settings do not say it.
///
/// `repeatable` says that the same request again does no harm. Without it an internal error is `unknown`: a server that
/// answers 500 may have done its work before it broke, and a gateway that answers 502 or 504 has lost sight of a server
/// that may go on. 503 and 429 say that the work was not begun.
pub(crate) fn by_custom(status: u16, repeatable: bool) -> Meaning {
    match status {
        200..=299 => Ok(Done::Now),
        401 | 403 | 407 => Err(NotDone::Unauthorized),
        408 | 425 | 429 | 503 => Err(NotDone::Retryable),
        // The request was answered with "look there": it may be done, or not.
        303 => Err(NotDone::Unknown),
        300..=499 | 501 | 505 => Err(NotDone::Rejected),
        500..=599 if repeatable => Err(NotDone::Retryable),
        _ => Err(NotDone::Unknown),
    }
}

/// What an answer says of a record that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The answer's body decides, or it was applied if nothing is said of the body.
    Answered,
    NotApplied,
    /// Nothing can be said at the moment.
    Later,
    Unauthorized,
    /// Nothing can be said at all.
    Never,
}

impl Seen {
    /// What a status means where the settings do not say it.
    pub(crate) fn by_custom(status: u16) -> Self {
        match status {
            200..=299 => Self::Answered,
            404 | 410 => Self::NotApplied,
            401 | 403 | 407 => Self::Unauthorized,
            408 | 425 | 429 | 500..=599 => Self::Later,
            _ => Self::Never,
        }
    }
}
