//! Tests of plugins without WebAssembly.
