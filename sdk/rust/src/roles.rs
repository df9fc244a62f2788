//! The roles a plugin can have, and what a destination can do beside writing.

pub(crate) mod answers;
pub(crate) mod compensate;
pub(crate) mod destination;
pub(crate) mod probe;
pub(crate) mod source;
pub(crate) mod transformer;
