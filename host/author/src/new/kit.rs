//! The kits and templates that were put into this program when it was built.

use crate::language::Language;
use std::collections::BTreeMap;
use std::path::PathBuf;

include!(concat!(env!("OUT_DIR"), "/kits.rs"));

/// A file to lay out, by its path within the new folder.
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The files of a template, by their paths within it.
pub(super) fn template(language: Language, role: &str) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    below(format!("{}/templates/{role}/", language.as_str()))
}

/// The files of a language's kit, by their paths within it, as they would be published.
pub(super) fn kit(language: Language) -> Files {
    let files = below(format!("{}/", language.as_str())).filter(|(path, _)| !path.starts_with("templates/"));
    files.map(|(path, bytes)| (PathBuf::from(path), bytes.to_vec())).collect()
}

fn below(folder: String) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    FILES.iter().filter_map(move |(path, bytes)| Some((path.strip_prefix(folder.as_str())?, *bytes)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use toml::{Table, Value};

    #[test]
    fn the_manifest_stands_by_itself() {
        let kit = kit(Language::Rust);
        let text = std::str::from_utf8(&kit[&PathBuf::from("Cargo.toml")]).unwrap();
        assert!(!text.contains("workspace"), "{text}");
        let manifest: Table = text.parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("crossdock-sdk"));
        assert_eq!(manifest["package"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
        let json = &manifest["dependencies"]["serde_json"];
        let features: Vec<_> = json["features"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(features.contains(&"raw_value") && features.contains(&"preserve_order"), "{json}");
        assert!(manifest["dependencies"]["serde_path_to_error"].is_str());
    }

    #[test]
    fn each_language_has_each_role() {
        for language in Language::ALL {
            for role in crate::Role::ALL {
                let files: Vec<&str> = template(language, role.as_str()).map(|(path, _)| path).collect();
                for path in [language.manifest(), "README.md", "gitignore"] {
                    assert!(files.contains(&path), "{language} has no {path} for a {role}");
                }
                assert!(files.iter().any(|path| path.starts_with("cases/")), "{language} has no cases for a {role}");
            }
            assert!(kit(language).contains_key(&PathBuf::from(language.manifest())), "{language} has no kit");
        }
    }

    #[test]
    fn a_kit_has_what_it_is_built_from_and_nothing_else() {
        let kit = kit(Language::Rust);
        let check = |path: &str, there: bool| assert_eq!(kit.contains_key(&PathBuf::from(path)), there, "{path}");
        check("src/lib.rs", true);
        check("wit/types.wit", true);
        check("README.md", true);
        check("LICENSE", true);
        check("clippy.toml", false);
        assert!(kit.keys().all(|path| !path.starts_with("templates") && !path.starts_with("tests")));
    }
}
