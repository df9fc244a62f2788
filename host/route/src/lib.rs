//! Route and project files: as written, then as checked.
