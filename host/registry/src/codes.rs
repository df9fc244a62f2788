//! The codes of this crate and their pages.

use crossdock_model::Code;

macro_rules! codes {
    ($($name:literal),* $(,)?) => {
        /// Every code that an error of fetching, pushing and signing can have.
        pub const CODES: &[Code] =
            &[$(Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) }),*];
    };
}

codes![
    "key-file",
    "key-public",
    "key-unwritable",
    "registry-answer",
    "registry-digest",
    "registry-not-a-plugin",
    "registry-not-found",
    "registry-plain-http",
    "registry-redirect",
    "registry-setup",
    "registry-store",
    "registry-too-large",
    "registry-unauthorized",
    "registry-unreachable",
    "signature-missing",
    "signature-other-key",
    "signature-wrong",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code that an error of this crate names is listed, and every one that is listed is named by one.
    #[test]
    fn codes_and_errors_agree() {
        let sources =
            [include_str!("error.rs"), include_str!("key.rs"), include_str!("signature.rs"), include_str!("store.rs")];
        let errors: String = sources.iter().filter_map(|source| source.split("#[cfg(test)]").next()).collect();
        let quoted = || errors.split('"').skip(1).step_by(2);
        let is_code = |text: &&str| {
            text.contains('-')
                && ["key-", "registry-", "signature-"].iter().any(|start| text.starts_with(start))
                && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        for name in quoted().filter(is_code) {
            assert!(CODES.iter().any(|code| code.name == name), "{name} has no page");
        }
        for code in CODES {
            assert!(errors.contains(&format!("\"{}\"", code.name)), "no error has {}", code.name);
            for part in ["# ", "\n## Cause\n", "\n## What to check\n", "\n## What to do\n"] {
                assert!(code.page.contains(part), "{}: no {part:?}", code.name);
            }
        }
    }
}
