//! The part that all answers with one code a record share.

use crate::bindings::base::crossdock::plugin::types as wit;
use crate::failure::Failure;

/// Codes of the contract.
pub(crate) mod code {
    pub(crate) const OK: u8 = 0;
    pub(crate) const UNCHANGED: u8 = 1;
    pub(crate) const DROPPED: u8 = 2;
    pub(crate) const REJECTED: u8 = 3;
    pub(crate) const RETRYABLE: u8 = 4;
    pub(crate) const UNAUTHORIZED: u8 = 5;
    pub(crate) const UNKNOWN: u8 = 6;
    pub(crate) const UNTOUCHED: u8 = 7;
    /// Ours: the plugin has not said anything yet.
    pub(super) const OPEN: u8 = 255;
}

/// One code a record, and the failures that go with some of them.
#[derive(Debug)]
pub(crate) struct Codes {
    codes: Vec<u8>,
    failures: Vec<(usize, Failure)>,
}

impl Codes {
    pub(crate) fn new(records: usize) -> Self {
        Self { codes: vec![code::OPEN; records], failures: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    /// Says what became of a record; a later word replaces an earlier one. Positions beyond the batch
    /// are ignored: a record cannot come from anywhere else.
    pub(crate) fn set(&mut self, index: usize, code: u8, failure: Option<Failure>) {
        let Some(place) = self.codes.get_mut(index) else { return };
        if *place != code::OPEN {
            self.failures.retain(|(of, _)| *of != index);
        }
        *place = code;
        if let Some(failure) = failure {
            self.failures.push((index, failure));
        }
    }

    pub(crate) fn is_open(&self, index: usize) -> bool {
        self.codes.get(index) == Some(&code::OPEN)
    }

    /// Says `untouched` of every record of which nothing was said.
    pub(crate) fn leave_open_untouched(&mut self) {
        for code in self.codes.iter_mut().filter(|code| **code == code::OPEN) {
            *code = code::UNTOUCHED;
        }
    }

    /// The codes and failures as the contract wants them.
    ///
    /// A record of which nothing was said is `unknown`: whether the plugin did something for it and forgot
    /// to say so, nobody can tell.
    pub(crate) fn finish(mut self, handles: &[u32]) -> (Vec<u8>, Vec<wit::RecordFailure>) {
        for (index, code) in self.codes.iter_mut().enumerate().filter(|(_, code)| **code == code::OPEN) {
            *code = code::UNKNOWN;
            self.failures.push((index, Failure::new("no-outcome", "the plugin did not say what became of the record")));
        }
        let named = |(index, failure): (usize, Failure)| {
            handles.get(index).map(|handle| wit::RecordFailure { handle: *handle, failure: failure.into_wit() })
        };
        (self.codes, self.failures.into_iter().filter_map(named).collect())
    }
}
