//! The transformer.

use crate::input::{Document, Kind, Pointer, Value, excerpt, is_blank};
use crate::plan::{Absent, Content, Object, Plan};
use crate::settings::Settings;
use crossdock_sdk::json::push_text;
use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer};

/// The plugin `map`.
#[derive(Debug)]
pub struct Map {
    plan: Plan,
}

impl Transformer for Map {
    type Settings = Settings;

    fn describe() -> Description {
        let summary = "Renames and converts fields of JSON records, drops and rejects records by conditions.";
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), summary).max_batch(10_000)
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Plan::new(settings).map(|plan| Self { plan })
    }

    fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
        let document = Document::read(record.payload())?;
        let plan = &self.plan;
        for condition in &plan.drop_when {
            if condition.holds(&document, plan.blank_is_missing)? {
                return Ok(Transform::Dropped);
            }
        }
        for reject in &plan.reject_when {
            if reject.when.holds(&document, plan.blank_is_missing)? {
                return Err(reject.failure(&document));
            }
        }
        out.with(|text| plan.write(&document, text))?;
        Ok(Transform::Ok)
    }
}

/// Where in the record a part of it stands.
#[derive(Clone, Copy)]
enum Place<'a> {
    Top,
    Element { list: &'a Place<'a>, pointer: &'a Pointer, index: usize },
}

impl Place<'_> {
    fn pointer(self, to: &Pointer) -> String {
        let text = self.text();
        text + to.text()
    }

    fn text(self) -> String {
        match self {
            Self::Top => String::new(),
            Self::Element { list, pointer, index } => format!("{}/{index}", list.pointer(pointer)),
        }
    }
}

impl Plan {
    /// Writes the output for a record.
    fn write(&self, record: &Document<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let begin = out.len();
        self.object(&self.object, record, Place::Top, out)?;
        if let Some(named) = &self.named {
            // Over the closing brace again.
            out.pop();
            for member in record.members() {
                let name = &*member.name();
                let taken = named.iter().any(|known| known == name)
                    || self.object.members.iter().any(|member| member.name == name);
                if !taken {
                    separate(begin, out);
                    push_text(out, name);
                    out.push(b':');
                    out.extend_from_slice(member.value.bytes());
                }
            }
            out.push(b'}');
        }
        Ok(())
    }

    fn object(
        &self,
        object: &Object,
        input: &Document<'_>,
        place: Place<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let begin = out.len();
        out.push(b'{');
        for member in &object.members {
            let end = out.len();
            separate(begin, out);
            out.extend_from_slice(&member.start);
            if !self.content(&member.content, input, place, out)? {
                out.truncate(end);
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Writes what stands behind a field's name, and says whether there is anything.
    fn content(
        &self,
        content: &Content,
        input: &Document<'_>,
        place: Place<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        match content {
            Content::Constant(json) => out.extend_from_slice(json),
            Content::Object(object) => self.object(object, input, place, out)?,
            Content::Value { from, absent, trim, conversion } => match self.find(input, from) {
                Some(value) => {
                    let converted = conversion.convert(value, *trim, out);
                    converted.map_err(|refusal| blame(refusal.code, refusal.message, place, from, value))?;
                }
                None => return absent.write(place, from, out),
            },
            Content::Each { from, absent, object } => match self.find(input, from) {
                Some(value) => {
                    if value.kind() != Kind::List {
                        return Err(blame("not-a-list", "the value is no list".to_owned(), place, from, value));
                    }
                    out.push(b'[');
                    for (index, element) in value.elements().enumerate() {
                        if index > 0 {
                            out.push(b',');
                        }
                        let place = Place::Element { list: &place, pointer: from, index };
                        self.object(object, &Document::of(element), place, out)?;
                    }
                    out.push(b']');
                }
                None => return absent.write(place, from, out),
            },
        }
        Ok(true)
    }

    fn find<'a>(&self, input: &Document<'a>, from: &Pointer) -> Option<Value<'a>> {
        input.find(from).filter(|value| !(self.blank_is_missing && is_blank(*value)))
    }
}

impl Absent {
    fn write(&self, place: Place<'_>, from: &Pointer, out: &mut Vec<u8>) -> Result<bool, Failure> {
        match self {
            Self::Default(json) => {
                out.extend_from_slice(json);
                Ok(true)
            }
            Self::LeaveOut => Ok(false),
            Self::Reject => {
                Err(Failure::new("missing-field", "a required value is missing").pointer(place.pointer(from)))
            }
        }
    }
}

/// Puts a comma unless the object that began at `begin` is still empty.
fn separate(begin: usize, out: &mut Vec<u8>) {
    if out.len() > begin + 1 {
        out.push(b',');
    }
}

fn blame(code: &'static str, message: String, place: Place<'_>, from: &Pointer, value: Value<'_>) -> Failure {
    Failure::new(code, message).pointer(place.pointer(from)).detail(excerpt(value))
}
