//! The page of each error code, as `crossdock explain` shows it.

use crate::page::Page;
use std::fmt::Write as _;

/// The overview, then a page a code.
pub(crate) fn pages() -> Vec<Page> {
    let mut codes = crossdock::codes();
    codes.extend_from_slice(crossdock_author::CODES);
    codes.extend_from_slice(crossdock_testkit::codes::CODES);
    codes.sort_by_key(|code| code.name);
    let mut text =
        "# Error codes\n\nEach error has a code that stays the same. `crossdock explain CODE` prints its page.\n\n\
        | code | |\n|---|---|\n"
            .to_owned();
    for code in &codes {
        let heading = code.page.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        let _ = writeln!(text, "| [`{0}`]({0}.md) | {heading} |", code.name);
    }
    let overview = Page { title: "Error codes".to_owned(), path: "codes/index.md".to_owned(), text };
    let page = |code: crossdock::Code| Page {
        title: code.name.to_owned(),
        path: format!("codes/{}.md", code.name),
        // The page says what it is about; people come here with the code.
        text: format!("{}\n\n---\n\n`{}`\n", code.page.trim_end(), code.name),
    };
    std::iter::once(overview).chain(codes.into_iter().map(page)).collect()
}
