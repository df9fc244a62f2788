//! Crossdock plugin http-destination.
