//! Crossdock plugin map.
