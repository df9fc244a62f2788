//! Versions of the plugin contract that were published never change, and the present one goes on from them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_author::wit::{self, Comparison, Verdict};
use crossdock_model::{CONTRACT_VERSION, ContractVersion, Fit};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every version that was published, with what its files come to: their names and texts, in the order of the names. A line
/// here is never changed.
const RELEASED: &[(&str, &str)] = &[("0.1.0", "d3570c0c41e7514fecc6ad3815fb481c699f973571f7988e9db9c850650fc406")];

fn present() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit")
}

fn released() -> PathBuf {
    present().join("released")
}

fn digest(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeMap<_, _> =
        entries.map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap())).collect();
    let mut hasher = Sha256::new();
    for (name, text) in files {
        for part in [name.as_encoded_bytes(), &text] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn published_versions_are_as_they_were() {
    let mut there: Vec<String> =
        fs::read_dir(released()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    let mut known: Vec<&str> = RELEASED.iter().map(|(version, _)| *version).collect();
    known.sort_unstable();
    assert_eq!(there, known, "each folder of wit/released needs its line in RELEASED, and each line its folder");
    for (version, expected) in RELEASED {
        let found = digest(&released().join(version));
        assert_eq!(
            found, *expected,
            "wit/released/{version} has changed: plugins out there were built for it as it was"
        );
        let itself = compare(version, version);
        assert_eq!(itself.old.version.as_deref(), Some(*version), "the folder has the name of another version");
    }
}

fn compare(old: &str, new: &str) -> Comparison {
    let folder = |version: &str| if version.is_empty() { present() } else { released().join(version) };
    wit::check(&folder(old), &folder(new)).unwrap()
}

#[test]
fn plugins_of_published_versions_go_on_with_the_present_one() {
    for (version, _) in RELEASED {
        let found = compare(version, "");
        assert_eq!(found.new.version.as_deref(), Some(CONTRACT_VERSION), "what wit/ says and what the host speaks");
        let plugin = ContractVersion::parse(version).unwrap();
        match ContractVersion::OURS.fit(plugin) {
            // A version that says the number of a published one may have better documentation and nothing else.
            Fit::Loads => assert!(found.goes_on, "{found}"),
            Fit::TooOld => assert!(!found.goes_on, "{found}"),
            Fit::TooNew => panic!("{version} was published, and wit/ is at {CONTRACT_VERSION}"),
        }
    }
}

#[test]
fn what_would_break_plugins_is_noticed() {
    // The present contract with one line changed, as somebody might.
    let check = |from: &str, to: &str, words: &str| {
        let dir = tempfile::tempdir().unwrap();
        for file in ["host.wit", "plugin.wit", "types.wit"] {
            let text = fs::read_to_string(released().join("0.1.0").join(file)).unwrap();
            fs::write(dir.path().join(file), text.replace(from, to).replace("@0.1.0;", "@0.1.1;")).unwrap();
        }
        let found = wit::check(&released().join("0.1.0"), dir.path()).unwrap();
        let refused = found.differences.iter().filter(|it| it.verdict == Verdict::Refused).count();
        assert_eq!(refused > 0, !words.is_empty(), "{found}");
        assert!(found.to_string().contains(words), "{found}");
    };
    check("", "", "");
    check("    cancelled: func() -> bool;", "    cancelled: func() -> bool;\n    zone: func() -> string;", "");
    check("        max-batch: u32,", "        max-batch: u32,\n        icon: string,", "the field `icon` is new");
    check("    close: func();", "    close: func();\n    pause: func();", "do not export it");
    check("    check: func() -> result<_, call-error>;", "", "interface lifecycle, check: it is gone");
    check("        too-large(u16),", "        too-large(u16),\n        refused(string),", "the case `refused` is new");
    check("    import metrics;", "", "interface metrics: no world has it any more");
    check("world probe-ability { export probe; }", "", "world probe-ability: it is gone");
}
