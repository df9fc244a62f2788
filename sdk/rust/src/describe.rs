//! What a plugin is.

use crate::bindings::base::exports::crossdock::plugin::{describe as wit, lifecycle};

/// The plugin about itself. Role and settings schema are added by the SDK.
///
/// ```
/// use crossdock_sdk::Description;
/// let description = Description::new("weather", "1.2.0", "Looks up the weather of a place.")
///     .wants_http("the weather service")
///     .wants_secret("its access key")
///     .max_batch(100);
/// # let _ = description;
/// ```
#[derive(Debug, Clone)]
pub struct Description {
    name: String,
    version: String,
    summary: String,
    wants: Vec<wit::Want>,
    max_batch: u32,
}

impl Description {
    /// Name (1 to 64 of `a-z 0-9 -`), semantic version, and one line for people.
    pub fn new(name: impl Into<String>, version: impl Into<String>, summary: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), summary: summary.into(), wants: Vec::new(), max_batch: 1000 }
    }

    /// It wants to read a directory; the text says what for.
    #[must_use]
    pub fn wants_read_dir(self, what_for: impl Into<String>) -> Self {
        self.wants(wit::Want::ReadDir(what_for.into()))
    }

    /// It wants to write to a directory; the text says what for.
    #[must_use]
    pub fn wants_write_dir(self, what_for: impl Into<String>) -> Self {
        self.wants(wit::Want::WriteDir(what_for.into()))
    }

    /// It wants to make HTTP requests; the text says where to, for people.
    #[must_use]
    pub fn wants_http(self, where_to: impl Into<String>) -> Self {
        self.wants(wit::Want::Http(where_to.into()))
    }

    /// It wants a secret that the settings name; the text says what for.
    #[must_use]
    pub fn wants_secret(self, what_for: impl Into<String>) -> Self {
        self.wants(wit::Want::Secret(what_for.into()))
    }

    /// The most records it takes, or gives, in one batch: 1 to 10,000. 1,000 unless told.
    #[must_use]
    pub fn max_batch(mut self, records: u32) -> Self {
        self.max_batch = records;
        self
    }

    fn wants(mut self, want: wit::Want) -> Self {
        self.wants.push(want);
        self
    }

    pub(crate) fn into_wit(self, role: wit::Role, settings_schema: String) -> wit::Description {
        let Self { name, version, summary, wants, max_batch } = self;
        wit::Description { name, version, summary, role, settings_schema, wants, max_batch }
    }
}

/// What helps a destination to take effect once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// The other system recognises the idempotency key that comes with each record.
    NativeKey,
    /// Writing the same record again changes nothing (upsert by id).
    Upsert,
    /// It can be asked afterwards whether a record was applied: the destination implements
    /// [`Probe`](crate::Probe).
    Probe,
    /// Nothing: a write whose answer was lost must be settled by a person.
    None,
}

/// What happens when a write stops in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Atomicity {
    /// All records of a batch take effect, or none.
    Atomic,
    /// Each record takes effect whole, or not at all.
    PerRecord,
    /// A record may have taken effect in part.
    BestEffort,
}

/// What a destination can do with the settings it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DestinationAbilities {
    /// What helps to take effect once.
    pub idempotency: Idempotency,
    /// What happens when a write stops in the middle.
    pub atomicity: Atomicity,
    /// Whether applied records can be undone with these settings. Counts only for a destination that
    /// implements and exports [`Compensate`](crate::Compensate).
    pub compensates: bool,
}

/// What the abilities of a plugin are where its role does not speak of them.
const NOTHING: lifecycle::Abilities = lifecycle::Abilities {
    re_reads: false,
    pure: false,
    idempotency: lifecycle::Idempotency::None,
    atomicity: lifecycle::Atomicity::BestEffort,
    compensates: false,
};

pub(crate) fn source_abilities(re_reads: bool) -> lifecycle::Abilities {
    lifecycle::Abilities { re_reads, ..NOTHING }
}

pub(crate) fn transformer_abilities(pure: bool) -> lifecycle::Abilities {
    lifecycle::Abilities { pure, ..NOTHING }
}

pub(crate) fn destination_abilities(abilities: DestinationAbilities, undo_exported: bool) -> lifecycle::Abilities {
    let idempotency = match abilities.idempotency {
        Idempotency::NativeKey => lifecycle::Idempotency::NativeKey,
        Idempotency::Upsert => lifecycle::Idempotency::Upsert,
        Idempotency::Probe => lifecycle::Idempotency::Probe,
        Idempotency::None => lifecycle::Idempotency::None,
    };
    let atomicity = match abilities.atomicity {
        Atomicity::Atomic => lifecycle::Atomicity::Atomic,
        Atomicity::PerRecord => lifecycle::Atomicity::PerRecord,
        Atomicity::BestEffort => lifecycle::Atomicity::BestEffort,
    };
    lifecycle::Abilities { idempotency, atomicity, compensates: abilities.compensates && undo_exported, ..NOTHING }
}
