//! Where the plugins of a route, and what is said of them, stand in its text.

use crate::mistake::Span;
use crate::route::Route;
use crossdock_model::{HandlerPlace, StepName};

/// A place of a route at which a plugin stands. Made from an optional step (`None` or `source` is the source) or
/// from a handler's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'p> {
    /// The source.
    Source,
    /// The step of this name.
    Step(&'p StepName),
    /// The handler at this place.
    Handler(&'p HandlerPlace),
}

impl<'p> From<Option<&'p StepName>> for Place<'p> {
    fn from(step: Option<&'p StepName>) -> Self {
        match step {
            Some(name) if *name != StepName::source() => Self::Step(name),
            _ => Self::Source,
        }
    }
}

impl<'p> From<&'p HandlerPlace> for Place<'p> {
    fn from(place: &'p HandlerPlace) -> Self {
        Self::Handler(place)
    }
}

impl Route {
    /// Where a part of a plugin's settings stands in the text; `pointer` is an RFC 6901 pointer into the settings.
    /// Where nothing stands under the pointer, it is the place of the nearest thing around it. `None` if the route
    /// has no such step or handler.
    #[must_use]
    pub fn span_of<'p>(&self, place: impl Into<Place<'p>>, pointer: &str) -> Option<Span> {
        self.span_at(place.into(), &format!("/settings{pointer}"), false)
    }

    /// The same for the key under which the value stands; for values that should not be there.
    #[must_use]
    pub fn key_span_of<'p>(&self, place: impl Into<Place<'p>>, pointer: &str) -> Option<Span> {
        self.span_at(place.into(), &format!("/settings{pointer}"), true)
    }

    /// Where a plugin is named: the value of `plugin` of the source, a step or a handler.
    #[must_use]
    pub fn span_of_plugin<'p>(&self, place: impl Into<Place<'p>>) -> Option<Span> {
        self.span_at(place.into(), "/plugin", false)
    }

    /// Where directory `index` of a plugin's grants stands: the value of its `host`.
    #[must_use]
    pub fn span_of_dir<'p>(&self, place: impl Into<Place<'p>>, index: usize) -> Option<Span> {
        self.span_at(place.into(), &format!("/grants/dirs/{index}/host"), false)
    }

    /// The nearest thing to a pointer into the table of a place, or with `key` the key of it.
    pub(crate) fn span_at(&self, place: Place<'_>, pointer: &str, key: bool) -> Option<Span> {
        Some(self.0.spans.nearest(&format!("{}{pointer}", self.pointer_to(place)?), key))
    }

    /// Whether something is written at a pointer into the table of a place.
    pub(crate) fn writes(&self, place: Place<'_>, pointer: &str) -> bool {
        self.pointer_to(place).is_some_and(|table| self.0.spans.has(&format!("{table}{pointer}")))
    }

    /// The table of a place.
    fn pointer_to(&self, place: Place<'_>) -> Option<String> {
        let step = |name: &StepName| {
            let index = self.steps().iter().position(|step| step.name == *name)?;
            Some(format!("/step/{index}"))
        };
        match place {
            Place::Source => Some("/source".to_owned()),
            Place::Step(name) => step(name),
            Place::Handler(handler) => {
                self.handler(handler)?;
                let above = handler.step.as_ref().map_or(Some(String::new()), step)?;
                Some(format!("{above}/{}", handler.kind))
            }
        }
    }
}
