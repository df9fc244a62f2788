//! Enters lines of orders into the books through their REST API, and takes them back.
//!
//! **Does**: posts each record under its idempotency key, several at once, and deletes what is to be undone.
//! **May touch**: the API that its settings name, over HTTP.
//! **Never**: anything else.

mod books;

use books::{Books, Entry};
use crossdock_sdk::http::{self, Request};
use crossdock_sdk::rest;
use crossdock_sdk::{
    Answers, Atomicity, Batch, CallError, Compensate, Description, Destination, DestinationAbilities, Failure,
    Idempotency, Record, UndoAnswers, UndoBatch, Write, control,
};
use std::borrow::Cow;
use std::collections::HashMap;

/// What one request may take, and so what must be left of a call's time to begin one. In milliseconds.
const REQUEST_MS: u64 = 5_000;

/// What a route may set.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the books' API begins, for example `https://books.example.com`.
    #[schemars(regex(pattern = "^https?://"))]
    base: String,
    /// The name of the secret with which to log in. The host puts its value on the wire; the plugin never sees it.
    secret: String,
    /// The account that everything is entered to.
    account: String,
    /// How many requests may be on their way at once.
    #[serde(default = "in_flight")]
    #[schemars(range(min = 1, max = 64))]
    in_flight: usize,
}

fn in_flight() -> usize {
    4
}

/// A record: a line of an order, as the example `orders` makes it.
#[derive(serde::Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    customer: Cow<'a, str>,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity: u32,
    cents: u64,
    #[serde(borrow)]
    currency: Cow<'a, str>,
}

/// What is left behind to undo a record, in a fresh instance and days later. Fields that are added one day need
/// `#[serde(default)]`: receipts of today are still about then.
#[derive(serde::Serialize, serde::Deserialize)]
struct Receipt<'a> {
    #[serde(borrow)]
    entry: Cow<'a, str>,
}

/// The plugin.
#[derive(Debug)]
pub struct LedgerEntry {
    books: Books,
    in_flight: usize,
}

impl Destination for LedgerEntry {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .wants_http("the books")
            .wants_secret("the key to the books, sent as `Authorization: Bearer`")
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        let books = Books::open(&settings.base, &settings.secret, settings.account)?;
        Ok(Self { books, in_flight: settings.in_flight.clamp(1, 64) })
    }

    /// The host relies on this when it decides whether to try again: say the truth.
    fn abilities(&self) -> DestinationAbilities {
        DestinationAbilities { idempotency: Idempotency::NativeKey, atomicity: Atomicity::PerRecord, compensates: true }
    }

    fn check(&mut self) -> Result<(), CallError> {
        rest::answered(http::send(self.books.health())).map(drop)
    }

    fn write(&mut self, batch: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        if answers.stop_at_first_failure() {
            answers.one_by_one(REQUEST_MS, |record| Ok(Self::said(http::send(self.request(record)?))));
        } else {
            self.write_at_once(batch, answers);
        }
        Ok(())
    }
}

impl LedgerEntry {
    /// As many requests on their way as may be: as soon as one is answered, the next one is begun.
    fn write_at_once(&self, batch: &Batch<'_>, answers: &mut Answers<'_>) {
        let mut waiting = batch.iter();
        let mut begun = HashMap::new();
        loop {
            let in_time = || control::remaining_ms() >= REQUEST_MS && !control::cancelled();
            while begun.len() < self.in_flight && in_time() {
                let Some(record) = waiting.next() else { break };
                match self.request(&record) {
                    Ok(request) => drop(begun.insert(http::begin(request), record)),
                    Err(failure) => answers.set(&record, Write::rejected(failure)),
                }
            }
            let Some((number, answer)) = http::next() else { break };
            if let Some(record) = begun.remove(&number) {
                answers.set(&record, Self::said(answer));
            }
        }
        // Nothing was sent for those that the time did not suffice for: they come again, and no attempt is counted.
        answers.leave_rest_untouched();
    }

    fn request(&self, record: &Record<'_>) -> Result<Request, Failure> {
        let line: Line<'_> = record.json()?;
        let entry = Entry {
            reference: record.id(),
            account: &self.books.account,
            cents: line.cents,
            currency: &line.currency,
            text: &format!("{} x {} for {}", line.quantity, line.sku, line.customer),
        };
        self.books.enter(&entry, record)
    }

    /// What an answer says of the record that was sent.
    fn said(answer: Result<http::Response, http::HttpError>) -> Write<'static> {
        if let Ok(refusal) = &answer
            && refusal.status == 422
        {
            return Write::rejected(books::blamed(refusal));
        }
        let response = match rest::written(answer) {
            Ok(response) => response,
            Err(outcome) => return outcome,
        };
        // 200 says that the books have had this key before. The key is ours: it was applied, and is ours to undo.
        match books::entry_id(&response) {
            Some(id) => Write::applied().receipt_json(&Receipt { entry: id.as_str().into() }).target_id(id),
            // It may be there, and could never be undone: nobody should call that ok.
            None => Write::unknown(
                Failure::new("answer-without-id", "the books did not say under which id the entry stands")
                    .detail(response.text()),
            ),
        }
    }
}

impl Compensate for LedgerEntry {
    /// May be called twice for the same record: what is gone already is `unchanged`.
    fn compensate(&mut self, _: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError> {
        answers.one_by_one(REQUEST_MS, |record| {
            let receipt: Receipt<'_> = record.receipt_json()?;
            Ok(rest::undone(http::send(self.books.take_back(&receipt.entry, record.handle()))))
        });
        Ok(())
    }
}

crossdock_sdk::export_destination!(LedgerEntry, compensate);
