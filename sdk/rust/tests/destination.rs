//! Destinations as authors write them, through the code that runs in the sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::http::{self, HttpError, Request, Response, Value};
use crossdock_sdk::testing::{self, Outcome, Written};
use crossdock_sdk::{
    Answers, Atomicity, Batch, CallError, Compensate, Description, Destination, DestinationAbilities, Failure, Finding,
    Idempotency, Probe, ProbeAnswers, Undo, UndoAnswers, UndoBatch, Write, secrets,
};

/// Posts each record; what became of it, the other side says.
struct Poster;

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Settings {}

impl Poster {
    fn post(record: &crossdock_sdk::Record<'_>) -> Result<Write<'static>, Failure> {
        let token = secrets::open("TOKEN").map_err(|error| Failure::new("no-token", error.to_string()))?;
        let request = Request::post("http://localhost/documents")
            .header("authorization", Value::bearer(token))
            .header("idempotency-key", record.key())
            .body(record.payload())
            .for_record(record);
        Ok(match http::send(request) {
            Ok(answer) if answer.status == 201 => {
                Write::applied().target_id(answer.text().into_owned()).receipt(record.id().to_owned())
            }
            Ok(answer) if answer.status == 200 => Write::unchanged(),
            Ok(answer) => {
                Write::rejected(Failure::new(format!("http-{}", answer.status), "refused").detail(answer.text()))
            }
            Err(error) if error.may_have_been_sent() => Write::unknown(error.into()),
            Err(error) => Write::retryable(error.into()),
        })
    }
}

impl Destination for Poster {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("poster", "1.0.0", "Posts.").wants_http("the server").wants_secret("its token")
    }

    fn new(_: Settings) -> Result<Self, CallError> {
        Ok(Self)
    }

    fn abilities(&self) -> DestinationAbilities {
        let (idempotency, atomicity) = (Idempotency::NativeKey, Atomicity::PerRecord);
        DestinationAbilities { idempotency, atomicity, compensates: true }
    }

    fn write(&mut self, _: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        answers.one_by_one(1_000, Self::post);
        Ok(())
    }
}

impl Compensate for Poster {
    fn compensate(&mut self, _: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError> {
        answers.one_by_one(1_000, |record| match record.receipt() {
            b"" => Err(Failure::new("no-receipt", "nothing tells what to undo")),
            _ if record.target_id() == "gone" => Ok(Undo::unchanged()),
            _ => Ok(Undo::undone()),
        });
        Ok(())
    }
}

impl Probe for Poster {
    fn probe(&mut self, _: &Batch<'_>, answers: &mut ProbeAnswers<'_>) -> Result<(), CallError> {
        answers.one_by_one(1_000, |record| match record.payload() {
            b"there" => Ok(Finding::applied().target_id("DOC").receipt("r")),
            b"odd" => Err(Failure::new("odd", "nobody can say")),
            _ => Ok(Finding::not_applied()),
        });
        Ok(())
    }
}

crossdock_sdk::export_destination!(Poster, compensate, probe);

/// A server that does what the body says.
fn serve() {
    testing::reset();
    testing::secret("TOKEN", "s3cret");
    testing::http(|request| {
        let (_, authorization) = &request.headers[0];
        assert_eq!(testing::rendered(authorization), "Bearer s3cret");
        assert!(request.handle.is_some_and(|handle| handle > 7_000));
        match &request.body[..] {
            b"lost" => Err(HttpError::NoAnswer("cut".to_owned())),
            b"down" => Err(HttpError::NotConnected("refused".to_owned())),
            b"known" => Ok(Response::new(200, "")),
            b"bad" => Ok(Response::new(422, "the amount is missing")),
            body => Ok(Response::new(201, [b"DOC-", body].concat())),
        }
    });
}

fn shown(answers: &[Written]) -> Vec<String> {
    let one = |answer: &Written| match &answer.failure {
        Some(failure) => format!("{:?} {}", answer.outcome, failure.code()),
        None => format!("{:?} {} {}", answer.outcome, answer.target_id, String::from_utf8_lossy(&answer.receipt)),
    };
    answers.iter().map(|answer| one(answer).trim_end().to_owned()).collect()
}

fn given(payloads: &[&str]) -> Vec<testing::Given> {
    payloads.iter().enumerate().map(|(index, payload)| testing::record(&format!("r{index}"), payload)).collect()
}

fn check(payloads: &[&str], stop: bool, expected: &[&str]) {
    let mut poster = testing::destination::<Poster>("{}").unwrap();
    let records = given(payloads);
    let answers = match stop {
        true => testing::write_until_failure(&mut poster, &records),
        false => testing::write(&mut poster, &records),
    };
    assert_eq!(shown(&answers.unwrap()), expected, "{payloads:?}");
}

#[test]
fn outcomes() {
    serve();
    check(
        &["a", "known", "bad", "lost", "down", "b"],
        false,
        &[
            "Ok DOC-a r0",
            "Unchanged",
            "Rejected http-422",
            "Unknown http-no-answer",
            "Retryable http-not-connected",
            "Ok DOC-b r5",
        ],
    );
    check(&["a", "known", "bad", "b"], true, &["Ok DOC-a r0", "Unchanged", "Rejected http-422", "Untouched"]);
    check(&["lost", "b"], true, &["Unknown http-no-answer", "Untouched"]);
    assert_eq!(testing::in_flight().len(), 6 + 3 + 1);
}

#[test]
fn nothing_is_begun_without_time_or_after_a_stop() {
    serve();
    testing::remaining_ms(999);
    check(&["a", "b"], false, &["Untouched", "Untouched"]);
    testing::remaining_ms(1_000);
    check(&["a"], false, &["Ok DOC-a r0"]);
    testing::cancelled(true);
    check(&["a"], false, &["Untouched"]);
}

#[test]
fn what_is_not_granted_fails() {
    testing::reset();
    check(&["a"], false, &["Rejected no-token"]);
    testing::secret("TOKEN", "s3cret");
    check(&["a"], false, &["Retryable http-not-granted"]);
    let token = secrets::open("TOKEN").unwrap();
    assert_eq!(token.reveal(), Err(secrets::SecretError::NotRevealed));
    let error = secrets::open("OTHER").unwrap_err().for_secret("OTHER");
    assert_eq!(error.failure().code(), "secret-not-granted");
}

#[test]
fn undoing_and_probing() {
    serve();
    let mut poster = testing::destination::<Poster>("{}").unwrap();
    let written = testing::write(&mut poster, &given(&["a"])).unwrap();
    let records =
        [written[0].applied(), testing::applied("x", "k"), testing::applied("y", "k").receipt("y").target_id("gone")];
    let undone = testing::compensate(&mut poster, &records).unwrap();
    let outcomes: Vec<Outcome> = undone.iter().map(|answer| answer.outcome).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Rejected, Outcome::Unchanged]);

    let found = testing::probe(&mut poster, &given(&["there", "odd", "nowhere"])).unwrap();
    assert_eq!(shown(&found), ["Ok DOC r", "Unknown odd", "Dropped"]);
    testing::remaining_ms(0);
    let found = testing::probe(&mut poster, &given(&["there"])).unwrap();
    assert_eq!(shown(&found), ["Retryable no-time-left"]);
}

/// Answers in an order of its own, and forgets some.
struct Careless;

impl Destination for Careless {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("careless", "1.0.0", "Forgets.")
    }

    fn new(_: Settings) -> Result<Self, CallError> {
        Ok(Self)
    }

    fn abilities(&self) -> DestinationAbilities {
        DestinationAbilities { idempotency: Idempotency::None, atomicity: Atomicity::BestEffort, compensates: false }
    }

    fn write(&mut self, batch: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        for record in batch.iter().rev().filter(|record| record.payload() != b"forget") {
            answers.set(&record, Write::retryable(Failure::new("first", "a first word")));
            let id = format!("T-{}", record.id());
            answers.set(&record, Write::applied().target_id(&id).receipt(record.key()));
            assert!(!answers.is_open(&record));
        }
        if batch.iter().any(|record| record.payload() == b"refuse") {
            return Err(CallError::unavailable("no"));
        }
        Ok(())
    }
}

#[test]
fn a_record_without_an_outcome_is_unknown_and_the_last_word_counts() {
    testing::reset();
    let mut careless = testing::destination::<Careless>("{}").unwrap();
    let records =
        [testing::record("a", "1").key("ka"), testing::record("b", "forget"), testing::record("c", "3").key("kc")];
    let answers = testing::write(&mut careless, &records).unwrap();
    assert_eq!(shown(&answers), ["Ok T-a ka", "Unknown no-outcome", "Ok T-c kc"]);
    let refused = testing::write(&mut careless, &given(&["refuse"])).unwrap_err();
    assert_eq!(refused.failure().code(), "unavailable");
}
