//! Text with placeholders, such as `/documents/{{ target_id }}`: read once, filled for every record.

use std::{borrow::Cow, fmt};

use crossdock_sdk::{
    Failure,
    rest::{Pointer, scalar_text},
};
use serde_json::value::RawValue;

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The record's id.
    Id,
    /// Its idempotency key.
    Key,
    /// The id that the other system gave it.
    TargetId,
    /// A value within its payload.
    Payload(Pointer),
    /// A value beside its payload, such as `steps.reserve.target_id` or `event.code`.
    Attribute(String),
    /// A value within the answer to the write.
    Answer(Pointer),
    /// The records of one request, as a JSON array.
    Records,
}

/// What the host puts beside a record that is given to a handler. Some may be missing: a success has no code.
const EVENT: [&str; 9] = [
    "event.kind",
    "event.run",
    "event.record",
    "event.step",
    "event.target_id",
    "event.attempt",
    "event.code",
    "event.message",
    "event.status",
];

/// Where a template stands, which decides what it may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spot {
    /// Of one record that is written or asked about.
    Record,
    /// Of one record that is undone.
    Undo,
    /// Around the records of one request.
    Records,
    /// Of no record.
    Fixed,
}

impl Spot {
    fn allows(self, place: &Place) -> bool {
        match place {
            // A handler's work is never undone.
            place if place.is_event() => self == Self::Record,
            Place::Id | Place::Key | Place::Payload(_) | Place::Attribute(_) => {
                matches!(self, Self::Record | Self::Undo)
            }
            Place::TargetId | Place::Answer(_) => self == Self::Undo,
            Place::Records => self == Self::Records,
        }
    }

    fn known(self) -> &'static str {
        match self {
            Self::Record => {
                "here stand `id`, `key`, `payload`, `payload/FIELD`, `steps.STEP.target_id`, `attribute.NAME`, and in a \
                 handler `event.` with `kind`, `run`, `record`, `step`, `target_id`, `attempt`, `code`, `message` or \
                 `status`"
            }
            Self::Undo => {
                "here stand `id`, `key`, `target_id`, `payload/FIELD`, `answer/FIELD`, `steps.STEP.target_id`, \
                 `attribute.NAME`"
            }
            Self::Records => "here stands only `records`",
            Self::Fixed => "here no placeholder can stand, because it does not belong to one record",
        }
    }
}

impl Place {
    fn parse(text: &str, spot: Spot) -> Result<Self, String> {
        let place = match text {
            "id" => Self::Id,
            "key" => Self::Key,
            "target_id" => Self::TargetId,
            "records" => Self::Records,
            _ if text.starts_with("steps.") || EVENT.contains(&text) => Self::Attribute(text.to_owned()),
            _ => match (text.strip_prefix("payload"), text.strip_prefix("answer"), text.strip_prefix("attribute.")) {
                (Some(rest), ..) if begins_path(rest) => Self::Payload(path(rest)?),
                (_, Some(rest), _) if begins_path(rest) => Self::Answer(path(rest)?),
                (.., Some(name)) if !name.is_empty() => Self::Attribute(name.to_owned()),
                _ => return Err(format!("`{{{{ {text} }}}}` is not known; {}", spot.known())),
            },
        };
        if spot.allows(&place) {
            Ok(place)
        } else {
            Err(format!("`{{{{ {text} }}}}` has no value in this place; {}", spot.known()))
        }
    }

    /// Whether it is one of the values that a handler is given beside the record.
    fn is_event(&self) -> bool {
        matches!(self, Self::Attribute(name) if EVENT.contains(&name.as_str()))
    }

    /// The value at this place. Of what a handler is told, what is missing is an empty text.
    ///
    /// # Errors
    /// The record has none, or cannot be read.
    pub(crate) fn of<'v>(&self, values: &'v dyn Values) -> Result<Found<'v>, Failure> {
        match values.find(self)? {
            Some(found) => Ok(found),
            None if self.is_event() => Ok(Found::Text(Cow::Borrowed(""))),
            None => Err(self.missing()),
        }
    }

    /// The pointer into the payload, if the place is one within it.
    pub(crate) fn payload_pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Payload(pointer) => Some(pointer),
            _ => None,
        }
    }

    /// A failure that blames this place.
    pub(crate) fn failure(&self, code: &str, message: String) -> Failure {
        let failure = Failure::new(code, message);
        match self.payload_pointer() {
            Some(pointer) => failure.pointer(pointer.to_string()),
            None => failure,
        }
    }

    pub(crate) fn missing(&self) -> Failure {
        self.failure("missing-value", format!("the record has no {self}, which the request needs"))
    }
}

/// The place by its canonical name, under which receipts keep its value.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("id"),
            Self::Key => f.write_str("key"),
            Self::TargetId => f.write_str("target_id"),
            Self::Records => f.write_str("records"),
            Self::Payload(pointer) => write!(f, "payload{pointer}"),
            Self::Answer(pointer) => write!(f, "answer{pointer}"),
            Self::Attribute(name) => f.write_str(name),
        }
    }
}

fn begins_path(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '.'])
}

/// `/customer/name`, a JSON pointer, or `.customer.name` for names without dots.
fn path(rest: &str) -> Result<Pointer, String> {
    match rest.strip_prefix('.') {
        None => Pointer::parse(rest),
        Some(names) if names.split('.').any(str::is_empty) => Err(format!("`{rest}` has an empty name in it")),
        Some(names) => Ok(Pointer::of(names.split('.').map(str::to_owned))),
    }
}

/// What was found at a place.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Text(Cow<'a, str>),
    Json(&'a RawValue),
}

/// Where the values of one record come from.
pub(crate) trait Values {
    /// The value at a place; `None` if the record has none.
    ///
    /// # Errors
    /// The record cannot be read, for example because its payload is not JSON.
    fn find(&self, place: &Place) -> Result<Option<Found<'_>>, Failure>;
}

/// Values of a place where no placeholder can stand.
pub(crate) struct NoValues;

impl Values for NoValues {
    fn find(&self, _: &Place) -> Result<Option<Found<'_>>, Failure> {
        Ok(None)
    }
}

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Place(Place),
}

/// Where the finished text goes, which decides how a value is written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// Percent-encoded, never empty.
    Url,
    /// Without control characters.
    Header,
    /// As it is.
    Body,
}

impl Text {
    /// Reads a template; the error names the placeholder that is wrong.
    pub(crate) fn parse(text: &str, spot: Spot) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let Some((inner, behind)) = after.split_once("}}") else {
                return Err(format!("a `{{{{` in `{text}` has no `}}}}`"));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Place(Place::parse(inner.trim(), spot)?));
            rest = behind;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// One placeholder and nothing else.
    pub(crate) fn of(place: Place) -> Self {
        Self(vec![Part::Place(place)])
    }

    /// The place, if the text is one placeholder and nothing else.
    pub(crate) fn whole(&self) -> Option<&Place> {
        match self.0.as_slice() {
            [Part::Place(place)] => Some(place),
            _ => None,
        }
    }

    /// The same text behind another one.
    pub(crate) fn after(mut self, base: &str) -> Self {
        self.0.insert(0, Part::Literal(base.to_owned()));
        self
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter_map(|part| match part {
            Part::Place(place) => Some(place),
            Part::Literal(_) => None,
        })
    }

    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(text.as_str()),
            Part::Place(_) => None,
        })
    }

    /// What the text begins with, before any placeholder.
    pub(crate) fn first_literal(&self) -> &str {
        match self.0.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }

    /// The text with the values of one record in it.
    ///
    /// # Errors
    /// The record has no value for a placeholder, or one that cannot stand there.
    pub(crate) fn render(&self, values: &dyn Values, into: Into) -> Result<String, Failure> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Place(place) => insert(&mut out, place, values, into)?,
            }
        }
        Ok(out)
    }
}

fn insert(out: &mut String, place: &Place, values: &dyn Values, into: Into) -> Result<(), Failure> {
    let text = match place.of(values)? {
        Found::Text(text) => text,
        Found::Json(raw) if raw.get() == "null" => return Err(place.missing()),
        Found::Json(raw) => Cow::Owned(scalar_text(raw).ok_or_else(|| {
            place.failure(
                "not-a-single-value",
                format!("the {place} is an object or array and cannot stand within text"),
            )
        })?),
    };
    match into {
        // Without a value a path would lead elsewhere; a field of the query may well be empty.
        Into::Url if text.is_empty() && !(place.is_event() && out.contains('?')) => return Err(place.missing()),
        Into::Url => percent_encode(out, &text),
        Into::Header if text.chars().any(char::is_control) => {
            return Err(place
                .failure("control-character", format!("the {place} holds a control character, which no header can")));
        }
        Into::Header | Into::Body => out.push_str(&text),
    }
    Ok(())
}

/// Encodes all but the unreserved characters of RFC 3986, so that a value can neither end a path segment nor begin
/// another query field.
fn percent_encode(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
