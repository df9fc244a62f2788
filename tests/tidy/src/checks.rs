//! The checks, one room a file.

pub mod codes;
pub mod crates;
pub mod edges;
pub mod faces;
pub mod links;
pub mod modules;
pub mod places;
pub mod produced;
pub mod sizes;
pub mod words;

use crate::Finding;
use crate::source::Source;
use crate::tree::Tree;

/// Where the words and paths that are refused stand written down, and where bad samples do.
const SPELLS_WHAT_IT_REFUSES: &str = "tests/tidy/";

/// Parses every Rust file under a folder (the empty one for all) and gives it to `each`; a file that
/// is not Rust becomes a finding, because nothing else would be seen of it.
fn each_source(tree: &Tree, folder: &str, mut each: impl FnMut(&str, Source, &mut Vec<Finding>)) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_extension(&["rs"]).filter(|(path, _)| path.starts_with(folder)) {
        match Source::parse(text) {
            Ok(source) => each(path, source, &mut findings),
            Err((line, message)) => findings.push(Finding::new(path, line, format!("does not parse: {message}"))),
        }
    }
    findings
}
