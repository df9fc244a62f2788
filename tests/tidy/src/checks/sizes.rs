//! Files and functions stay small enough to be read in one go.

use super::each_source;
use crate::{Finding, Tree};

/// What to aim for.
pub const TARGET: Limits = Limits { file_lines_max: 500, function_lines_max: 70 };

/// What is refused.
pub const REFUSED: Limits = Limits { file_lines_max: 700, function_lines_max: 120 };

/// Lengths in lines, with comments and blank lines.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of a `.rs` or `.wit` file.
    pub file_lines_max: usize,
    /// From the line of a function's name to its closing brace.
    pub function_lines_max: usize,
}

/// Finds what is longer than the limits.
#[must_use]
pub fn too_long(tree: &Tree, limits: Limits) -> Vec<Finding> {
    let Limits { file_lines_max, function_lines_max } = limits;
    let mut findings = each_source(tree, "", |path, source, findings| {
        for function in source.functions.iter().filter(|function| function.lines > function_lines_max) {
            let (name, lines) = (&function.name, function.lines);
            let what = format!("fn {name} has {lines} lines, more than {function_lines_max}; give its parts names");
            findings.push(Finding::new(path, function.line, what));
        }
    });
    for (path, text) in tree.with_extension(&["rs", "wit"]) {
        let lines = text.lines().count();
        if lines > file_lines_max {
            let what = format!("has {lines} lines, more than {file_lines_max}; split it by what it is about");
            findings.push(Finding::new(path, 0, what));
        }
    }
    findings
}
