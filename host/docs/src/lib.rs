//! The book: for authors of plugins, for embedders, the contract's reference and the page of each error code.
//!
//! **Does**: has mdBook set the pages in `book/`, adds what is not written by hand, and checks every link. The blocks of
//! Rust in it are tests.
//! **May touch**: this tree, the folder `target`, Cargo (to fetch mdBook if it is not there).
//! **Never**: anything that runs or keeps records.

pub mod build;
mod code_pages;
mod links;
mod page;
pub mod preprocess;
mod wit_pages;

/// Blocks of code in the book, as tests: `cargo test -p crossdock-docs --doc`.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../book/authors/cookbook.md")]
    struct Cookbook;
}
