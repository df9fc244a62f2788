//! No hot path takes more instructions than `counts.toml` says, by more than a tenth.
//!
//! `UPDATE=1 cargo test --workspace --test counts` writes down what is counted now. Without valgrind, which counts, the test
//! says so and only walks the paths; `CROSSDOCK_VALGRIND=required` makes that a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_devkit::binary_optimised;
use crossdock_guard::{Counter, Counts, GREW_MAX_PER_CENT, HotPath, OPTIMISED, Verdict};
use std::io::Write as _;
use std::path::Path;

/// The variable that demands valgrind, and its value.
const REQUIRED: (&str, &str) = ("CROSSDOCK_VALGRIND", "required");
/// Counts of one path if the first one is too high: what happens beside, in threads and on the disk, only ever adds.
const COUNTS_MAX: usize = 3;

#[test]
fn no_hot_path_has_grown() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guard");
    std::fs::create_dir_all(&folder).unwrap();
    let text = std::fs::read_to_string(Counts::file()).unwrap_or_default();
    let updating = std::env::var_os("UPDATE").is_some();
    if let Err(why) = Counter::is_possible() {
        let required = updating || std::env::var(REQUIRED.0).is_ok_and(|value| value == REQUIRED.1);
        assert!(!required, "the instructions of hot paths cannot be counted: {why}");
        tell(&format!("the instructions of hot paths are NOT counted: {why}"));
        return walk_only(&folder, &text);
    }
    let program = binary_optimised("crossdock-guard", "crossdock-guard", &OPTIMISED).unwrap();
    let counter = Counter::new(program, folder);
    if updating {
        return write_down(&counter, &text);
    }
    let counts = Counts::read(&text).expect("counts.toml");
    let grown: Vec<String> = HotPath::ALL.into_iter().filter_map(|path| check(&counter, &counts, path)).collect();
    assert!(grown.is_empty(), "{}", grown.join("\n\n"));
}

/// Counts a path; what there is to say if it grew.
fn check(counter: &Counter, counts: &Counts, path: HotPath) -> Option<String> {
    let was = counts.get(path).unwrap();
    let mut is = u64::MAX;
    for _ in 0..COUNTS_MAX {
        is = is.min(counter.count(path).unwrap());
        if Verdict::of(was, is) != Verdict::Grew {
            break;
        }
    }
    let change = (is as f64 / was as f64 - 1.0) * 100.0;
    let name = path.name();
    let counted = format!("{name}: {was} instructions a record were written down, {is} are taken now ({change:+.1} %)");
    match Verdict::of(was, is) {
        Verdict::Grew => Some(format!(
            "{counted}, and {GREW_MAX_PER_CENT} % more are let pass.\n\
             It is {}.\n\
             Where they go: callgrind_annotate {}\n\
             If that is wanted: UPDATE=1 cargo test --workspace --test counts, and say why in the commit",
            path.of(),
            counter.profile_of(path).display(),
        )),
        Verdict::Fell => {
            tell(&format!(
                "{counted}: write it down (UPDATE=1), or it can grow as much again without anybody noticing"
            ));
            None
        }
        Verdict::Held => {
            tell(&counted);
            None
        }
    }
}

/// Writes down what is counted now. A count that moved by less than a hundredth stays as it is.
fn write_down(counter: &Counter, text: &str) {
    let before = Counts::read(text).unwrap_or_default();
    let mut counts = Counts::default();
    for path in HotPath::ALL {
        let is = (0..COUNTS_MAX).map(|_| counter.count(path).unwrap()).min().unwrap();
        let was = before.get(path).filter(|was| was.abs_diff(is) * 100 <= *was);
        tell(&format!("{}: {is} instructions a record", path.name()));
        counts.set(path, was.unwrap_or(is));
    }
    std::fs::write(Counts::file(), counts.written()).unwrap();
}

/// What can be seen without counting: all that is written down can be read, and every path can be walked.
fn walk_only(folder: &Path, text: &str) {
    Counts::read(text).expect("counts.toml");
    for path in HotPath::ALL {
        path.walk(path.walks().0, folder, path.plugin().unwrap().as_deref()).unwrap();
    }
}

/// Shown whether the test passes or not, which what is printed is not.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
