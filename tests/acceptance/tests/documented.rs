//! Every command that a document shows is one that exists, with the options that it is shown with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result, ensure};
use crossdock_devkit::{binary, workspace_root};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold no documents of ours.
const NOT_OURS: &[&str] = &["target", "node_modules", ".git", ".crossdock", "vendor"];

/// Markdown files below a folder.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && !NOT_OURS.contains(&name) {
            documents(&path, found)?;
        } else if path.extension().is_some_and(|kind| kind == "md") {
            found.push(path);
        }
    }
    Ok(())
}

/// The commands in a document: lines of blocks, and code within text, that begin with `crossdock `.
fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            let line = line.trim_start().trim_start_matches("$ ");
            commands.extend(line.starts_with("crossdock ").then(|| line.to_owned()));
        } else {
            let code = line.split('`').skip(1).step_by(2);
            commands.extend(code.filter(|code| code.starts_with("crossdock ")).map(ToOwned::to_owned));
        }
    }
    commands
}

/// What `--help` says of each verb, asked once.
struct Helps {
    program: PathBuf,
    known: BTreeMap<Vec<String>, Option<String>>,
}

impl Helps {
    fn of(&mut self, verb: &[String]) -> Result<Option<String>> {
        if let Some(known) = self.known.get(verb) {
            return Ok(known.clone());
        }
        let output = Command::new(&self.program).args(verb).arg("--help").output()?;
        let help = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        self.known.insert(verb.to_vec(), help.clone());
        Ok(help)
    }

    /// What is wrong with a command, if anything is.
    fn fault(&mut self, command: &str) -> Result<Option<String>> {
        // A comment, a redirection or the rest of a pair of commands is not ours.
        let command = command.split(" #").next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().skip(1).take_while(|word| !"|&;><".contains(word)).collect();
        let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let mut verb: Vec<String> = Vec::new();
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            let Some(help) = self.of(&verb)? else { return Ok(Some(format!("there is no verb `{}`", verb.join(" ")))) };
            if !verb.is_empty() && !help.contains("\nCommands:\n") {
                break;
            }
            if !is_name(word) {
                return Ok(
                    (verb.is_empty() && !word.contains('…') && *word != "VERB").then(|| format!("`{word}` is no verb"))
                );
            }
            verb.push((*word).to_owned());
        }
        let Some(help) = self.of(&verb)? else { return Ok(Some(format!("there is no verb `{}`", verb.join(" ")))) };
        let option = |word: &&&str| word.starts_with("--") && word.len() > 2;
        for word in words.iter().filter(option) {
            let name = word.split(['=', ']', ',']).next().unwrap_or_default();
            if !help.contains(name) {
                return Ok(Some(format!("`{}` has no option {name}", verb.join(" "))));
            }
        }
        Ok(None)
    }
}

#[test]
fn every_command_that_is_shown_exists() -> Result<()> {
    let mut helps = Helps { program: binary("crossdock-cli", "crossdock")?, known: BTreeMap::new() };
    for (command, fine) in [
        ("crossdock run routes/x.toml", true),
        ("crossdock plugin inspect x.wasm --json", true),
        ("crossdock plugin inspekt x.wasm", false),
        ("crossdock run x.toml --fast", false),
        ("crossdock walk", false),
    ] {
        assert_eq!(helps.fault(command)?.is_none(), fine, "{command}");
    }
    let mut files = Vec::new();
    documents(workspace_root(), &mut files)?;
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    for file in files {
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        for command in commands(&text) {
            let fault = helps.fault(&command)?;
            faults.extend(fault.map(|fault| format!("{}: {command}: {fault}", file.display())));
            seen.insert(command);
        }
    }
    ensure!(seen.len() > 50, "only {} commands were found in all documents", seen.len());
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
