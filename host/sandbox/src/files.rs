//! What plugins see of the file system: the directories they were granted, and nothing that leads out of them.
//!
//! The host fills `wasi:filesystem` itself, so that what is written is counted, what is no file is not opened, links
//! are not made, and no operation holds more threads or open files than it may. Paths are followed by
//! `cap-primitives`, which never leaves the directory it starts from.

mod allowance;
mod descriptor;
mod entries;
mod open;
mod open_files;
mod operations;
mod streams;
mod view;

pub(crate) use allowance::GrantedDir;
pub(crate) use open::open_granted;
pub(crate) use open_files::OpenFiles;
pub(crate) use operations::{Lane, Lost, Operations};
pub(crate) use view::{Files, FilesView};
