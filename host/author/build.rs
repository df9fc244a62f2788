//! Puts the kits and templates of `sdk/` into the program, so that `crossdock new` works wherever it is installed.
#![allow(clippy::print_stdout, reason = "that is how a build script speaks to Cargo")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// What a kit does not take along: its tests, what its tools make, and other versions of the contract than its own.
const LEFT_OUT: &[&str] =
    &["tests", "test", "examples", "target", "dist", "node_modules", "__pycache__", "build", "released", "clippy.toml"];

/// The languages' folders below `sdk/`.
const KITS: [&str; 3] = ["rust", "js", "python"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let mut files = Vec::new();
    for kit in KITS {
        let folder = root.join("sdk").join(kit);
        // Also where there is none yet: Cargo looks again when one comes.
        println!("cargo::rerun-if-changed={}", folder.display());
        if folder.is_dir() {
            collect(&folder, kit, false, &mut files)?;
            files.push((format!("{kit}/LICENSE"), root.join("LICENSE")));
        }
    }
    for name in ["Cargo.toml", "LICENSE", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(name).display());
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    fs::write(out.join("rust.toml"), rust_manifest(&root)?)?;
    files.retain(|(name, _)| name != "rust/Cargo.toml");
    files.push(("rust/Cargo.toml".to_owned(), out.join("rust.toml")));
    files.sort();
    let mut code = String::from("const FILES: &[(&str, &[u8])] = &[\n");
    for (name, path) in &files {
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", path.display().to_string())?;
    }
    code.push_str("];\n");
    fs::write(out.join("kits.rs"), code)?;
    Ok(())
}

/// The files below a folder, by their path from `sdk/`. Of a template everything is taken along.
fn collect(
    folder: &Path,
    name: &str,
    template: bool,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made_by_tools = ["target", "dist", "node_modules", "__pycache__"].contains(&file.as_str());
        let left_out = if template { made_by_tools } else { LEFT_OUT.contains(&file.as_str()) };
        if left_out || file.starts_with('.') || file.ends_with(".egg-info") {
            continue;
        }
        let name = format!("{name}/{file}");
        // A link counts as what it leads to: the contract is linked into the kits.
        if fs::metadata(&path)?.is_dir() {
            collect(&path, &name, template || file == "templates", files)?;
        } else {
            files.push((name, path));
        }
    }
    Ok(())
}

/// The manifest of the Rust kit without what it takes over from a workspace, as Cargo itself writes it for a package.
fn rust_manifest(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut manifest: Table = fs::read_to_string(root.join("sdk/rust/Cargo.toml"))?.parse()?;
    let root: Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let empty = Table::new();
    let shared = |key: &str| root.get("workspace").and_then(|w| w.get(key)?.as_table()).unwrap_or(&empty);
    // Warnings and tests are for those who work on the kit.
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    for (section, shared) in [("package", shared("package")), ("dependencies", shared("dependencies"))] {
        let entries = manifest.get_mut(section).and_then(Value::as_table_mut).into_iter().flat_map(Table::iter_mut);
        for (name, entry) in entries {
            if let (Some(own), Some(shared)) = (inherited(entry), shared.get(name)) {
                *entry = joined(shared, own);
            }
        }
    }
    let head = "# A copy of the kit, laid here by `crossdock new`: it is on no registry yet.\n\n";
    Ok(format!("{head}{manifest}"))
}

/// What an entry that says `workspace = true` says beside it.
fn inherited(entry: &Value) -> Option<Table> {
    let mut own = entry.as_table()?.clone();
    (own.remove("workspace")?.as_bool()?).then_some(own)
}

fn joined(shared: &Value, own: Table) -> Value {
    if own.is_empty() {
        return shared.clone();
    }
    let mut joined = match shared {
        Value::Table(table) => table.clone(),
        version => Table::from_iter([("version".to_owned(), version.clone())]),
    };
    for (key, value) in own {
        match (joined.get_mut(&key), value) {
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (_, value) => drop(joined.insert(key, value)),
        }
    }
    Value::Table(joined)
}
