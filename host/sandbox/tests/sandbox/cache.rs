//! The folder of compiled plugins, with everything in it that somebody could put there: what was not written by this
//! installation for this plugin is never run, and the host starts all the same.

use crate::common::{Still, config, wait};
use crate::core_guest::{Put, guest};
use crossdock_model::Explained as _;
use crossdock_sandbox::{Sandbox, SandboxConfig, SandboxError};
use rustix::fs::{CWD, FileType, Mode};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// A folder with a plugin, another one that is as long, and the cache.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("one.wasm"), guest(Put { beside: "(func (drop (i32.const 1)))", ..Put::default() }))
            .unwrap();
        fs::write(dir.path().join("two.wasm"), guest(Put { beside: "(func (drop (i32.const 2)))", ..Put::default() }))
            .unwrap();
        Self { dir }
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("data/compiled")
    }

    /// Whether the code of a plugin came from the cache, in a host that was just started.
    fn load(&self, plugin: &str) -> Result<bool, SandboxError> {
        let config = SandboxConfig { cache_dir: Some(self.cache()), ..config(Still) };
        let plugin = wait(Sandbox::new(config)?.load(self.dir.path().join(plugin)))?;
        assert_eq!(plugin.description().name, "bomb");
        Ok(plugin.is_from_cache())
    }

    /// The only entry.
    fn entry(&self) -> PathBuf {
        let mut entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }

    fn entries(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|extension| extension == "bin")).collect()
    }

    fn key(&self) -> PathBuf {
        self.cache().join("key")
    }
}

/// Compiles a plugin, does something to the folder, and looks whether the next host takes the code from there. Whatever
/// it does, the one after it does, the folder is ours alone, and there is nothing in it but the key and one entry.
#[track_caller]
fn check(damage: impl FnOnce(&Place), from_cache: bool) {
    let place = Place::new();
    assert!(!place.load("one.wasm").unwrap());
    damage(&place);
    assert_eq!(place.load("one.wasm").unwrap(), from_cache);
    assert!(place.load("one.wasm").unwrap(), "it is not kept any more");
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&place.cache()), mode(&place.key()), mode(&place.entry())), (0o700, 0o600, 0o600));
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 2);
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// A pipe at this place: whoever opens it waits until somebody writes.
fn pipe(path: &Path) {
    fs::remove_file(path).unwrap();
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn entries_that_were_changed() {
    check(|_| {}, true);
    check(|p| fs::remove_file(p.entry()).unwrap(), false);
    // A byte of the heading, the seal, the machine code at its beginning, in the middle and at its end.
    for at in [0.0, 0.000_1, 0.002, 0.01, 0.5, 1.0] {
        let flip = |bytes: &mut Vec<u8>| {
            let at = ((bytes.len() - 1) as f64 * at) as usize;
            bytes[at] ^= 1;
        };
        check(|p| edit(&p.entry(), flip), false);
    }
    for length in [0, 1, 8, 39, 40, 41] {
        check(|p| edit(&p.entry(), |bytes| bytes.truncate(length)), false);
    }
    check(|p| edit(&p.entry(), |bytes| bytes.truncate(bytes.len() / 2)), false);
    check(|p| edit(&p.entry(), |bytes| bytes.push(0)), false);
    check(|p| edit(&p.entry(), |bytes| bytes[8..].fill(0)), false);
    // Larger than an entry may be: not even read. It takes no room on the disk.
    check(|p| File::options().write(true).open(p.entry()).unwrap().set_len(1 << 40).unwrap(), false);
}

#[test]
fn entries_of_others() {
    // The code of another plugin under this one's name, sealed by us.
    let rename = |p: &Place| {
        let one = p.entry();
        assert!(!p.load("two.wasm").unwrap());
        let two = p.entries().into_iter().find(|path| *path != one).unwrap();
        fs::rename(two, one).unwrap();
    };
    check(rename, false);
    // An entry of another installation, with its own key or with ours.
    let foreign = |with_key: bool| {
        move |p: &Place| {
            let other = Place::new();
            assert!(!other.load("one.wasm").unwrap());
            assert_eq!(other.entry().file_name(), p.entry().file_name());
            fs::copy(other.entry(), p.entry()).unwrap();
            if with_key {
                fs::copy(other.key(), p.key()).unwrap();
            }
        }
    };
    check(foreign(false), false);
    // Whoever can write the key with our rights can do everything: that is how a folder is moved to another place.
    check(foreign(true), true);
}

#[test]
fn keys_that_are_not_ours_alone() {
    check(|p| fs::remove_file(p.key()).unwrap(), false);
    check(|p| fs::write(p.key(), [0; 32]).unwrap(), false);
    for length in [0, 31, 33, 1 << 20] {
        check(|p| fs::write(p.key(), vec![7; length]).unwrap(), false);
    }
    for mode in [0o640, 0o604, 0o622] {
        check(|p| fs::set_permissions(p.key(), Permissions::from_mode(mode)).unwrap(), false);
    }
    let link = |p: &Place| {
        let elsewhere = p.dir.path().join("elsewhere");
        fs::rename(p.key(), &elsewhere).unwrap();
        symlink(elsewhere, p.key()).unwrap();
    };
    check(link, false);
    check(|p| pipe(&p.key()), false);
    let folder = |p: &Place| {
        fs::remove_file(p.key()).unwrap();
        fs::create_dir(p.key()).unwrap();
    };
    check(folder, false);
}

#[test]
fn what_is_no_file_where_an_entry_would_be() {
    let link = |p: &Place| {
        let (entry, elsewhere) = (p.entry(), p.dir.path().join("elsewhere"));
        fs::rename(&entry, &elsewhere).unwrap();
        symlink(elsewhere, entry).unwrap();
    };
    check(link, false);
    let zeroes = |p: &Place| {
        let entry = p.entry();
        fs::remove_file(&entry).unwrap();
        symlink("/dev/zero", entry).unwrap();
    };
    check(zeroes, false);
    check(|p| pipe(&p.entry()), false);
    let folder = |p: &Place| {
        let entry = p.entry();
        fs::remove_file(&entry).unwrap();
        fs::create_dir(&entry).unwrap();
        fs::write(entry.join("file"), "").unwrap();
    };
    check(folder, false);
}

#[test]
fn folders_that_others_reach() {
    for mode in [0o755, 0o777, 0o750, 0o1777] {
        check(|p| fs::set_permissions(p.cache(), Permissions::from_mode(mode)).unwrap(), true);
    }
    let refused = |place: &Place, words: &str| {
        let error = place.load("one.wasm").unwrap_err();
        assert_eq!(error.code(), "sandbox-cache");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.fix().is_some());
    };
    let place = Place::new();
    fs::create_dir_all(place.dir.path().join("data")).unwrap();
    symlink(place.dir.path(), place.cache()).unwrap();
    refused(&place, "it is a symbolic link");
    fs::remove_file(place.cache()).unwrap();
    fs::write(place.cache(), "").unwrap();
    refused(&place, "cannot be used");
    fs::remove_file(place.cache()).unwrap();
    fs::DirBuilder::new().mode(0o700).create(place.cache()).unwrap();
    // Only root can give a folder away; nobody else can have one that is someone else's and is private.
    if std::os::unix::fs::chown(place.cache(), Some(12_345), None).is_ok() {
        refused(&place, "it belongs to user 12345");
    }
}

/// Where nothing can be kept, code is compiled anew each time, and nothing else happens.
#[test]
fn a_folder_that_goes_away() {
    let place = Place::new();
    let sandbox = Sandbox::new(SandboxConfig { cache_dir: Some(place.cache()), ..config(Still) }).unwrap();
    fs::remove_dir_all(place.cache()).unwrap();
    for _ in 0..2 {
        let plugin = wait(sandbox.load(place.dir.path().join("one.wasm"))).unwrap();
        assert!(!plugin.is_from_cache());
    }
    assert!(!place.cache().exists());
    assert!(!place.load("one.wasm").unwrap());
    assert!(place.load("one.wasm").unwrap());
}

/// Processes that died while they wrote left files; there may be many, and new ones may have their ids.
#[test]
fn what_was_left_behind_does_not_grow_without_limit() {
    let place = Place::new();
    assert!(!place.load("one.wasm").unwrap());
    for n in 0..300 {
        fs::write(place.cache().join(format!("{}-{n}.tmp", std::process::id())), "half").unwrap();
    }
    assert!(!place.load("two.wasm").unwrap());
    let left = fs::read_dir(place.cache()).unwrap().count();
    assert!(left <= 257, "{left} files");
    assert!(place.load("two.wasm").unwrap());
}

#[test]
fn hosts_that_start_at_once() {
    let place = Place::new();
    let hosts: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..8).map(|_| scope.spawn(|| place.load("one.wasm").unwrap())).collect();
        starting.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(hosts.contains(&false), "nobody compiled it");
    assert!(place.load("one.wasm").unwrap());
    assert_eq!(fs::read_dir(place.cache()).unwrap().count(), 2);
}

/// The file of a plugin is exchanged after it was read: what is compiled, run and kept under its digest is what was read.
#[test]
fn a_file_that_is_exchanged_after_it_was_read() {
    let place = Place::new();
    let (one, two) = (place.dir.path().join("one.wasm"), place.dir.path().join("two.wasm"));
    let config = || SandboxConfig { cache_dir: Some(place.cache()), ..config(Still) };
    for from_cache in [false, true] {
        let sandbox = Sandbox::new(config()).unwrap();
        let read = wait(sandbox.read(&one)).unwrap();
        let (digest, kept) = (read.digest().to_owned(), fs::read(&one).unwrap());
        fs::write(&one, b"\0asm and nothing that could be let in").unwrap();
        let plugin = wait(sandbox.load_read(read)).unwrap();
        assert_eq!((plugin.digest(), plugin.is_from_cache()), (&*digest, from_cache));
        fs::write(&one, kept).unwrap();
    }
    // Nor is it found under the digest of the other.
    fs::copy(&two, &one).unwrap();
    assert!(!place.load("one.wasm").unwrap());
    assert_eq!(place.entries().len(), 2);
}
