//! `cargo run -p crossdock-docs` builds the book.

use anyhow::{Context as _, Result, bail};
use crossdock_docs::{build, preprocess};
use std::io::Write as _;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let links = build::build(&std::env::current_exe().context("finding this program")?)?;
            writeln!(std::io::stdout(), "The book is target/book/index.html; {links} links within it were checked.")?;
        }
        ["preprocess"] => {
            let handed_over = serde_json::from_reader(std::io::stdin()).context("reading what mdBook hands over")?;
            let book = preprocess::preprocess(handed_over)?;
            serde_json::to_writer(std::io::stdout().lock(), &book).context("handing the book back")?;
        }
        // mdBook asks for which outputs: all of them.
        ["preprocess", "supports", _] => {}
        _ => bail!("unknown arguments; `cargo run -p crossdock-docs` builds the book"),
    }
    Ok(())
}
