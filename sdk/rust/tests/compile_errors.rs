//! What the compiler says to authors who have made a common mistake: each is a small crate that does not compile, and the
//! lines that its author must get to see.
// It lays out crates; it is no part of the SDK, to which files are none of its business.
#![allow(clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What every mistake is made in.
const TRANSFORMER: &str = r#"
use crossdock_sdk::*;

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Settings { smallest: u64 }

pub struct Mine(Settings);

impl Transformer for Mine {
    type Settings = Settings;
    fn describe() -> Description { Description::new("mine", "0.1.0", "Does nothing.") }
    fn new(settings: Settings) -> Result<Self, CallError> { Ok(Self(settings)) }
    fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
        out.copy(record);
        Ok(if self.0.smallest > 0 { Transform::Ok } else { Transform::Dropped })
    }
}

export_transformer!(Mine);
"#;

const DESTINATION: &str = r#"
use crossdock_sdk::*;

#[derive(serde::Deserialize, schemars::JsonSchema)]
pub struct Settings {}

#[derive(serde::Serialize)]
pub struct Receipt { order: u64 }

pub struct Mine;

impl Destination for Mine {
    type Settings = Settings;
    fn describe() -> Description { Description::new("mine", "0.1.0", "Does nothing.") }
    fn new(_: Settings) -> Result<Self, CallError> { Ok(Self) }
    fn abilities(&self) -> DestinationAbilities {
        DestinationAbilities { idempotency: Idempotency::None, atomicity: Atomicity::PerRecord, compensates: false }
    }
    fn write(&mut self, _: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
        answers.one_by_one(1_000, |_| Ok(Write::applied().receipt_json(&Receipt { order: 7 })));
        Ok(())
    }
}

export_destination!(Mine);
"#;

/// A crate that depends on the SDK as it stands, checked with what else was checked here.
struct Crate {
    dir: PathBuf,
    target: PathBuf,
}

impl Crate {
    fn new() -> Self {
        let sdk = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = sdk.ancestors().nth(2).unwrap();
        let target = root.join("target/authors");
        let dir = target.join("mistakes");
        fs::create_dir_all(dir.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"mistakes\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
             crossdock-sdk = {{ path = {:?} }}\nschemars = \"1.2\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
             [workspace]\n",
            sdk.display().to_string()
        );
        fs::write(dir.join("Cargo.toml"), manifest).unwrap();
        fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        Self { dir, target }
    }

    /// What Cargo says of this code.
    fn check(&self, code: &str) -> (bool, String) {
        fs::write(self.dir.join("src/lib.rs"), code).unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["check", "--color", "never"]).current_dir(&self.dir).env("CARGO_TARGET_DIR", &self.target);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"] {
            cargo.env_remove(name);
        }
        let output = cargo.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }
}

/// The code with `from` replaced by `to` does not compile: the first error is this line, and the others follow.
#[track_caller]
fn check(within: &Crate, code: &str, from: &str, to: &str, error: &str, help: &[&str]) {
    assert_eq!(code.matches(from).count(), 1, "{from}");
    let (fine, said) = within.check(&code.replace(from, to));
    assert!(!fine, "it compiles with {to}");
    let first = said.lines().find(|line| line.starts_with("error")).unwrap_or_default();
    assert!(first.ends_with(error), "{said}");
    for part in help {
        assert!(said.contains(part), "{part} is not said:\n{said}");
    }
}

#[test]
fn mistakes_are_told_in_the_authors_words() {
    let within = Crate::new();
    for code in [TRANSFORMER, DESTINATION] {
        let (fine, said) = within.check(code);
        assert!(fine && !said.contains("warning"), "{said}");
    }
    let mine = "`crossdock_sdk::Destination` is not implemented for it";
    let by_role = ["write `impl crossdock_sdk::Destination for Mine", mine];
    check(&within, TRANSFORMER, "export_transformer!", "export_destination!", "`Mine` is no destination", &by_role);
    check(&within, TRANSFORMER, "export_transformer!", "export_source!", "`Mine` is no source", &[]);
    check(&within, DESTINATION, "export_destination!", "export_transformer!", "`Mine` is no transformer", &[]);

    let settings = "`Settings` cannot be the settings of a plugin";
    let derive = ["write `#[derive(serde::Deserialize, schemars::JsonSchema)]` above it"];
    let both = "#[derive(serde::Deserialize, schemars::JsonSchema)]";
    check(&within, TRANSFORMER, both, "", settings, &derive);
    check(&within, TRANSFORMER, both, "#[derive(serde::Deserialize)]", settings, &derive);
    check(&within, TRANSFORMER, both, "#[derive(schemars::JsonSchema)]", settings, &derive);

    let ability = ["or export it without `compensate`"];
    check(&within, DESTINATION, "(Mine);", "(Mine, compensate);", "`Mine` cannot undo", &ability);
    check(&within, DESTINATION, "(Mine);", "(Mine, probe);", "`Mine` cannot be asked afterwards", &[]);
    let order = "behind the destination's type stands `compensate`, `probe`, or `compensate, probe`";
    check(&within, DESTINATION, "(Mine);", "(Mine, undo);", order, &[]);
    check(&within, DESTINATION, "(Mine);", "(Mine, probe, compensate);", order, &[]);

    let receipt = ["is given to `receipt_json` instead"];
    let own = "receipt(Receipt { order: 7 })";
    check(
        &within,
        DESTINATION,
        "receipt_json(&Receipt { order: 7 })",
        own,
        "`Receipt` cannot be a receipt as it is",
        &receipt,
    );
    let why = ["give text, or `Failure::new"];
    let new = "{ Ok(Self(settings)) }";
    check(&within, TRANSFORMER, new, "{ Err(CallError::internal(settings.smallest)) }", "`u64` does not say why", &why);
}
