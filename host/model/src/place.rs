//! Handlers: plugin calls attached to what became of a step or of a run.

use crate::handler::HandlerKind;
use crate::id::StepName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a handler stands in its route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HandlerPlace {
    /// The step it is attached to; `None` for a handler of the run.
    pub step: Option<StepName>,
    /// What it is attached to.
    pub kind: HandlerKind,
}

impl HandlerPlace {
    /// The name under which its plugin's state is kept and its attempts are shown: `ship.on_failure`,
    /// `run.on_run_ok`. No step of a route can have such a name.
    #[must_use]
    pub fn name(&self) -> StepName {
        StepName::of_handler(self.step.as_ref().map_or("run", StepName::as_str), self.kind)
    }
}

impl fmt::Display for HandlerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name().as_str())
    }
}
