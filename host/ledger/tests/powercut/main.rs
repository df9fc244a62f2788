//! Power cuts: what a disk could hold at any moment is opened as a ledger, and everything acknowledged is there.
//!
//! `CROSSDOCK_POWERCUT_IMAGES` is the number of images that are looked at, 200 by default.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod image;
mod shim;
#[path = "../suite/mod.rs"]
mod suite;
mod workload;

use crossdock_ledger::{LedgerStore, OpenOptions, verify};
use crossdock_model::{Status, Timestamp};
use image::{Dice, Disk};
use shim::Op;
use std::path::{Path, PathBuf};
use workload::{Call, Done, Found, Kind};

const IMAGES: usize = 200;
const THREADS: usize = 2;

fn images_wanted() -> usize {
    std::env::var("CROSSDOCK_POWERCUT_IMAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(IMAGES)
}

/// Where files cost the least; what is tested is not this machine's disk.
fn room() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub(crate) fn open(dir: &Path) -> LedgerStore {
    LedgerStore::open(dir, options()).unwrap()
}

fn options() -> OpenOptions {
    OpenOptions::new(Timestamp(9_000))
}

/// What was seen over many images.
#[derive(Debug, Default)]
struct Seen {
    images: usize,
    /// Calls that were acknowledged before the cut and are not there.
    lost: Vec<String>,
    /// Anything else that must not be.
    wrong: Vec<String>,
    /// Images in which calls are there that were not acknowledged yet.
    ahead: usize,
    /// Images whose records in doubt were made indeterminate.
    doubt: usize,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.images += other.images;
        self.ahead += other.ahead;
        self.doubt += other.doubt;
        self.lost.extend(other.lost);
        self.wrong.extend(other.wrong);
    }
}

/// Opens what the disk could hold after each of the cuts.
fn look(ops: &[Op], calls: &[Done], cuts: &[(usize, u64)], kind: Kind, lies: bool) -> Seen {
    let mut disk = Disk::new(lies);
    let mut seen = Seen::default();
    let mut taken = 0;
    for &(cut, seed) in cuts {
        for op in &ops[taken..cut] {
            disk.take(op);
        }
        taken = cut;
        let dir = room();
        disk.image(dir.path(), &mut Dice::new(seed));
        seen.images += 1;
        check(dir.path(), (kind, &format!("cut {cut}, seed {seed}")), cut, calls, &mut seen);
    }
    seen
}

fn check(dir: &Path, (kind, place): (Kind, &str), cut: usize, calls: &[Done], seen: &mut Seen) {
    let store = match LedgerStore::open(dir, options()) {
        Ok(store) => store,
        Err(error) => return seen.wrong.push(format!("{place}: {error}")),
    };
    match verify(dir) {
        Ok(report) if report.is_whole() => {}
        found => seen.wrong.push(format!("{place}: {found:?}")),
    }
    let found = match Found::read(&store) {
        Ok(found) => found,
        Err(error) => return seen.wrong.push(format!("{place}: {error}")),
    };
    seen.doubt += usize::from(found.records.values().any(|(status, _)| *status == Status::Indeterminate));
    // The calls took effect in the order in which they were made: those that are there are the first ones.
    let mut missing: Option<&Done> = None;
    let mut ahead = false;
    for done in calls {
        let Some(there) = found.has(done, calls) else { continue };
        let acknowledged = done.acknowledged.is_some_and(|at| at <= cut);
        if there {
            ahead |= !acknowledged;
            if let Some(missing) = missing {
                let (this, that) = (&done.call, &missing.call);
                seen.wrong.push(format!("{place}: {this:?} is there and the earlier {that:?} is not"));
                break;
            }
        } else {
            if acknowledged {
                seen.lost.push(format!("{place}: {:?}", done.call));
            }
            // What is new waits for room, and outcomes of other batches may overtake it.
            let waits = kind == Kind::Full && !acknowledged && matches!(done.call, Call::Intend { .. });
            if !waits {
                missing = missing.or(Some(done));
            }
        }
    }
    seen.ahead += usize::from(ahead);
    match found.old_missing(calls, cut) {
        0 => {}
        missing => seen.lost.push(format!("{place}: {missing} old records, which were not pruned")),
    }
    if let Some(half) = found.half(calls) {
        seen.wrong.push(format!("{place}: {half}"));
    }
}

/// Cuts the power at many places of one recording, on two threads.
fn sweep(seed: u64, images: usize, kind: Kind, lies: bool) -> (Seen, usize) {
    let home = room();
    let dir: PathBuf = home.path().join("data");
    let (ops, calls) = workload::record(&dir, seed, kind);
    let mut dice = Dice::new(seed ^ 0x51_7c_c1_b7);
    let mut cuts: Vec<(usize, u64)> =
        (0..images).map(|image| (dice.below(ops.len() + 1), seed * 1_000_000 + image as u64)).collect();
    cuts.sort_unstable();
    let seen = std::thread::scope(|scope| {
        let parts: Vec<_> = (0..THREADS)
            .map(|part| {
                let mine: Vec<_> = cuts.iter().copied().skip(part).step_by(THREADS).collect();
                let (ops, calls) = (&ops, &calls);
                scope.spawn(move || look(ops, calls, &mine, kind, lies))
            })
            .collect();
        let mut all = Seen::default();
        for part in parts {
            all.add(part.join().unwrap());
        }
        all
    });
    let acknowledged = calls.iter().filter(|done| done.acknowledged.is_some()).count();
    println!(
        "{kind:?}, seed {seed}: {} changes of files, {acknowledged} calls acknowledged, {} images: {} lost, {} wrong, {} ahead, {} in doubt",
        ops.len(),
        seen.images,
        seen.lost.len(),
        seen.wrong.len(),
        seen.ahead,
        seen.doubt,
    );
    (seen, acknowledged)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_is_cut() {
    let wanted = images_wanted();
    let mut left = wanted;
    for seed in 1.. {
        let images = left.min(200);
        let (seen, acknowledged) = sweep(seed, images, Kind::Usual, false);
        assert!(acknowledged > 300, "the workload is too small to say anything");
        assert_eq!(seen.wrong, Vec::<String>::new());
        assert_eq!(seen.lost, Vec::<String>::new());
        assert!(images < 200 || (seen.ahead > 0 && seen.doubt > 0), "no cut was in the middle of anything");
        left -= images;
        if left == 0 {
            break;
        }
    }
}

/// A transaction that finds the disk full was not done: also not when half of it is on disk, whatever comes then.
#[test]
fn nothing_is_lost_or_done_twice_on_a_disk_that_is_full_now_and_then() {
    for seed in 1..=(images_wanted() / 100).max(1) as u64 {
        let (seen, acknowledged) = sweep(seed, 30, Kind::Full, false);
        assert!(acknowledged > 300, "the workload is too small to say anything");
        assert_eq!(seen.wrong, Vec::<String>::new());
        assert_eq!(seen.lost, Vec::<String>::new());
    }
}

#[test]
fn a_ledger_that_does_not_sync_each_commit_is_seen_to_lose() {
    let (seen, _) = sweep(1, 40, Kind::Weak, false);
    assert!(!seen.lost.is_empty(), "the images would not show a loss");
    assert_eq!(seen.wrong, Vec::<String>::new(), "it loses the end and damages nothing");
}

#[test]
fn a_disk_that_says_it_synced_and_has_not_is_seen_to_damage() {
    let (seen, _) = sweep(1, 40, Kind::Usual, true);
    assert!(!seen.wrong.is_empty(), "the images would not show damage");
}

#[test]
fn shim_sees_the_files_of_a_ledger() {
    let home = room();
    let (ops, _) = workload::record(&home.path().join("data"), 3, Kind::Usual);
    let count = |wanted: &dyn Fn(&Op) -> bool| ops.iter().filter(|op| wanted(op)).count();
    assert!(count(&|op| matches!(op, Op::Make { name, .. } if name == "ledger.db")) == 1);
    assert!(count(&|op| matches!(op, Op::Make { name, .. } if name == "ledger.db-wal")) >= 2, "one for each opening");
    assert!(count(&|op| matches!(op, Op::Remove { name, .. } if name == "ledger.db-wal")) >= 1);
    assert!(count(&|op| matches!(op, Op::Sync { .. })) > 100);
    assert!(count(&|op| matches!(op, Op::Write { .. })) > 1_000);
}
