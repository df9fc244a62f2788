//! Write a Crossdock plugin in Rust.
