//! The cases, by what they attack.

mod answers;
mod artefacts;
mod bombs;
mod files;
mod loops;
mod requests;
mod sources;
pub mod texts;
mod together;
mod undo;

use crate::case::Case;

/// All cases. Their plugins are made when they are needed.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        loops::cases(),
        bombs::cases(),
        answers::cases(),
        sources::cases(),
        undo::cases(),
        files::cases(),
        requests::cases(),
        together::cases(),
        artefacts::cases(),
        texts::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
