//! One target, driven by libFuzzer. Which one, `CROSSDOCK_FUZZ_TARGET` says: a program for each would take longer to
//! link than all of them to build. Without it, says which there are.
#![no_main]
#![allow(clippy::print_stdout, reason = "whoever does not say which target is told which there are")]

use std::sync::LazyLock;

static RUN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("CROSSDOCK_FUZZ_TARGET").unwrap_or_default();
    let targets = crossdock_fuzz::all();
    if let Some(target) = targets.iter().find(|target| target.name == name) {
        return target.run;
    }
    for target in targets {
        let folders: Vec<_> = crossdock_fuzz::folders(&target).map(|folder| folder.display().to_string()).collect();
        println!("{} {}", target.name, folders.join(" "));
    }
    std::process::exit(2)
});

libfuzzer_sys::fuzz_target!(
    init: {
        LazyLock::force(&RUN);
    },
    |bytes: &[u8]| RUN(bytes)
);
