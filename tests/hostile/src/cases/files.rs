//! Paths, links and disks. The folder that is granted holds `a.txt`; beside it stands `secret.txt`.

use crate::case::{Case, LIMITS};
use crate::site::Site;
use anyhow::{Context as _, Result, ensure};
use std::process::Command;

const OUTSIDE: &str = "what nobody granted";

/// A source that looks at what it was granted, and says in each of its ten records what it found.
fn looks(name: &'static str, what: &'static str, control: &'static str, misbehave: &str, write: bool) -> Case {
    let grant = format!("grants = {{ dirs = [{{ host = \"$CASE/box\", guest = \"/in\", write = {write} }}] }}\n");
    Case::new(name, what, control)
        .source(&format!("plugin = \"guest-source\"\nsettings = {{ misbehave = \"{misbehave}\" }}\n{grant}{LIMITS}"))
        .mended(&format!("misbehave = \"{misbehave}\""), "misbehave = \"polite\"", 0)
        .records(10, Vec::new())
        .before(boxed)
}

fn boxed(site: &Site) -> Result<()> {
    std::fs::create_dir_all(site.path("box"))?;
    site.write("box/a.txt", "granted")?;
    site.write("secret.txt", OUTSIDE)
}

/// Nothing of what stands outside came through, and it is as it was.
fn untouched(site: &Site) -> Result<()> {
    ensure!(!site.keeps(OUTSIDE)?, "it read what nobody granted: {:?}", site.kept()?.first());
    let outside = std::fs::read_to_string(site.path("secret.txt")).context("what nobody granted is gone")?;
    ensure!(outside == OUTSIDE, "it changed what nobody granted");
    ensure!(!site.path("taken.txt").exists(), "it put something where nobody granted anything");
    Ok(())
}

/// Every record says this.
fn says(site: &Site, word: &str) -> Result<()> {
    let kept = site.kept()?;
    ensure!(kept.iter().take(10).all(|line| line.contains(word)), "not {word:?}, but {:?}", kept.first());
    Ok(())
}

fn refused(case: Case) -> Case {
    case.also(|site| {
        untouched(site)?;
        says(site, "Err(")
    })
}

#[cfg(unix)]
fn link(from: &str, site: &Site, within: &str) -> Result<()> {
    boxed(site)?;
    Ok(std::os::unix::fs::symlink(from, site.path(within))?)
}

pub(super) fn cases() -> Vec<Case> {
    let confined = "a directory is opened once, and nothing outside of it by any path";
    let reads = "grants are for reading, unless they say so";
    vec![
        refused(looks("path-up", "reads `/in/../secret.txt`", confined, "climb", false)),
        refused(looks("path-absolute", "reads `/etc/passwd`", confined, "absolute", false)),
        refused(looks("link-out", "reads through a link to a file outside", confined, "link", false))
            .before(|site| link("../secret.txt", site, "box/link.txt")),
        refused(looks("link-folder-out", "reads through a link to a folder outside", confined, "link-folder", false))
            .before(|site| link("..", site, "box/out")),
        refused(looks("link-planted", "makes a link to a file outside and reads it", confined, "plant-link", true)),
        refused(looks("link-hard", "makes a hard link to a file outside", confined, "hard-link", true)),
        refused(looks("rename-out", "moves a file out of its directory", confined, "rename-out", true)),
        refused(looks("write-read-only", "writes where it may only read", reads, "write-file", false)),
        refused(looks("delete-read-only", "deletes where it may only read", reads, "delete-file", false)),
        looks("fifo", "reads a FIFO that nobody writes to", "no operation of a file holds a call", "fifo", false)
            .before(|site| {
                boxed(site)?;
                let made = Command::new("mkfifo").arg(site.path("box/fifo")).status().context("making a FIFO")?;
                ensure!(made.success(), "making a FIFO: {made}");
                Ok(())
            })
            .also(|site| says(site, "Err(")),
        refused(looks(
            "descriptors",
            "opens files until it is refused",
            "256 resources of the system",
            "descriptors",
            false,
        )),
        refused(
            looks("disk-bomb", "writes 64 MiB where 1 MiB is granted", "a budget of bytes a directory", "disk", true)
                .edited("write = true", "write = true, bytes = \"1MiB\""),
        ),
        refused(
            looks(
                "many-files",
                "makes 5,000 files where 100 are granted",
                "a budget of files a directory",
                "files",
                true,
            )
            .edited("write = true", "write = true, files = 100"),
        ),
        looks(
            "many-entries",
            "lists a directory of 20,000 entries",
            "memory of the guest; entries in pieces",
            "listing",
            false,
        )
        .before(|site| {
            boxed(site)?;
            (0..20_000).try_for_each(|n| site.write(&format!("box/{n}"), ""))
        })
        .edited("200ms", "2s")
        .edited("1500ms", "10s")
        .also(|site| says(site, "20001 entries")),
        Case::new("input-fifo", "a FIFO stands among the files of a source", "no operation of a file holds a call")
            .before(|site| {
                let made = Command::new("mkfifo").arg(site.path("in/0.ndjson")).status().context("making a FIFO")?;
                ensure!(made.success(), "making a FIFO: {made}");
                Ok(())
            })
            .removed("in/0.ndjson"),
        Case::new("output-link", "the file that is written to is a link to one outside", confined)
            .before(|site| {
                site.write("secret.txt", OUTSIDE)?;
                Ok(std::os::unix::fs::symlink("../secret.txt", site.path("out/kept.ndjson"))?)
            })
            .run("not-writable")
            .also(|site| {
                let outside = std::fs::read_to_string(site.path("secret.txt"))?;
                ensure!(outside == OUTSIDE, "it wrote where nobody granted anything");
                Ok(())
            })
            .removed("out/kept.ndjson"),
    ]
}
