//! Cases that a person can read. One line says the route and the world, the next what must come of it.
//!
//! Steps are words: `t` a transformer, `key`, `upsert`, `probe`, `none` a destination with that idempotency.
//! `r3@1: retry,unknown+` says what step 1 does with record r3, call after call; then it is fine, unless the last word
//! ends with `!`, which is for ever. `unknown+` and `fault+` took effect, `unknown-` and `fault-` did not.

use crate::ledger::MemLedger;
use crate::player::{Accidents, Played};
use crate::rng::Rng;
use crate::rules::truth;
use crate::scenario::Life;
use crate::world::{Fate, Manners, Say, World};
use crossdock_engine::plan::{Breaker, LogLevel, OnError, Policy, Retry, Role, Rollback, StepSpec};
use crossdock_engine::ports::Idempotency;
use crossdock_model::{RunStatus, Status, StepName};
use std::collections::BTreeMap;

fn role(word: &str) -> Role {
    let destination = |idempotency, probes| Role::Destination { idempotency, probes, compensates: true };
    match word {
        "t" => Role::Transformer { pure: true },
        "key" => destination(Idempotency::NativeKey, false),
        "upsert" => destination(Idempotency::Upsert, false),
        "probe" => destination(Idempotency::Probe, true),
        "none" => destination(Idempotency::None, false),
        other => panic!("no step {other}"),
    }
}

fn say(word: &str) -> Say {
    match word {
        "ok" => Say::Ok,
        "drop" => Say::Drop,
        "reject" => Say::Reject,
        "retry" => Say::Retry(None),
        "later" => Say::Retry(Some(700)),
        "unauthorized" => Say::Unauthorized,
        "unknown+" => Say::Unknown(true),
        "unknown-" => Say::Unknown(false),
        "fault+" => Say::Fault(true),
        "fault-" => Say::Fault(false),
        "split" => Say::Split(2),
        other => panic!("no word {other}"),
    }
}

fn life(route: &str) -> Life {
    let (mut roles, mut fates) = (Vec::new(), BTreeMap::new());
    let (mut on_error, mut records, mut accept) = (OnError::Continue, 6, true);
    let (mut max_failed, mut max_failed_ratio) = (None, None);
    let (mut rollback, mut failures, mut undos) = (Rollback::None, 1_000, BTreeMap::new());
    for part in route.split_whitespace() {
        if let Some((place, says)) = part.split_once(':') {
            let (id, step) = place.split_once('@').unwrap();
            let mut fate = Fate { first: vec![], then: Say::Ok };
            for word in says.split(',') {
                match word.strip_suffix('!') {
                    Some(word) => fate.then = say(word),
                    None => fate.first.push(say(word)),
                }
            }
            match step.strip_prefix("undo") {
                Some(step) => undos.insert((id.to_owned(), step.parse().unwrap()), fate),
                None => fates.insert((id.to_owned(), step.parse().unwrap()), fate),
            };
        } else if let Some((key, value)) = part.split_once('=') {
            match key {
                "records" => records = value.parse().unwrap(),
                "max_failed" => max_failed = Some(value.parse().unwrap()),
                "max_failed_ratio" => max_failed_ratio = Some(value.parse().unwrap()),
                "check" => accept = value == "ok",
                "failures" => failures = value.parse().unwrap(),
                "rollback" if value == "record" => rollback = Rollback::Record,
                "rollback" if value == "run" => rollback = Rollback::Run,
                other => panic!("no key {other}"),
            }
        } else if part == "stop" {
            on_error = OnError::Stop;
        } else {
            roles.push(role(part));
        }
    }
    let steps = roles.iter().enumerate().map(|(index, role)| StepSpec {
        name: StepName::new(format!("s{index}")).unwrap(),
        role: *role,
        max_batch: 3,
        retry: Retry { attempts: 3, first_ms: 100, max_ms: 1_000, total_ms: 60_000 },
        breaker: Breaker { failures, open_ms: 200, max_ms: 1_000, total_ms: 20_000 },
        handlers: Vec::new(),
    });
    let policy = Policy {
        on_error,
        max_failed,
        max_failed_ratio,
        max_failed_window: 1_000,
        rollback,
        rollback_records_max: 1_000,
        max_faults: 20,
        log: LogLevel::Ids,
        batch_records: 3,
        batch_bytes: 1_000_000,
        window: 2,
    };
    let steps = steps.collect();
    let mut world = World::new(Manners::Scripted { fates, undos }, roles, records, 1);
    world.checks_ok = Some(accept);
    let ledger = MemLedger::default();
    let rng = Rng::new(7);
    Life {
        world,
        ledger,
        rng,
        now: 1_000,
        trace: None,
        policy,
        steps,
        run_handlers: vec![],
        source_max_batch: 3,
        runs: 0,
    }
}

/// How a run ended, what the records are that are neither ok nor dropped, and who took effect where and how often.
fn summary(life: &mut Life, accidents: Accidents) -> String {
    let played = life.play(None, accidents).unwrap();
    let spec = life.spec(None);
    truth(&life.ledger, &life.world, &spec).unwrap();
    let mut parts = match played {
        Played::Crashed => vec!["crashed".to_owned()],
        Played::Ended(end) => {
            let code = end.reason.as_ref().map(|reason| format!("({})", reason.code)).unwrap_or_default();
            let wrong = [RunStatus::Ok, RunStatus::CompletedWithFailures].contains(&end.status) && !code.is_empty();
            assert!(!wrong, "{end:?}");
            vec![format!("{}{code}", end.status)]
        }
    };
    for (id, stored) in &life.ledger.rows {
        if !matches!(stored.row.status, Status::Ok | Status::Dropped) {
            let code = stored.row.failure.as_ref().map(|failure| failure.code.as_str()).unwrap_or("-");
            parts.push(format!("{id}={}@{}({code})", stored.row.status, stored.row.step));
        }
    }
    for step in 0..life.steps.len() {
        if matches!(life.world.steps[step], Role::Destination { .. }) {
            parts.push(format!("s{step}:{}", life.world.applied_at(step).join(",")));
        }
    }
    parts.join(" ")
}

#[track_caller]
fn check(route: &str, runs: &[&str]) {
    check_with(route, Accidents::default(), runs);
}

/// The accidents happen in the first run.
#[track_caller]
fn check_with(route: &str, accidents: Accidents, runs: &[&str]) {
    let mut life = life(route);
    for (number, expected) in runs.iter().enumerate() {
        let accidents = if number == 0 { accidents } else { Accidents::default() };
        assert_eq!(summary(&mut life, accidents), *expected, "run {} of {route}", number + 1);
    }
}

#[test]
fn all_is_well() {
    check("t key", &["ok s1:r0,r1,r2,r3,r4,r5", "ok s1:r0,r1,r2,r3,r4,r5"]);
    check("t key r1@0:drop!", &["ok s1:r0,r2,r3,r4,r5"]);
    check("t key records=0", &["ok s1:"]);
}

#[test]
fn one_record_is_refused() {
    check(
        "key r3@0:reject!",
        &[
            "completed-with-failures r3=failed@s0(said-no) s0:r0,r1,r2,r4,r5",
            "ok r3=failed@s0(said-no) s0:r0,r1,r2,r4,r5",
        ],
    );
    check("t key r3@0:reject!", &["completed-with-failures r3=rejected@s0(said-no) s1:r0,r1,r2,r4,r5"]);
    // Mended in the meantime: the second run goes on where the first one stopped.
    let stopped = "failed(stopped-at-record) r3=failed@s0(said-no) s0:r0,r1,r2";
    check("stop key records=4 r3@0:reject", &[stopped, "ok s0:r0,r1,r2,r3"]);
    check("stop key records=4 r3@0:reject!", &[stopped, stopped]);
}

#[test]
fn tried_again() {
    check("key r2@0:retry,later", &["ok s0:r0,r1,r2,r3,r4,r5"]);
    check("stop none r2@0:retry,later", &["ok s0:r0,r1,r2,r3,r4,r5"]);
    check("none r2@0:retry!", &["completed-with-failures r2=failed@s0(said-no) s0:r0,r1,r3,r4,r5"]);
    check("t key r2@0:retry,retry", &["ok s1:r0,r1,r2,r3,r4,r5"]);
}

#[test]
fn an_answer_is_lost() {
    let all = "ok s0:r0,r1,r2,r3,r4,r5";
    for step in ["key", "upsert", "probe"] {
        check(&format!("{step} r2@0:unknown+"), &[all]);
        check(&format!("{step} r2@0:unknown-"), &[all]);
        check(&format!("stop {step} r2@0:unknown+"), &[all]);
    }
    let doubt = "r2=indeterminate@s0(said-no)";
    check("none r2@0:unknown+", &[&format!("completed-with-failures {doubt} s0:r0,r1,r2,r3,r4,r5")]);
    check("none r2@0:unknown-", &[&format!("completed-with-failures {doubt} s0:r0,r1,r3,r4,r5")]);
    // What is certain of the last attempt says nothing of the first.
    check("key r2@0:unknown+,retry,retry", &[&format!("completed-with-failures {doubt} s0:r0,r1,r2,r3,r4,r5")]);
    let stopped = format!("failed(stopped-at-record) r1=new@s0(-) {doubt} s0:r0");
    let found = summary(&mut life("stop none records=3 r1@0:ok r2@0:unknown-"), Accidents::default());
    assert!(found.starts_with("failed(stopped-at-record)") && found.contains(doubt), "{found}, not {stopped}");
}

#[test]
fn faults() {
    check("t key r4@0:fault-!", &["completed-with-failures r4=failed@s0(fault-trap) s1:r0,r1,r2,r3,r5"]);
    check("key r4@0:fault+", &["ok s0:r0,r1,r2,r3,r4,r5"]);
    check("probe r4@0:fault-", &["ok s0:r0,r1,r2,r3,r4,r5"]);
}

#[test]
fn credentials_are_refused() {
    check("key r2@0:unauthorized!", &["completed-with-failures r2=failed@s0(said-no) s0:r0,r1,r3,r4,r5"]);
    let mut refused = life("stop key records=2 check=no r1@0:unauthorized!");
    let found = summary(&mut refused, Accidents::default());
    assert!(found.starts_with("failed(connector-unauthorized)") && found.ends_with("s0:r0"), "{found}");
}

#[test]
fn splits_and_chains() {
    check("t key records=2 r1@0:split!", &["ok s1:r0,r1/1,r1/2"]);
    check(
        "key t key records=2 r1@1:split! r1/2@2:reject!",
        &["completed-with-failures r1/2=failed@s2(said-no) s0:r0,r1 s2:r0,r1/1"],
    );
    check(
        "stop none none records=2 r1@1:reject",
        &["failed(stopped-at-record) r1=failed@s1(said-no) s0:r0,r1 s1:r0", "ok s0:r0,r1 s1:r0,r1"],
    );
}

#[test]
fn too_many() {
    let mut five = life("key records=40 max_failed=1 r0@0:reject! r1@0:reject! r2@0:reject!");
    let found = summary(&mut five, Accidents::default());
    assert!(found.starts_with("failed(too-many-failed)") && !found.contains("r39"), "{found}");
    let bad: Vec<String> = (0..200).map(|index| format!("r{index}@0:reject!")).collect();
    let share = |some: usize, records: u32| {
        let route = format!("key max_failed_ratio=0.1 records={records} {}", bad[..some].join(" "));
        summary(&mut life(&route), Accidents::default()).split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(share(10, 99), "completed-with-failures", "too few to say");
    assert_eq!(share(9, 200), "completed-with-failures");
    assert_eq!(share(30, 200), "failed(too-many-failed)");
}

#[test]
fn cut_short_anywhere() {
    let routes = [
        "t key r2@0:drop!",
        "stop t key key r3@1:retry",
        "key t probe r1@1:split! r4@2:unknown+",
        "stop probe r2@0:later r4@0:unknown-",
        "t none r1@0:retry",
    ];
    for route in routes {
        for at in 0..40 {
            let crash = Accidents { crash_at: Some(at), ..Accidents::default() };
            let cancel = Accidents { cancel_at: Some(at), ..Accidents::default() };
            let mut cut = life(route);
            summary(&mut cut, crash);
            cut.heal().unwrap_or_else(|error| panic!("{route}, dead at {at}: {error}"));
            let mut cut = life(route);
            let found = summary(&mut cut, cancel);
            assert!(
                found.starts_with("cancelled(run-cancelled)") || found.starts_with("ok"),
                "{route} at {at}: {found}"
            );
            cut.heal().unwrap_or_else(|error| panic!("{route}, cancelled at {at}: {error}"));
        }
    }
}
