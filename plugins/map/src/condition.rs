//! What must hold for a record.

use crate::convert::number_of;
use crate::input::{Document, Kind, Pointer, Value, excerpt, is_blank};
use crossdock_sdk::Failure;
use rust_decimal::Decimal;
use std::cmp::Ordering;

/// A condition as meant.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) test: Test,
    /// Whether the opposite must hold.
    pub(crate) not: bool,
}

/// What is tested.
#[derive(Debug)]
pub(crate) enum Test {
    /// The value is one of these.
    OneOf(Pointer, Vec<Constant>),
    /// The value compares to a number in one of these ways.
    Compares(Pointer, Decimal, &'static [Ordering]),
    /// The value is missing (`true`) or there (`false`).
    Missing(Pointer, bool),
    /// All of these hold.
    All(Vec<Condition>),
}

/// A value to compare with.
#[derive(Debug)]
pub(crate) enum Constant {
    Text(String),
    Number(Decimal),
    Boolean(bool),
}

impl Constant {
    fn is(&self, value: Value<'_>) -> bool {
        match (self, value.kind()) {
            (Self::Text(text), Kind::Text) => value.plain().is_some_and(|plain| plain == text.as_str()),
            (Self::Number(number), Kind::Number) => number_of(value, false) == Some(*number),
            (Self::Boolean(truth), Kind::Boolean) => value.raw() == if *truth { "true" } else { "false" },
            _ => false,
        }
    }
}

impl Condition {
    /// The value that is tested, if it is a single one.
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        match &self.test {
            Test::OneOf(pointer, _) | Test::Compares(pointer, _, _) | Test::Missing(pointer, _) => Some(pointer),
            Test::All(_) => None,
        }
    }

    /// Whether the condition holds. Without the value no test holds but `missing`, nor does its opposite.
    ///
    /// # Errors
    /// A value that is to be compared with a number is none.
    pub(crate) fn holds(&self, record: &Document<'_>, blank_is_missing: bool) -> Result<bool, Failure> {
        let find = |pointer: &Pointer| record.find(pointer).filter(|value| !(blank_is_missing && is_blank(*value)));
        let holds = match &self.test {
            Test::OneOf(pointer, constants) => match find(pointer) {
                Some(value) => constants.iter().any(|constant| constant.is(value)),
                None => return Ok(false),
            },
            Test::Compares(pointer, number, orders) => match find(pointer) {
                Some(value) => {
                    let found = number_of(value, true).ok_or_else(|| not_a_number(pointer, value))?;
                    orders.contains(&found.cmp(number))
                }
                None => return Ok(false),
            },
            Test::Missing(pointer, missing) => find(pointer).is_none() == *missing,
            Test::All(conditions) => {
                let mut all = true;
                for condition in conditions {
                    all = all && condition.holds(record, blank_is_missing)?;
                }
                all
            }
        };
        Ok(holds != self.not)
    }
}

fn not_a_number(pointer: &Pointer, value: Value<'_>) -> Failure {
    Failure::new("not-a-number", "a condition compares the value with a number, and it is none")
        .pointer(pointer.text())
        .detail(excerpt(value))
}
