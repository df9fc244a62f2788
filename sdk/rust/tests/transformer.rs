//! Transformers as authors write them, through the code that runs in the sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::testing::{self, Outcome, Transformed};
use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer};

/// Does what the payload says, so that a case is one string.
struct Obedient;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    limits: Limits,
}

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Limits {
    most: u32,
}

impl Transformer for Obedient {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("obedient", "1.0.0", "Does what it is told.")
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        match settings.limits.most {
            0 => Err(CallError::invalid_settings("nothing is not enough")),
            _ => Ok(Self),
        }
    }

    fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
        for word in record.text()?.split(' ') {
            match word.split_once('=') {
                Some(("attr", value)) => out.attribute("name", value),
                Some(("out", value)) => out.write(value),
                Some(("piece", value)) => out.with(|text| {
                    text.extend_from_slice(value.as_bytes());
                    if value.starts_with('!') { Err(Failure::new("piece", "no")) } else { Ok(()) }
                })?,
                Some(("json", value)) => out.json(&vec![value])?,
                _ => match word {
                    "copy" => out.copy(record),
                    "unjson" => out.json(&std::collections::HashMap::from([((1, 2), 3)]))?,
                    "drop" => return Ok(Transform::Dropped),
                    "fail" => return Err(Failure::new("told-so", "it was told to")),
                    "later" => return Ok(Transform::Retryable(Failure::new("later", "not now"))),
                    "typed" => {
                        record.json::<u8>()?;
                    }
                    _ => {}
                },
            }
        }
        Ok(Transform::Ok)
    }
}

crossdock_sdk::export_transformer!(Obedient);

fn shown(answer: &Transformed) -> String {
    let parts: Vec<String> = answer
        .outputs
        .iter()
        .map(|part| {
            let attributes =
                part.attributes.iter().map(|(name, value)| format!("@{name}={}", String::from_utf8_lossy(value)));
            part.text() + &attributes.collect::<String>()
        })
        .collect();
    match &answer.failure {
        Some(failure) => format!("{:?} {}", answer.outcome, failure.code()),
        None if parts.is_empty() => format!("{:?}", answer.outcome),
        None => parts.join(" | "),
    }
}

/// Gives all payloads in one batch, so that records stand beside each other.
fn check(cases: &[(&str, &str)]) {
    let mut obedient = testing::transformer::<Obedient>(r#"{ "limits": { "most": 1 } }"#).unwrap();
    let given: Vec<_> = cases.iter().map(|(payload, _)| testing::record(payload, payload)).collect();
    let answers = testing::transform(&mut obedient, &given);
    let found: Vec<String> = answers.iter().map(shown).collect();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(found, expected);
}

#[test]
fn one_output_each() {
    check(&[
        ("out=a", "a"),
        ("drop", "Dropped"),
        ("out=b fail", "Rejected told-so"),
        ("piece=c", "c"),
        ("out=x later", "Retryable later"),
        ("json=d", r#"["d"]"#),
        ("copy", "copy"),
    ]);
}

#[test]
fn splits_and_nothing() {
    check(&[
        ("out=a out=b", "a | b"),
        ("", "Rejected no-output"),
        ("out= out=c", " | c"),
        ("out=d drop", "Dropped"),
        ("piece=e piece=!f", "Rejected piece"),
        ("out=g unjson", "Rejected not-json"),
        ("out=h", "h"),
    ]);
}

#[test]
fn attributes_belong_to_outputs() {
    check(&[
        ("out=a", "a"),
        ("attr=x out=b attr=y", "b@name=y"),
        ("attr=x out=c", "c@name=x"),
        ("out=d attr=p out=e attr=q", "d@name=p | e@name=q"),
        ("out=f attr=z fail", "Rejected told-so"),
        ("out=g", "g"),
    ]);
}

#[test]
fn attributes_that_came_stay_unless_they_are_set_anew() {
    let mut obedient = testing::transformer::<Obedient>(r#"{ "limits": { "most": 1 } }"#).unwrap();
    let record = |payload: &str| testing::record(payload, payload).attribute("name", "old").attribute("other", "same");
    let answers = testing::transform(&mut obedient, &[record("drop"), record("out=a"), record("out=b attr=new out=c")]);
    assert_eq!(shown(&answers[1]), "a@name=old@other=same");
    assert_eq!(shown(&answers[2]), "b@name=new@other=same | c@name=old@other=same");
    let untouched = testing::transform(&mut obedient, &[record("out=a")]);
    assert_eq!(shown(&untouched[0]), "a@name=old@other=same");
}

#[test]
fn payloads_that_do_not_fit() {
    let mut obedient = testing::transformer::<Obedient>(r#"{ "limits": { "most": 1 } }"#).unwrap();
    let answers = testing::transform(
        &mut obedient,
        &[testing::record("1", b"\xff\xfe"), testing::record("2", "typed {"), testing::record("3", "out=fine")],
    );
    assert_eq!(shown(&answers[0]), "Rejected not-utf-8");
    assert_eq!(shown(&answers[1]), "Rejected not-json");
    assert_eq!(answers[2].outcome, Outcome::Ok);
}

#[test]
fn settings_that_do_not_fit_name_their_place() {
    let refused = |settings: &str| {
        let error = testing::transformer::<Obedient>(settings).err().unwrap();
        (error.failure().pointer_text().map(str::to_owned), error.failure().message().to_owned())
    };
    let (pointer, message) = refused(r#"{ "limits": { "most": "many" } }"#);
    assert_eq!(pointer.as_deref(), Some("/limits/most"));
    assert!(message.contains("invalid type: string \"many\", expected u32"), "{message}");
    assert!(!message.contains("line"), "{message}");
    let (pointer, _) = refused(r#"{ "limits": { "most": 1, "least": 0 } }"#);
    assert_eq!(pointer.as_deref(), Some("/limits/least"));
    let (pointer, message) = refused("{}");
    assert_eq!(pointer.as_deref(), Some(""));
    assert!(message.contains("missing field `limits`"), "{message}");
    let (_, message) = refused(r#"{ "limits": { "most": 1 } } x"#);
    assert!(message.contains("go on after their end"), "{message}");
    let (_, message) = refused(r#"{ "limits": { "most": 0 } }"#);
    assert_eq!(message, "nothing is not enough");
    let schema = testing::schema::<Settings>();
    assert_eq!(schema["$defs"]["Limits"]["properties"]["most"]["type"], "integer");
}
