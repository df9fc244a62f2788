//! Files that are no plugins, are another one than was meant, or are hard on whoever reads them.

use crate::case::Case;
use crate::site::Site;
use anyhow::{Context as _, Result, ensure};
use crossdock_devkit::raw::{Put, guest, with_component, with_module};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// A case with a file that must not be loaded.
fn file(
    name: &'static str,
    what: &'static str,
    control: &'static str,
    code: &'static str,
    make: impl Fn() -> Vec<u8> + 'static,
) -> Case {
    let plugin = format!("plugin = \"{name}\"");
    Case::new(name, what, control).plugin(name, move || Ok(make())).step(&plugin).refused(code).mended(
        &plugin,
        "plugin = \"guest-transformer\"",
        8,
    )
}

fn honest() -> Vec<u8> {
    guest(Put::default())
}

/// Components that instantiate the one before twice: two to the power of levels in the end.
fn doubled(levels: u32) -> String {
    let mut text = "(component (component $c0)".to_owned();
    for level in 1..=levels {
        let before = level - 1;
        let outer = format!("(alias outer 1 $c{before} (component $b))");
        let _ = write!(text, "(component $c{level} {outer} (instance (instantiate $b)) (instance (instantiate $b)))");
    }
    let _ = write!(text, "(instance (instantiate $c{levels})))");
    text
}

fn as_another(site: &Site, plugin: &str, with: impl FnOnce(&std::path::Path) -> Result<()>) -> Result<()> {
    let path = site.project().join(format!("plugins/{plugin}.wasm"));
    if path.exists() {
        fs::remove_file(&path)?;
    }
    with(&path)
}

pub(super) fn cases() -> Vec<Case> {
    let walk = "every file is walked through before it is compiled";
    vec![
        file("core-module", "is a core module", walk, "plugin-core-module", || b"\0asm\x01\0\0\0".to_vec()),
        file("text-format", "is WebAssembly as text", walk, "plugin-text-format", || b"(component)".to_vec()),
        file("program", "is a program for the machine", walk, "plugin-not-wasm", || {
            b"\x7fELF\x02\x01\x01 and so on".to_vec()
        }),
        file("empty-file", "is empty", walk, "plugin-not-wasm", Vec::new),
        file("truncated", "ends in the middle", walk, "plugin-damaged", || {
            let mut bytes = honest();
            bytes.truncate(bytes.len() * 2 / 3);
            bytes
        }),
        file("other-contract", "was built for version 9.9.9 of the contract", walk, "plugin-contract-version", || {
            let mut bytes = honest();
            bytes.truncate(bytes.len() - 5);
            bytes.extend(b"9.9.9");
            bytes
        }),
        file("doubled-instances", "comes to 16 million instances in 2 KB", walk, "plugin-too-complex", || {
            with_component(honest(), &doubled(24), &[])
        }),
        file("many-modules", "holds 300 modules", walk, "plugin-too-complex", || {
            with_component(honest(), &format!("(component {})", "(core module)".repeat(300)), &[])
        }),
        file("shared-memory", "uses threads", "proposals are allowed by name", "plugin-invalid", || {
            with_module(honest(), "(module (memory 1 1 shared))", 0)
        }),
        file("huge-file", "is a file of 129 MiB", walk, "plugin-too-large", honest)
            .before(|site| as_another(site, "huge-file", |path| Ok(fs::File::create(path)?.set_len(129 << 20)?))),
        file("plugin-fifo", "is a FIFO that nobody writes to", walk, "plugin-unreadable", honest).before(|site| {
            as_another(site, "plugin-fifo", |path| {
                let made = Command::new("mkfifo").arg(path).status().context("making a FIFO")?;
                ensure!(made.success(), "making a FIFO: {made}");
                Ok(())
            })
        }),
        file(
            "other-digest",
            "is another file than the project pins",
            "the digest in the project",
            "plugin-digest",
            honest,
        )
        .pinned("sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        Case::new(
            "swapped-file",
            "is exchanged for another file after the first run",
            "crossdock.lock has the digest of what was let in",
        )
        .plugin("swapped-file", || Ok(honest()))
        .step("plugin = \"swapped-file\"")
        .before(|site| as_another(site, "swapped-file", |path| Ok(fs::write(path, honest())?)))
        .twin("in/*", "in/*")
        .between(|site| {
            as_another(site, "swapped-file", |path| {
                Ok(fs::write(path, guest(Put { beside: "(func)", ..Put::default() }))?)
            })
        })
        .refused("plugin-changed")
        .mended("plugin = \"swapped-file\"", "plugin = \"guest-transformer\"", 8),
        Case::new("tampered-code", "a byte of its compiled code was changed", "compiled code carries a keyed hash")
            .plugin("tampered-code", || Ok(honest()))
            .step("plugin = \"tampered-code\"")
            .twin("in/*", "in/*")
            .between(|site| {
                each_compiled(site, |path, mut code| {
                    let last = code.len() - 1;
                    code[last / 2] ^= 1;
                    Ok(fs::write(path, code)?)
                })
            })
            .also(|site| {
                each_compiled(site, |path, code| {
                    let before = site.path(&path.file_name().context("a name")?.to_string_lossy());
                    ensure!(fs::read(before)? == code, "the changed code was not made anew");
                    Ok(())
                })
            }),
    ]
}

/// Looks at the compiled code that is kept of the plugin `tampered-code`; what it was before is kept beside it.
fn each_compiled(site: &Site, look: impl Fn(&std::path::Path, Vec<u8>) -> Result<()>) -> Result<()> {
    let digest = site.digest("tampered-code")?;
    let mut found = 0;
    for entry in fs::read_dir(site.project().join(".crossdock/cache"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(&digest) {
            continue;
        }
        found += 1;
        let code = fs::read(entry.path())?;
        if !site.path(&name).exists() {
            fs::write(site.path(&name), &code)?;
        }
        look(&entry.path(), code)?;
    }
    ensure!(found == 1, "{found} pieces of compiled code of the plugin {digest}");
    Ok(())
}
