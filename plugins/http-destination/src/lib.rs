//! Crossdock plugin: a destination for any JSON REST API. See README.md.
//!
//! **Does**: makes requests of records by templates, and says by the answers what became of each record.
//! **May touch**: the addresses and secrets that the route grants, through the host.
//! **Never**: files, sockets or clocks of its own; the value of a secret; the host's crates.

mod answer;
mod body;
mod pace;
mod plan;
mod probe;
mod request;
mod settings;
mod status;
mod template;
mod undo;
mod values;
mod write;

use crossdock_sdk::{
    Answers, Atomicity, Batch, CallError, Compensate, Description, Destination, DestinationAbilities, Probe,
    ProbeAnswers, UndoAnswers, UndoBatch, export_destination,
};

pub use settings::Settings;

/// A JSON REST API.
#[derive(Debug)]
pub struct HttpDestination(plan::Plan);

impl Destination for HttpDestination {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            "http-destination",
            env!("CARGO_PKG_VERSION"),
            "Writes records to a JSON REST API, with requests made by templates.",
        )
        .wants_http("the API that `base` names")
        .wants_secret("the credentials that `auth` names, if it names any")
        .max_batch(500)
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        plan::Plan::new(settings).map(Self)
    }

    fn abilities(&self) -> DestinationAbilities {
        DestinationAbilities {
            idempotency: self.0.idempotency,
            // A request of many records may be answered record by record, and a batch may take several requests.
            atomicity: Atomicity::PerRecord,
            compensates: self.0.undo.is_some(),
        }
    }

    fn write(&mut self, batch: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        write::write(&self.0, batch, answers)
    }

    fn check(&mut self) -> Result<(), CallError> {
        probe::check(&self.0)
    }
}

impl Compensate for HttpDestination {
    fn compensate(&mut self, batch: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError> {
        undo::undo(&self.0, batch, answers)
    }
}

impl Probe for HttpDestination {
    fn probe(&mut self, batch: &Batch<'_>, answers: &mut ProbeAnswers<'_>) -> Result<(), CallError> {
        probe::probe(&self.0, batch, answers)
    }
}

export_destination!(HttpDestination, compensate, probe);
