//! What plugins for JSON APIs over HTTP share: addresses and credentials as settings, values by JSON pointer exactly as
//! they are written, what an answer means for a record, and how long it asks to wait.

mod address;
mod answer;
mod auth;
mod pointer;
mod retry_after;

pub use address::{base, check_header, invalid_setting, milliseconds};
pub use answer::{answered, failure, undone, written};
pub use auth::{Auth, Credentials};
pub use pointer::{Pointer, Pointers, scalar_text};
pub use retry_after::retry_after;
