//! The Crossdock plugin `{{name}}`: posts records to a REST API, and deletes what is to be undone.

use crossdock_sdk::http::{self, Request, Value};
use crossdock_sdk::secrets::{self, Secret};
use crossdock_sdk::{
    Answers, Atomicity, Batch, CallError, Compensate, Description, Destination,
    DestinationAbilities, Failure, Idempotency, UndoAnswers, UndoBatch, Write, rest,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one request may take, and so what must be left of a call's time to begin one.
const REQUEST: Duration = Duration::from_secs(5);
const REQUEST_MS: u64 = REQUEST.as_secs() * 1_000;

/// What a route may set. From this comes the JSON Schema by which routes are checked and that editors show.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API begins, for example `https://erp.example.com`.
    base: String,
    /// The name of the secret with which to log in. The host puts its value on the wire; the plugin never sees it.
    secret: String,
}

/// What the API answers when it has made something of a record.
#[derive(Deserialize)]
struct Made {
    id: u64,
}

/// What is left behind to undo a record, in a fresh instance and days later.
#[derive(Serialize, Deserialize)]
struct Receipt {
    order: u64,
}

/// The plugin, as the settings have made it.
#[derive(Debug)]
pub struct Plugin {
    base: String,
    key: Secret,
}

impl Destination for Plugin {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_DESCRIPTION"),
        )
        .wants_http("the API")
        .wants_secret("the key to the API, sent as `Authorization: Bearer`")
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        let key =
            secrets::open(&settings.secret).map_err(|error| error.for_secret(&settings.secret))?;
        Ok(Self {
            base: rest::base(&settings.base)?,
            key,
        })
    }

    /// The host relies on this when it decides whether to try again: say the truth.
    fn abilities(&self) -> DestinationAbilities {
        DestinationAbilities {
            idempotency: Idempotency::NativeKey, // The API knows a request again by its `Idempotency-Key`.
            atomicity: Atomicity::PerRecord,
            compensates: true,
        }
    }

    /// Asked before a run and while the breaker is open. Changes nothing there.
    fn check(&mut self) -> Result<(), CallError> {
        rest::answered(http::send(self.request("GET", "/health"))).map(drop)
    }

    /// One record after the other; `one_by_one` keeps the order, the time and the wish to stop at the first failure.
    fn write(&mut self, _: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        answers.one_by_one(REQUEST_MS, |record| {
            let request = self
                .request("POST", "/orders")
                .header("idempotency-key", record.key());
            let request = request
                .header("content-type", "application/json")
                .body(record.payload())
                .for_record(record);
            // 4xx is rejected, 429 and 503 come again later, and an answer that was lost is unknown: never a guess.
            let answer = match rest::written(http::send(request)) {
                Ok(answer) => answer,
                Err(outcome) => return Ok(outcome),
            };
            Ok(match answer.json::<Made>() {
                Ok(Made { id }) => Write::applied()
                    .target_id(id.to_string())
                    .receipt_json(&Receipt { order: id }),
                Err(_) => Write::unknown(
                    Failure::new("answer-without-id", "the API did not say what it made")
                        .detail(answer.text()),
                ),
            })
        });
        Ok(())
    }
}

impl Compensate for Plugin {
    /// May be called twice for the same record: what is gone already is fine.
    fn compensate(
        &mut self,
        _: &UndoBatch<'_>,
        answers: &mut UndoAnswers<'_>,
    ) -> Result<(), CallError> {
        answers.one_by_one(REQUEST_MS, |record| {
            let Receipt { order } = record.receipt_json()?;
            let request = self
                .request("DELETE", &format!("/orders/{order}"))
                .handle(record.handle());
            Ok(rest::undone(http::send(request)))
        });
        Ok(())
    }
}

crossdock_sdk::export_destination!(Plugin, compensate);

impl Plugin {
    fn request(&self, method: &str, path: &str) -> Request {
        let request = Request::new(method, format!("{}{path}", self.base));
        request
            .header("authorization", Value::bearer(self.key))
            .timeout(REQUEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossdock_sdk::http::{HttpError, Response};
    use crossdock_sdk::testing::{self, Outcome};

    /// The plugin, before an API that answers so.
    fn before(api: impl Fn(&Request) -> Result<Response, HttpError> + 'static) -> Plugin {
        testing::secret("API_KEY", "s3cret");
        testing::http(move |request| api(request));
        testing::destination(r#"{ "base": "https://erp.example.com", "secret": "API_KEY" }"#)
            .unwrap()
    }

    #[test]
    fn what_was_written_is_undone_by_a_fresh_instance() {
        let api = |request: &Request| match request.method.as_str() {
            "POST" => Ok(Response::new(201, r#"{ "id": 7 }"#)),
            _ => Ok(Response::new(
                if request.url.ends_with("/orders/7") {
                    204
                } else {
                    404
                },
                "",
            )),
        };
        let written = testing::write(
            &mut before(api),
            &[testing::record("A-1", r#"{ "cents": 1250 }"#)],
        )
        .unwrap();
        assert_eq!(
            (written[0].outcome, written[0].target_id.as_str()),
            (Outcome::Ok, "7")
        );
        let undone = testing::compensate(&mut before(api), &[written[0].applied()]).unwrap();
        assert_eq!(undone[0].outcome, Outcome::Ok);
    }

    #[test]
    fn a_lost_answer_is_unknown() {
        let lost = |_: &Request| Err(HttpError::NoAnswer("the connection was cut".into()));
        let written = testing::write(&mut before(lost), &[testing::record("A-1", "{}")]).unwrap();
        assert_eq!(written[0].outcome, Outcome::Unknown);
    }
}
