//! Checks the shape of the source tree.
