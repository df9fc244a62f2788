//! What plugins could learn of each other: state, memory, secrets.

use crate::case::{Case, LIMITS};
use anyhow::ensure;
use crossdock::Status;

fn step(misbehave: &str) -> String {
    format!("plugin = \"guest-transformer\"\nsettings = {{ misbehave = \"{misbehave}\" }}\n{LIMITS}")
}

/// A step that says in each record what it found; none of it may be of somebody else.
fn finds(name: &'static str, what: &'static str, control: &'static str, misbehave: &str) -> Case {
    Case::new(name, what, control).step(&step(misbehave)).head("batch = { records = 100 }").also(|site| {
        ensure!(!site.keeps("somebody")?, "it found what is another's: {:?}", site.kept()?.first());
        Ok(())
    })
}

pub(super) fn cases() -> Vec<Case> {
    let state = "state is kept by route and step";
    let globals = "an instance serves one place of one route; what fell is dropped";
    vec![
        Case::new("state-of-a-step", "reads at one step what it wrote at another", state)
            .step(&step("state-mark"))
            .step(&step("state-peek"))
            .also(|site| {
                ensure!(!site.keeps("somebody")?, "it found what is another's: {:?}", site.kept()?.first());
                Ok(())
            }),
        finds("state-of-a-route", "reads in one route what it wrote in another", state, "state-peek")
            .twin("state-peek", "state-mark"),
        finds("memory-of-a-route", "keeps in memory what it saw in another route", globals, "remember")
            .twin("in/*", "in/*"),
        Case::new("memory-after-a-fault", "keeps in memory what it saw before it fell", globals)
            .step(&step("remember-fall"))
            .one(Status::Failed, "fault-trap")
            .also(|site| {
                ensure!(site.keeps("remembered \\\"\\\"")?, "it did not look: {:?}", site.kept()?.first());
                ensure!(!site.keeps("before it fell")?, "it found what was there before it fell");
                Ok(())
            }),
        Case::new("stdin", "waits for a line of the host's stdin", "a plugin's stdin is empty")
            .transformer("stdin")
            .also(|site| {
                ensure!(site.keeps("Ok(0)")?, "{:?}", site.kept()?.first());
                Ok(())
            }),
        Case::new("environment", "looks at the host's environment and arguments", "a plugin has none of its own")
            .transformer("environment")
            .also(|site| {
                ensure!(site.keeps("0 0 true")?, "{:?}", site.kept()?.first());
                Ok(())
            }),
        Case::new(
            "secret-not-granted",
            "opens and reveals secrets that it was not granted",
            "grants by name and place",
        )
        .transformer("secret")
        .also(|site| {
            ensure!(site.keeps("not-granted")?, "{:?}", site.kept()?.first());
            Ok(())
        }),
    ]
}
