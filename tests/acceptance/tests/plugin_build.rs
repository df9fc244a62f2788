//! `crossdock plugin build` where the tools of a language are missing, old, or say no: with tools of our own in `PATH`, so
//! that nothing of this machine matters.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result};
use crossdock_acceptance::{Command, Outcome};
use crossdock_devkit::binary;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

const RUSTC: &str = r#"case "$*" in
--version) echo "rustc 1.95.0 (59807616e 2026-04-14)" ;;
"--print sysroot") echo "$HERE/sysroot" ;;
*) echo "$HERE/sysroot" ;;
esac"#;

const RUSTC_OF_LONG_AGO: &str = r#"echo "rustc 1.80.0 (051478957 2024-07-21)""#;

/// Answers as Cargo does; what `build` does stands behind it.
const CARGO: &str = r#"if [ "$1" = metadata ]; then
    echo '{"packages":[{"id":"me","name":"orders","version":"0.1.0","manifest_path":"'"$PWD"'/Cargo.toml"}],'
    echo '"workspace_root":"'"$PWD"'"}'
    exit 0
fi
"#;

const REFUSES: &str = "echo 'error[E0308]: mismatched types' >&2\nexit 101";
const MAKES_NOTHING: &str = r#"echo '{"reason":"compiler-artifact","package_id":"me","filenames":["liborders.rlib"]}'"#;
const MAKES_A_MODULE: &str = r#"printf '\000asm\001\000\000\000' > "$HERE/orders.wasm"
echo '{"reason":"compiler-artifact","package_id":"me","filenames":["'"$HERE"'/orders.wasm"]}'"#;

/// A folder with a plugin, and a folder with the only tools there are.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn with(tools: &[(&str, &str)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let plugin = dir.path().join("orders");
        fs::create_dir_all(dir.path().join("tools"))?;
        fs::create_dir_all(&plugin)?;
        fs::create_dir_all(dir.path().join("sysroot"))?;
        fs::write(plugin.join("Cargo.toml"), "[package]\nname = \"orders\"\nversion = \"0.1.0\"\n")?;
        for (name, script) in tools {
            let path = dir.path().join("tools").join(name);
            fs::write(&path, format!("#!/bin/sh\nHERE={}\n{script}\n", dir.path().display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(Self { dir })
    }

    /// A machine whose compiler has the target, and whose Cargo does this on `build`.
    fn that_builds(script: &str) -> Result<Self> {
        let machine = Self::with(&[("rustc", RUSTC), ("cargo", &format!("{CARGO}{script}"))])?;
        fs::write(machine.dir.path().join("sysroot/libstd-1.rlib"), "")?;
        Ok(machine)
    }

    fn build(&self, arguments: &[&str]) -> Result<Outcome> {
        let mut command = std::process::Command::new(binary("crossdock-cli", "crossdock")?);
        command.args(["plugin", "build"]).args(arguments).current_dir(self.dir.path().join("orders"));
        command.env("PATH", self.dir.path().join("tools"));
        Command::start(&mut command)?.finish()
    }

    fn dist(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("orders/dist")).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }
}

/// The build ends so; people and programs are told these parts, and there is a page. Gives what people are told.
#[track_caller]
fn check(machine: Result<Machine>, exit: i32, code: &str, parts: &[&str], fix: &str) -> Result<String> {
    let machine = machine?;
    let people = machine.build(&[])?.exits(exit).says(&[&format!("error[{code}]: ")]).says(parts).says(&["fix: ", fix]);
    let programs = machine.build(&["--json"])?.exits(exit);
    let error: Value = serde_json::from_str(&programs.stderr).with_context(|| programs.all())?;
    assert_eq!(error["error"]["code"], code, "{error}");
    let explain = std::process::Command::new(binary("crossdock-cli", "crossdock")?).args(["explain", code]).output()?;
    assert!(explain.status.success(), "no page of {code}");
    assert!(machine.dist().is_empty(), "{:?}", machine.dist());
    Ok(people.stderr.clone())
}

#[test]
fn what_is_missing_is_named_with_how_to_get_it() -> Result<()> {
    let (missing, old) = ("build-tool-missing", "build-tool-too-old");
    let rustup = "https://sh.rustup.rs";
    let _ =
        check(Machine::with(&[]), 3, missing, &["Building orders", "rustc", "was not found on this machine"], rustup)?;
    let parts = ["rustc 1.80.0 is on this machine, and 1.95 or newer is needed"];
    let _ = check(Machine::with(&[("rustc", RUSTC_OF_LONG_AGO)]), 3, old, &parts, "rustup update")?;
    let parts = ["the Rust target wasm32-wasip2, and rustup to add it, was not found"];
    let _ = check(Machine::with(&[("rustc", RUSTC)]), 3, missing, &parts, "rustup target add wasm32-wasip2")?;
    // Rustup looks after another compiler than the one in use.
    let of_another = Machine::with(&[("rustc", RUSTC), ("rustup", "exit 0")]);
    let _ = check(of_another, 3, missing, &["wasm32-wasip2 of the rustc in PATH"], "rustup target add")?;
    Ok(())
}

#[test]
fn what_a_tool_says_is_passed_on() -> Result<()> {
    let code = "build-tool-failed";
    let no_network = "echo 'error: could not connect' >&2\nexit 1";
    let parts = ["Adding the Rust target", "could not connect", "`rustup target add wasm32-wasip2` ended with"];
    let _ =
        check(Machine::with(&[("rustc", RUSTC), ("rustup", no_network)]), 2, code, &parts, "Mend what rustup says")?;

    let parts = ["`cargo build --target wasm32-wasip2", "ended with exit status: 101"];
    let said = check(Machine::that_builds(REFUSES), 2, code, &parts, "Mend what cargo says")?;
    let places =
        ["Building orders", "error[E0308]: mismatched types", "error[build-tool-failed]"].map(|part| said.find(part));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{said}");

    let programs = Machine::that_builds(REFUSES)?.build(&["--json"])?;
    let error: Value = serde_json::from_str(&programs.stderr)?;
    let message = error["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("error[E0308]: mismatched types"), "{message}");
    Ok(())
}

#[test]
fn what_is_made_is_looked_at() -> Result<()> {
    let code = "build-no-component";
    let parts = ["building orders: cargo made no .wasm file"];
    let _ = check(Machine::that_builds(MAKES_NOTHING), 2, code, &parts, "crate-type = [\"cdylib\", \"rlib\"]")?;
    let parts = ["building orders: a module was made, not a component"];
    let _ = check(Machine::that_builds(MAKES_A_MODULE), 2, code, &parts, "Export the plugin")?;
    Ok(())
}

#[test]
fn the_page_names_the_folder() -> Result<()> {
    let machine = Machine::with(&[])?;
    let nowhere = Path::new("../nowhere").display().to_string();
    let _ = machine.build(&[&nowhere])?.exits(2).says(&["error[build-no-manifest]", "/nowhere", "crossdock new"]);
    Ok(())
}
