//! Crossdock plugin text-source.
