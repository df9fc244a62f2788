//! The settings as meant: checked, and prepared so that little is left to do for each record.

use crate::condition::{Condition, Constant, Test};
use crate::convert::Conversion;
use crate::date::DateFormats;
use crate::input::{Document, Pointer, excerpt};
use crate::number;
use crate::settings::{self, Field, Kind, Number, Rule, Settings, Table, WrittenAs};
use crossdock_sdk::json::push_text;
use crossdock_sdk::{CallError, Failure};
use rust_decimal::Decimal;
use serde_json::Value;
use std::cmp::Ordering;

/// What is done with each record.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) object: Object,
    /// The names of input fields that the rules name: the others are the rest. Only if it is kept.
    pub(crate) named: Option<Vec<String>>,
    pub(crate) blank_is_missing: bool,
    pub(crate) drop_when: Vec<Condition>,
    pub(crate) reject_when: Vec<Reject>,
}

/// When and how a record is rejected.
#[derive(Debug)]
pub(crate) struct Reject {
    pub(crate) when: Condition,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// An object of the output.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) members: Vec<Member>,
}

/// A field of the output.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The name as JSON text with a colon behind it.
    pub(crate) start: Vec<u8>,
    pub(crate) content: Content,
}

/// Where a field comes from.
#[derive(Debug)]
pub(crate) enum Content {
    /// JSON text that is always the same.
    Constant(Vec<u8>),
    Object(Object),
    Value {
        from: Pointer,
        absent: Absent,
        trim: bool,
        conversion: Conversion,
    },
    Each {
        from: Pointer,
        absent: Absent,
        object: Object,
    },
}

/// What becomes of a field whose value is missing.
#[derive(Debug)]
pub(crate) enum Absent {
    /// The record is rejected.
    Reject,
    /// The field is left out.
    LeaveOut,
    /// It gets this JSON text.
    Default(Vec<u8>),
}

type Checked<T> = Result<T, CallError>;

/// A mistake in the settings; the place is a JSON pointer into them.
fn mistake(place: &str, what: &str) -> CallError {
    let message = format!("the setting {place} does not make sense: {what}");
    CallError::invalid_settings(Failure::new("invalid-settings", message).pointer(place))
}

/// The place one level down.
fn under(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

impl Plan {
    /// Checks the settings.
    pub(crate) fn new(settings: Settings) -> Checked<Self> {
        let Settings { fields, keep_rest, blank_is_missing, drop_when, reject_when } = settings;
        let object = Object::new(fields, "/fields")?;
        let named = keep_rest.then(|| {
            let mut named = Vec::new();
            object.collect_names(&mut named);
            named
        });
        let drop_when = drop_when.into_iter().enumerate();
        let drop_when = drop_when.map(|(index, when)| condition(when, &format!("/drop_when/{index}")));
        let reject_when = reject_when.into_iter().enumerate();
        let reject_when = reject_when.map(|(index, reject)| Reject::new(reject, &format!("/reject_when/{index}")));
        Ok(Self {
            object,
            named,
            blank_is_missing,
            drop_when: drop_when.collect::<Checked<_>>()?,
            reject_when: reject_when.collect::<Checked<_>>()?,
        })
    }
}

impl Reject {
    /// The failure of a record for which the condition holds, with the value that was tested.
    pub(crate) fn failure(&self, record: &Document<'_>) -> Failure {
        let failure = Failure::new(self.code.clone(), self.message.clone());
        match self.when.pointer() {
            Some(pointer) => match record.find(pointer) {
                Some(value) => failure.pointer(pointer.text()).detail(excerpt(value)),
                None => failure.pointer(pointer.text()),
            },
            None => failure,
        }
    }

    fn new(reject: settings::RejectWhen, place: &str) -> Checked<Self> {
        let settings::RejectWhen { when, code, message } = reject;
        let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if !(1..=64).contains(&code.len()) || !code.chars().all(fine) {
            return Err(mistake(&under(place, "code"), "a code is 1 to 64 of `a-z 0-9 - .`"));
        }
        Ok(Self { when: condition(when, &under(place, "when"))?, code, message })
    }
}

impl Object {
    fn new(Table(fields): Table<Field>, place: &str) -> Checked<Self> {
        let member = |(name, field): (String, Field)| {
            let content = content(field, &under(place, &name))?;
            let mut start = Vec::new();
            push_text(&mut start, &name);
            start.push(b':');
            Ok(Member { name, start, content })
        };
        Ok(Self { members: fields.into_iter().map(member).collect::<Checked<_>>()? })
    }

    /// The names at the top of the record that are asked for. Pointers within `each` begin elsewhere.
    fn collect_names(&self, names: &mut Vec<String>) {
        for member in &self.members {
            match &member.content {
                Content::Constant(_) => {}
                Content::Object(object) => object.collect_names(names),
                Content::Value { from, .. } | Content::Each { from, .. } => {
                    names.extend(from.first().map(str::to_owned));
                }
            }
        }
    }
}

fn content(field: Field, place: &str) -> Checked<Content> {
    let rule = match field {
        Field::Pointer(from) => Rule { from: Some(from), ..Rule::default() },
        Field::Rule(rule) => *rule,
    };
    let sources =
        usize::from(rule.from.is_some()) + usize::from(rule.constant.is_some()) + usize::from(rule.fields.is_some());
    if sources != 1 {
        return Err(mistake(place, "exactly one of `from`, `const` and `fields` says where the field comes from"));
    }
    if rule.from.is_none() {
        only_with_from(&rule, place)?;
    }
    match rule {
        Rule { constant: Some(value), .. } => Ok(Content::Constant(value.to_string().into_bytes())),
        Rule { fields: Some(fields), .. } => Ok(Content::Object(Object::new(fields, &under(place, "fields"))?)),
        rule => from_value(rule, place),
    }
}

/// Refuses what only makes sense for a value from the record.
fn only_with_from(rule: &Rule, place: &str) -> Checked<()> {
    let given = [
        ("each", rule.each.is_some()),
        ("type", rule.kind.is_some()),
        ("scale", rule.scale.is_some()),
        ("round", rule.round.is_some()),
        ("as", rule.written_as.is_some()),
        ("date", rule.date.is_some()),
        ("trim", rule.trim),
        ("required", rule.required.is_some()),
        ("default", rule.default.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((name, _)) => Err(mistake(&under(place, name), &format!("`{name}` goes with `from`"))),
        None => Ok(()),
    }
}

fn from_value(mut rule: Rule, place: &str) -> Checked<Content> {
    let from = pointer(&rule.from.take().unwrap_or_default(), &under(place, "from"))?;
    let absent = match (rule.required, rule.default.take()) {
        (Some(true), Some(_)) => {
            return Err(mistake(place, "`required` and `default` exclude each other"));
        }
        (_, Some(value)) => Absent::Default(value.to_string().into_bytes()),
        (Some(false), None) => Absent::LeaveOut,
        (Some(true) | None, None) => Absent::Reject,
    };
    if let Some(fields) = rule.each.take() {
        if rule.kind.is_some() || rule.date.is_some() || rule.trim {
            return Err(mistake(place, "`each` makes objects of a list; `type`, `date` and `trim` go to their fields"));
        }
        return Ok(Content::Each { from, absent, object: Object::new(fields, &under(place, "each"))? });
    }
    let trim = rule.trim;
    Ok(Content::Value { from, absent, trim, conversion: conversion(rule, place)? })
}

fn conversion(rule: Rule, place: &str) -> Checked<Conversion> {
    let decimal = rule.kind == Some(Kind::Decimal);
    if !decimal && (rule.scale.is_some() || rule.round.is_some() || rule.written_as.is_some()) {
        return Err(mistake(place, "`scale`, `round` and `as` go with `type = \"decimal\"`"));
    }
    if rule.round.is_some() && rule.scale.is_none() {
        return Err(mistake(&under(place, "round"), "`round` goes with `scale`"));
    }
    if rule.scale.is_some_and(|scale| scale > Decimal::MAX_SCALE) {
        return Err(mistake(&under(place, "scale"), "a number has at most 28 digits behind the point"));
    }
    match (rule.kind, rule.date) {
        (Some(_), Some(_)) => Err(mistake(place, "`type` and `date` exclude each other")),
        (None, None) => Ok(Conversion::AsIs),
        (Some(Kind::String), None) => Ok(Conversion::Text),
        (Some(Kind::Integer), None) => Ok(Conversion::Integer),
        (Some(Kind::Number), None) => Ok(Conversion::Number),
        (Some(Kind::Boolean), None) => Ok(Conversion::Boolean),
        (Some(Kind::Decimal), None) => {
            let as_text = rule.written_as != Some(WrittenAs::Number);
            Ok(Conversion::Decimal { scale: rule.scale, round: rule.round, as_text })
        }
        (None, Some(settings::Date { from, to })) => match DateFormats::new(&from, &to) {
            Ok(formats) => Ok(Conversion::Date(formats)),
            Err((which, why)) => Err(mistake(&under(&under(place, "date"), which), &why)),
        },
    }
}

fn pointer(text: &str, place: &str) -> Checked<Pointer> {
    Pointer::parse(text).ok_or_else(|| {
        mistake(place, &format!("{text:?} is no JSON pointer; one begins with a slash, for example \"/customer/name\""))
    })
}

fn condition(when: settings::Condition, place: &str) -> Checked<Condition> {
    let settings::Condition {
        field,
        equals,
        one_of,
        equals_number,
        less_than,
        at_most,
        greater_than,
        at_least,
        missing,
        all,
        not,
    } = when;
    let comparisons: [(&str, Option<Number>, &'static [Ordering]); 5] = [
        ("equals_number", equals_number, &[Ordering::Equal]),
        ("less_than", less_than, &[Ordering::Less]),
        ("at_most", at_most, &[Ordering::Less, Ordering::Equal]),
        ("greater_than", greater_than, &[Ordering::Greater]),
        ("at_least", at_least, &[Ordering::Greater, Ordering::Equal]),
    ];
    let find = || match &field {
        Some(text) => pointer(text, &under(place, "field")),
        None => Err(mistake(place, "`field` has to say which value is tested")),
    };
    let mut tests = Vec::new();
    if let Some(value) = equals {
        tests.push(Test::OneOf(find()?, vec![constant(&value, &under(place, "equals"))?]));
    }
    if let Some(values) = one_of {
        let place = under(place, "one_of");
        let constants = values.iter().map(|value| constant(value, &place)).collect::<Checked<_>>()?;
        tests.push(Test::OneOf(find()?, constants));
    }
    for (name, number, orders) in comparisons {
        if let Some(Number(text)) = number {
            let number = number::parse(&text).ok_or_else(|| mistake(&under(place, name), "it is no number"))?;
            tests.push(Test::Compares(find()?, number, orders));
        }
    }
    if let Some(missing) = missing {
        tests.push(Test::Missing(find()?, missing));
    }
    if let Some(conditions) = all {
        if field.is_some() {
            return Err(mistake(&under(place, "field"), "`all` tests no value of its own"));
        }
        let conditions = conditions.into_iter().enumerate();
        let conditions = conditions.map(|(index, when)| condition(when, &format!("{place}/all/{index}")));
        tests.push(Test::All(conditions.collect::<Checked<_>>()?));
    }
    match (tests.pop(), tests.is_empty()) {
        (Some(test), true) => Ok(Condition { test, not }),
        _ => Err(mistake(place, "a condition has exactly one test, for example `equals` or `less_than`")),
    }
}

fn constant(value: &Value, place: &str) -> Checked<Constant> {
    match value {
        Value::String(text) => Ok(Constant::Text(text.clone())),
        Value::Bool(truth) => Ok(Constant::Boolean(*truth)),
        Value::Number(number) => number::parse(&number.to_string())
            .map(Constant::Number)
            .ok_or_else(|| mistake(place, "a number has at most 28 digits")),
        _ => Err(mistake(place, "values are compared with text, numbers and truth values")),
    }
}
