//! The settings as written.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// What becomes of each record.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The fields of the output, in this order.
    pub fields: Table<Field>,
    /// Whether input fields that no rule names, at the top of the record, go into the output as they are.
    #[serde(default)]
    pub keep_rest: bool,
    /// Whether text that is empty, or only blanks, counts as missing.
    #[serde(default)]
    pub blank_is_missing: bool,
    /// A record is dropped if one of these holds.
    #[serde(default)]
    pub drop_when: Vec<Condition>,
    /// A record that is not dropped is rejected if one of these holds.
    #[serde(default)]
    pub reject_when: Vec<RejectWhen>,
}

/// One field of the output: a JSON pointer into the record, or a table that says more.
#[derive(Debug)]
pub enum Field {
    /// The value that the pointer leads to, as it is.
    Pointer(String),
    /// Anything else.
    Rule(Box<Rule>),
}

/// How a field of the output is made. Exactly one of `from`, `const` and `fields` says where it comes from.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// JSON pointer (RFC 6901) to the value in the record.
    pub from: Option<String>,
    /// This value, whatever the record holds.
    #[serde(rename = "const")]
    pub constant: Option<Value>,
    /// An object with these fields.
    pub fields: Option<Table<Field>>,
    /// With `from`: the value is a list, and each of its elements becomes an object with these fields. Their pointers
    /// begin at the element.
    pub each: Option<Table<Field>>,
    /// What the value is converted to; unless told it is passed on as it is.
    #[serde(rename = "type")]
    pub kind: Option<Kind>,
    /// With `decimal`: how many digits behind the point the output has, 0 to 28.
    pub scale: Option<u32>,
    /// With `scale`: what becomes of further digits; unless told a value that has them is rejected.
    pub round: Option<Round>,
    /// With `decimal`: how the output is written; `text` unless told.
    #[serde(rename = "as")]
    pub written_as: Option<WrittenAs>,
    /// The value is a date or time in one format and becomes one in another.
    pub date: Option<Date>,
    /// Whether blanks at both ends of text are taken away before anything else.
    pub trim: bool,
    /// Whether a record without the value is rejected, which is so unless told. If not, the field is left out.
    pub required: Option<bool>,
    /// What a record without the value gets instead.
    pub default: Option<Value>,
}

/// What a value is converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Text; numbers and truth values become their text.
    String,
    /// A number without a fraction, of at most 28 digits.
    Integer,
    /// A number; its digits stay as they are.
    Number,
    /// A number with its exact digits, for money.
    Decimal,
    /// `true`, `yes`, `1` or `false`, `no`, `0`, in any case.
    Boolean,
}

/// How digits behind the scale are taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Round {
    /// To the nearest; a half away from zero.
    HalfUp,
    /// To the nearest; a half to the even digit.
    HalfEven,
}

/// How a decimal is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WrittenAs {
    /// As JSON text, so that no reader makes a floating-point number of it.
    Text,
    /// As a JSON number with the same digits.
    Number,
}

/// Formats in the manner of strftime, for example `%Y-%m-%d`.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Date {
    /// How the record writes it. It must fit exactly: `%d` wants two digits, `%-d` none too many.
    pub from: String,
    /// How the output writes it.
    pub to: String,
}

/// What must hold for a record. Exactly one test; those on values want a `field`.
#[derive(Debug, Default, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// JSON pointer to the value. Without the value no test holds, but `missing`.
    pub field: Option<String>,
    /// The value is this one: text, number, truth value.
    pub equals: Option<Value>,
    /// The value is one of these.
    pub one_of: Option<Vec<Value>>,
    /// The value, a number or text that is one, is this number.
    pub equals_number: Option<Number>,
    /// The value, a number or text that is one, is smaller.
    pub less_than: Option<Number>,
    /// The value, a number or text that is one, is not greater.
    pub at_most: Option<Number>,
    /// The value, a number or text that is one, is greater.
    pub greater_than: Option<Number>,
    /// The value, a number or text that is one, is not smaller.
    pub at_least: Option<Number>,
    /// The value is missing, or null (`true`), or is there (`false`).
    pub missing: Option<bool>,
    /// All of these hold. Wants no `field`.
    pub all: Option<Vec<Condition>>,
    /// Whether the opposite must hold.
    pub not: bool,
}

/// When and how a record is rejected.
#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectWhen {
    /// What must hold.
    pub when: Condition,
    /// The failure's code: 1 to 64 of `a-z 0-9 - .`.
    pub code: String,
    /// The failure's line for people.
    pub message: String,
}

/// A number in the settings: JSON number, or text where every digit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(pub String);

/// A table that keeps the order in which it is written.
#[derive(Debug)]
pub struct Table<T>(pub Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rows<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
            type Value = Table<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of fields")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table<T>, A::Error> {
                let mut entries: Vec<(String, T)> = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, T>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("the field {name} stands here twice")));
                    }
                    entries.push((name, value));
                }
                Ok(Table(entries))
            }
        }

        deserializer.deserialize_map(Rows(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Table_of_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PointerOrRule;

        impl<'de> Visitor<'de> for PointerOrRule {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON pointer such as \"/customer\", or a table such as { from = \"/customer\" }")
            }

            fn visit_str<E: Error>(self, pointer: &str) -> Result<Field, E> {
                Ok(Field::Pointer(pointer.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
                Rule::deserialize(MapAccessDeserializer::new(map)).map(|rule| Field::Rule(Box::new(rule)))
            }
        }

        deserializer.deserialize_any(PointerOrRule)
    }
}

impl JsonSchema for Field {
    fn schema_name() -> Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<Rule>();
        let pointer = schemars::json_schema!({ "type": "string", "description": "JSON pointer (RFC 6901)." });
        schemars::json_schema!({ "anyOf": [pointer, rule] })
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(D::Error::custom(format!("{other} is no number"))),
        }
    }
}

impl JsonSchema for Number {
    fn schema_name() -> Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": ["string", "number"] })
    }
}
