//! Tries plugins out: feeds them records and compares the outcomes, and plays a host that does its worst.
//!
//! **Does**: reads cases, runs them against a plugin in the real sandbox, and says in plain words which promise of the
//! contract was broken, with the smallest input that shows it.
//! **May touch**: the plugin, files of cases, folders of its own that it grants to the plugin.
//! **Never**: the network: what a plugin asks for over HTTP is answered by the case. Nor a project, nor its ledger.

mod bench;
mod case;
mod clock;
pub mod codes;
mod compare;
mod diff;
mod error;
mod finding;
mod kit;
mod live;
mod place;
mod plays;
mod report;
mod request;
mod run;
mod script;
mod world;

pub use case::{
    Answer as GivenAnswer, Any, Call, Case, CaseError, Dir, Exchange, Expect, Fine, Grants, Json, More, NoAnswer, Page,
    PageRecord, Receipt, Record, Refused, Refusing, Request, Secret, Times, Unreadable, Word, read_cases,
};
pub use crossdock_model::{Code, Explained, Failure, Outcome};
pub use error::KitError;
pub use finding::{Finding, KINDS, Kind, Tried, Verdict};
pub use kit::{Kit, LoadedPlugin};
pub use live::{Answer, Output};
pub use place::{find_cases, find_plugin};
pub use report::Report;
pub use run::CaseOutcome;
