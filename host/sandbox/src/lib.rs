//! Runs plugins as WebAssembly components: grants, limits, host imports, compile cache.
