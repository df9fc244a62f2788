//! The words of Crossdock: ids, batches, outcomes, failures, statuses, events.
//!
//! **Does**: gives every other crate the same types for the same things.
//! **May touch**: nothing outside its own memory.
//! **Never**: I/O, the clock, randomness, async, wasmtime or a database.

pub mod batch;
pub mod checkpoint;
pub mod contract;
pub mod error;
pub mod event;
pub mod failure;
pub mod handler;
pub mod id;
pub mod key;
pub mod outcome;
pub mod place;
pub mod reference;
pub mod status;
pub mod time;

pub use batch::{Attribute, Batch, Column, ColumnError};
pub use checkpoint::Checkpoint;
pub use contract::{CONTRACT_SECTION, CONTRACT_VERSION, ContractVersion, Fit};
pub use error::{Code, ErrorClass, Explained};
pub use event::{Event, EventKind};
pub use failure::{Failure, Fault, FaultKind};
pub use handler::HandlerKind;
pub use id::{InvalidName, PluginName, RecordId, RouteName, RunId, StepName};
pub use key::idempotency_key;
pub use outcome::Outcome;
pub use place::HandlerPlace;
pub use reference::{InvalidReference, OciReference, is_digest, is_registry};
pub use status::{Counts, RunStatus, Status};
pub use time::Timestamp;
