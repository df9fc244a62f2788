//! What examples and tests share: builds the plugins, starts the programs.
