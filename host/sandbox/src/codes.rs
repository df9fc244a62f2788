//! The codes of this crate and their pages.

use crossdock_model::Code;

macro_rules! codes {
    ($($name:literal),* $(,)?) => {
        /// Every code that an error or a failure of the sandbox can have; those of faults are the engine's.
        pub const CODES: &[Code] =
            &[$(Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) }),*];
    };
}

codes![
    "failure-without-code",
    "grant-directory",
    "grant-invalid",
    "plugin-compile-crashed",
    "plugin-compile-limit",
    "plugin-contract-version",
    "plugin-core-module",
    "plugin-damaged",
    "plugin-describe",
    "plugin-description",
    "plugin-exports",
    "plugin-import-unknown",
    "plugin-invalid",
    "plugin-not-found",
    "plugin-not-wasm",
    "plugin-text-format",
    "plugin-too-complex",
    "plugin-too-large",
    "plugin-unreadable",
    "plugin-wrong-role",
    "sandbox-cache",
    "sandbox-compiler",
    "sandbox-internal",
    "sandbox-memory-total",
    "sandbox-setup",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::CODES;
    use std::fs;

    /// The sources of this crate without this file.
    fn sources() -> String {
        let mut sources = String::new();
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        let mut folders = vec![std::path::PathBuf::from(root)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.ends_with("codes.rs") {
                    sources.push_str(&fs::read_to_string(path).unwrap());
                }
            }
        }
        sources
    }

    #[test]
    fn every_code_is_used_and_has_a_page() {
        let sources = sources();
        for code in CODES {
            assert!(sources.contains(&format!("\"{}\"", code.name)), "nothing has the code {}", code.name);
            let headings = ["# ", "\n## Cause\n", "\n## What to check\n", "\n## What to do\n"];
            assert!(headings.iter().all(|heading| code.page.contains(heading)), "{}", code.name);
        }
        let pages = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/codes")).unwrap().count();
        assert_eq!(pages, CODES.len());
    }

    #[test]
    fn every_code_that_is_used_has_a_page() {
        let sources = sources();
        let quoted = sources.split('"').filter(|text| {
            ["plugin-", "grant-", "sandbox-"].iter().any(|prefix| text.starts_with(prefix))
                && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        });
        for name in quoted.filter(|name| name.len() > 8) {
            assert!(CODES.iter().any(|code| code.name == name), "{name} has no page");
        }
    }
}
