//! Cases that a person can read. One line says the route and the world, the next what must come of it.
//!
//! Steps are words: `t` a transformer, `key`, `upsert`, `probe`, `none` a destination with that idempotency.
//! `r3@1: retry,unknown+` says what step 1 does with record r3, call after call; then it is fine, unless the last word
//! ends with `!`, which is for ever. `unknown+` and `fault+` took effect, `unknown-` and `fault-` did not. `r3@undo1:`
//! says the same of undoing.

use crate::ledger::MemLedger;
use crate::player::{Accidents, Played};
use crate::rng::Rng;
use crate::rules::truth;
use crate::scenario::{Life, NO_LIMIT};
use crate::world::{Fate, Manners, Outage, Say, World};
use crossdock_engine::plan::{Breaker, LogLevel, OnError, Policy, Retry, Role, Rollback, StepSpec};
use crossdock_engine::ports::Idempotency;
use crossdock_model::{HandlerKind, RunStatus, Status, StepName};
use std::collections::BTreeMap;

const HANDLERS: [HandlerKind; 3] = [HandlerKind::OnSuccess, HandlerKind::OnFailure, HandlerKind::OnRollback];

/// A destination whose word ends with `*` has a handler for everything.
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
        "unchanged" => Say::Unchanged,
        other => panic!("no word {other}"),
    }
}

fn life(route: &str) -> Life {
    let (mut roles, mut fates) = (Vec::new(), BTreeMap::new());
    let (mut on_error, mut records, mut accept) = (OnError::Continue, 6, true);
    let (mut max_failed, mut max_failed_ratio) = (None, None);
    let (mut alternate, mut keys, mut kills, mut outages) = (false, 0, None, Vec::new());
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
                "checks" if value == "alternate" => alternate = true,
                "keys" => keys = value.parse().unwrap(),
                "kills" => {
                    let (id, step) = value.split_once('@').unwrap();
                    kills = Some((step.parse().unwrap(), id.to_owned()));
                }
                "down" => {
                    let (step, time) = value.split_once('@').unwrap();
                    let (from, until) = time.split_once('-').unwrap();
                    let (from, until) = (from.parse().unwrap(), until.parse().unwrap());
                    outages.push(Outage { step: step.parse().unwrap(), from, until });
                }
                "check" => accept = value == "ok",
                "failures" => failures = value.parse().unwrap(),
                "rollback" if value == "record" => rollback = Rollback::Record,
                "rollback" if value == "run" => rollback = Rollback::Run,
                other => panic!("no key {other}"),
            }
        } else if part == "stop" {
            on_error = OnError::Stop;
        } else {
            let (word, handlers) = part.strip_suffix('*').map_or((part, false), |word| (word, true));
            roles.push((role(word), handlers));
        }
    }
    let steps = roles.iter().enumerate().map(|(index, (role, handlers))| StepSpec {
        name: StepName::new(format!("s{index}")).unwrap(),
        role: *role,
        max_batch: 3,
        retry: Retry { attempts: 3, first_ms: 100, max_ms: 1_000, total_ms: 60_000 },
        breaker: Breaker { failures, open_ms: 200, max_ms: 1_000, total_ms: 20_000 },
        handlers: if *handlers { HANDLERS.to_vec() } else { Vec::new() },
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
        source: NO_LIMIT,
    };
    let steps: Vec<StepSpec> = steps.collect();
    let roles = roles.into_iter().map(|(role, _)| role).collect();
    let mut world = World::new(Manners::Scripted { fates, undos }, roles, records, 1);
    world.checks_ok = Some(accept);
    (world.checks_alternate, world.order_keys, world.kills, world.outages) = (alternate, keys, kills, outages);
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
    let undone: Vec<String> = life.world.undone.iter().map(|(step, id)| format!("{id}@{step}")).collect();
    if !undone.is_empty() {
        parts.push(format!("undone:{}", undone.join(",")));
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
    // After an effect nothing may be halved: all of its batch is in doubt, and nothing is written twice.
    let doubt = |id: &str| format!("{id}=indeterminate@s0(fault-trap)");
    let rest = [doubt("r2"), doubt("r3"), doubt("r4")].join(" ");
    check("none r4@0:fault+!", &[&format!("completed-with-failures {rest} s0:r0,r1,r2,r3,r4,r5")]);
    // The poison record stands alone, and the others of its batch pass.
    check("key r4@0:fault-!", &[&format!("completed-with-failures {} s0:r0,r1,r2,r3,r5", doubt("r4"))]);
    check("upsert r4@0:fault+!", &[&format!("completed-with-failures {} s0:r0,r1,r2,r3,r4,r5", doubt("r4"))]);
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

const CHAIN: &str = "stop key key key records=2 r1@2:reject!";

#[test]
fn a_chain_is_undone() {
    // The last step refuses: what the others did is undone, newest first; the next run begins anew.
    check(
        "rollback=record key key key records=3 r1@2:reject!",
        &["completed-with-failures r1=rolled-back@s2(said-no) s0:r0,r2 s1:r0,r2 s2:r0,r2 undone:r1@1,r1@0"],
    );
    let stopped = "failed(stopped-at-record) r1=rolled-back@s2(said-no) s0:r0 s1:r0 s2:r0 undone:r1@1,r1@0";
    check(&format!("rollback=record {CHAIN}"), &[stopped, &format!("{stopped},r1@1,r1@0")]);
    check(
        "rollback=record stop key key key records=2 r1@2:reject",
        &[stopped, "ok s0:r0,r1 s1:r0,r1 s2:r0,r1 undone:r1@1,r1@0"],
    );
    // All or nothing: also what went well.
    check(
        &format!("rollback=run {CHAIN}"),
        &[
            "failed(stopped-at-record) r0=rolled-back@s2(-) r1=rolled-back@s2(said-no) s0: s1: s2: undone:r1@1,r1@0,r0@2,r0@1,r0@0",
        ],
    );
}

#[test]
fn undoing_fails() {
    let route = "rollback=record key key key records=1 r0@2:reject!";
    check(
        &format!("{route} r0@undo0:retry,later"),
        &["completed-with-failures r0=rolled-back@s2(said-no) s0: s1: s2: undone:r0@1,r0@0"],
    );
    let failed = "completed-with-failures r0=rollback-failed@s2(keeps-it) s0:r0 s1: s2: undone:r0@1";
    check(&format!("{route} r0@undo0:retry!"), &[failed]);
    check(&format!("{route} r0@undo0:reject!"), &[failed]);
    // It traps whenever it is to undo that record; another one is undone all the same.
    let trapped = "r0=rollback-failed@s2(fault-trap)";
    check(
        &format!("{route} r0@undo0:fault-!"),
        &[&format!("completed-with-failures {trapped} s0:r0 s1: s2: undone:r0@1")],
    );
    let two = "rollback=record key key records=2 r0@1:reject! r1@1:reject! r0@undo0:fault-!";
    check(
        two,
        &["completed-with-failures r0=rollback-failed@s1(fault-trap) r1=rolled-back@s1(said-no) s0:r0 s1: undone:r1@0"],
    );
    // It undoes, and then traps each time: nobody calls it undone.
    check(
        &format!("{route} r0@undo0:fault+!"),
        &[&format!("completed-with-failures {trapped} s0: s1: s2: undone:r0@1,r0@0")],
    );
    // Its answer is lost, for ever: it is not called undone, although it is.
    check(
        &format!("{route} r0@undo0:unknown+!"),
        &["completed-with-failures r0=rollback-failed@s2(keeps-it) s0: s1: s2: undone:r0@1,r0@0"],
    );
}

#[test]
fn what_is_in_doubt_is_asked_about_before_it_is_undone() {
    let undone = "undone:r0@1,r0@0";
    // Nobody may write it again, but the step can be asked.
    let doubt = "rollback=run stop key probe none records=2 r0@1:unknown+ r1@2:reject!";
    let found = summary(&mut life(doubt), Accidents::default());
    assert!(found.ends_with("s0: s1: s2: undone:r1@1,r1@0,r0@2,r0@1,r0@0"), "{found}");
    // It cannot be asked: a person has to look.
    let found = summary(&mut life("rollback=run stop key none records=1 r0@1:unknown+"), Accidents::default());
    assert!(found.contains("r0=rollback-failed@s1(rollback-in-doubt) s0:r0 s1:r0"), "{found} {undone}");
}

#[test]
fn a_connector_is_left_alone() {
    let all = "ok s0:r0,r1,r2,r3,r4,r5";
    // The outage is longer than all attempts of a record would last, and none of them is spent in it.
    check("key failures=1 down=0@1000-15000", &[all]);
    check("stop key failures=2 down=0@1000-15000", &[all]);
    let mut over = life("key failures=1 records=2 down=0@0-900000");
    let found = summary(&mut over, Accidents::default());
    assert!(found.starts_with("failed(connector-down)") && found.ends_with("s0:"), "{found}");
    // Refused until the token is replaced.
    check("key records=2 r1@0:unauthorized checks=alternate", &["ok s0:r0,r1"]);
    // The check says yes and the write no, in turns: that too comes to an end.
    let mut turns = life("key records=2 r1@0:unauthorized! checks=alternate");
    let found = summary(&mut turns, Accidents::default());
    assert!(found.starts_with("failed(connector-unauthorized)") && found.ends_with("s0:r0"), "{found}");
}

#[test]
fn order_by_key() {
    // r0 waits, and with it r2 and r4, which have its key; the others do not.
    check("key keys=2 r0@0:later", &["ok s0:r0,r1,r2,r3,r4,r5"]);
    check(
        "none keys=2 r0@0:unknown-",
        &[
            "completed-with-failures r0=indeterminate@s0(said-no) r2=pending@s0(waits-for-order) r4=pending@s0(waits-for-order) s0:r1,r3,r5",
        ],
    );
}

#[test]
fn a_record_kills_the_process() {
    let after = "completed-with-failures r2=indeterminate@s0(record-quarantined) s0:r0,r1,r3,r4,r5";
    let mut deadly = life("key kills=r2@0");
    let found: Vec<String> = (0..5).map(|_| summary(&mut deadly, Accidents::default())).collect();
    assert!(found[..4].iter().all(|found| found.starts_with("crashed")), "{found:?}");
    assert_eq!(found[4], after);
}

#[test]
fn handlers_are_called_once_each() {
    let mut told = life("rollback=record key* key* records=2 r1@1:reject!");
    summary(&mut told, Accidents::default());
    let called: Vec<String> =
        told.ledger.tasks.keys().map(|(id, place, generation)| format!("{id} {place} {generation}")).collect();
    let expected =
        ["r0 s0.on_success 0", "r0 s1.on_success 0", "r1 s0.on_success 0", "r1 s0.on_rollback 0", "r1 s1.on_failure 0"];
    assert_eq!(called, expected);
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
        "rollback=record key* t probe* key* r1@3:reject r4@3:unknown- r4@undo0:retry",
        "rollback=run stop key* t probe* r1@2:unknown+ r4@2:reject r2@undo0:unknown+",
        "key keys=2 r0@0:later,unknown+ r3@0:retry",
    ];
    for route in routes {
        // Late enough, a cancel finds that the run has come to the end it has anyway.
        let whole = summary(&mut life(route), Accidents::default());
        let ends = whole.split(' ').next().unwrap_or_default();
        for at in 0..40 {
            let crash = Accidents { crash_at: Some(at), ..Accidents::default() };
            let cancel = Accidents { cancel_at: Some(at), ..Accidents::default() };
            let mut cut = life(route);
            summary(&mut cut, crash);
            cut.heal().unwrap_or_else(|error| panic!("{route}, dead at {at}: {error}"));
            let mut cut = life(route);
            let found = summary(&mut cut, cancel);
            assert!(
                found.starts_with("cancelled(run-cancelled)") || found.starts_with(ends),
                "{route} at {at}: {found}"
            );
            cut.heal().unwrap_or_else(|error| panic!("{route}, cancelled at {at}: {error}"));
        }
    }
}
