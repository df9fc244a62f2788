//! Crossdock plugin file-destination.
