//! Benchmarks that ship.
