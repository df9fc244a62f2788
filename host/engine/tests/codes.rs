//! Reasons, failures and errors of the engine that no life of the simulation meets by name: a whole run through the
//! driver, with ports in memory, and what it says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_engine::codes::CODES;
use crossdock_engine::driver::{Ports, RunReport, StepPort, run};
use crossdock_engine::machine::Progress;
use crossdock_engine::plan::{
    Breaker, Entry, LogLevel, OnError, Policy, Retry, Role, Rollback, RunSpec, SourceBudget, StepSpec,
};
use crossdock_engine::ports::*;
use crossdock_model::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What a lying source gives for the nth read: ids, checkpoint, whether there is more.
type Lies = fn(u64) -> (Vec<String>, String, More);

/// What a run meets: one page of records, one step, what the ledger knows.
struct Scene {
    ids: Vec<&'static str>,
    order_keys: Option<Column>,
    /// What the destination says of every record.
    says: Outcome,
    /// With a reason.
    reason: bool,
    /// What the connector's own check says.
    check: Option<RefusalKind>,
    source: bool,
    /// If the source lies.
    lies: Option<Lies>,
    reads: AtomicU64,
    acks: Option<FaultKind>,
    panics: bool,
    opening: RunOpening,
    rows: Vec<RecordRow>,
    tasks: Vec<DueTask>,
    entry: Entry,
    policy: Policy,
}

fn scene() -> Scene {
    Scene {
        ids: vec!["r0", "r1"],
        order_keys: None,
        says: Outcome::Ok,
        reason: true,
        check: None,
        source: true,
        lies: None,
        reads: AtomicU64::new(0),
        acks: None,
        panics: false,
        opening: RunOpening::default(),
        rows: vec![],
        tasks: vec![],
        entry: Entry::Source { max_batch: 10 },
        policy: Policy {
            on_error: OnError::Continue,
            max_failed: None,
            max_failed_ratio: None,
            max_failed_window: 1_000,
            max_faults: 20,
            rollback: Rollback::None,
            rollback_records_max: 1_000,
            log: LogLevel::Ids,
            batch_records: 10,
            batch_bytes: 1_000_000,
            window: 2,
            source: budget(),
        },
    }
}

fn budget() -> SourceBudget {
    SourceBudget {
        pages_max: 1_000,
        records_max: 100_000,
        bytes_max: 1_000_000,
        time_max_ms: 1_000_000,
        empty_pages_max: 50,
        repeated_pages_max: 20,
    }
}

fn step() -> StepName {
    StepName::new("book").unwrap()
}

fn row(id: &str, at: &str, status: Status, payload: Payload) -> RecordRow {
    RecordRow {
        id: RecordId(id.into()),
        parent: None,
        status,
        step: StepName::new(at).unwrap(),
        generation: 0,
        attempts: 1,
        spent: 1,
        since: None,
        payload,
        attributes: vec![],
        failure: None,
        due: None,
        applied: vec![],
        order_key: None,
        open: false,
        run: RunId("before".into()),
    }
}

fn ready<T: Send + 'static>(value: T) -> PortFuture<'static, T> {
    Box::pin(std::future::ready(value))
}

/// Jumps to the time that is waited for.
struct Jumping(AtomicI64);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, at: Timestamp) -> PortFuture<'_, ()> {
        self.0.fetch_max(at.0, Ordering::SeqCst);
        ready(())
    }
}

struct Source(Arc<Scene>);

impl SourcePort for Source {
    fn abilities(&self) -> Abilities {
        abilities()
    }

    fn read(&self, checkpoint: Option<Checkpoint>, _: PageLimits) -> PortFuture<'_, CallResult<Page>> {
        assert!(!self.0.panics, "a mistake of the host's own");
        if let Some(lies) = self.0.lies {
            let (ids, checkpoint, more) = lies(self.0.reads.fetch_add(1, Ordering::SeqCst));
            let batch = Batch { ids: ids.iter().collect(), payloads: ids.iter().collect(), attributes: vec![] };
            let checkpoint = Checkpoint(checkpoint.into_bytes());
            return ready(CallResult::plain(Page { batch, order_keys: None, unreadable: vec![], checkpoint, more }));
        }
        let ids: &[&str] = if checkpoint.is_some() { &[] } else { &self.0.ids };
        let batch = Batch { ids: ids.iter().collect(), payloads: ids.iter().collect(), attributes: vec![] };
        let order_keys = self.0.order_keys.clone().filter(|_| !ids.is_empty());
        let checkpoint = Checkpoint(vec![1]);
        ready(CallResult::plain(Page { batch, order_keys, unreadable: vec![], checkpoint, more: More::End }))
    }

    fn ack(&self, _: Checkpoint) -> PortFuture<'_, CallResult<()>> {
        ready(match self.0.acks {
            Some(kind) => CallError::Fault(Fault::new(kind, "it did not acknowledge")).into(),
            None => CallResult::plain(()),
        })
    }

    fn check(&self) -> PortFuture<'_, CallResult<()>> {
        ready(CallResult::plain(()))
    }
}

fn abilities() -> Abilities {
    Abilities {
        re_reads: true,
        pure: false,
        idempotency: Idempotency::NativeKey,
        atomicity: Atomicity::PerRecord,
        compensates: true,
        probes: false,
        max_batch: 10,
    }
}

struct Destination(Arc<Scene>);

impl DestinationPort for Destination {
    fn abilities(&self) -> Abilities {
        abilities()
    }

    fn write(&self, batch: Arc<Batch>, _: Column, _: WriteOptions) -> PortFuture<'_, CallResult<Written>> {
        let outcomes = vec![self.0.says; batch.len()];
        let needed = self.0.says.needs_failure() && self.0.reason;
        let failures = (0..u32::try_from(batch.len()).unwrap()).filter(|_| needed);
        let failures = failures.map(|at| (at, Failure::new("http-503", "no room"))).collect();
        ready(CallResult::plain(Written { outcomes, failures, target_ids: None, receipts: None }))
    }

    fn compensate(&self, batch: UndoBatch) -> PortFuture<'_, CallResult<Undone>> {
        ready(CallResult::plain(Undone { outcomes: vec![Outcome::Ok; batch.ids.len()], failures: vec![] }))
    }

    fn probe(&self, _: Arc<Batch>, _: Column) -> PortFuture<'_, CallResult<Probed>> {
        panic!("it cannot be asked")
    }

    fn check(&self) -> PortFuture<'_, CallResult<()>> {
        let refused = |kind| CallError::Refused { kind, failure: Failure::new("no-answer", "nobody at the door") };
        ready(self.0.check.map_or(CallResult::plain(()), |kind| refused(kind).into()))
    }
}

/// Tells what the scene says, and remembers every row and failure that it is given.
struct Remembering {
    scene: Arc<Scene>,
    rows: Mutex<BTreeMap<RecordId, RecordRow>>,
    failures: Mutex<Vec<Failure>>,
    tasks: Mutex<Vec<DueTask>>,
}

impl Remembering {
    fn remember(&self, failures: impl IntoIterator<Item = Option<Failure>>) {
        self.failures.lock().unwrap().extend(failures.into_iter().flatten());
    }
}

impl Ledger for Remembering {
    fn begin_run(&self, _: RunStart) -> PortFuture<'_, Result<RunOpening, PortError>> {
        ready(Ok(self.scene.opening.clone()))
    }

    fn intend(&self, _: Intent) -> PortFuture<'static, Result<(), PortError>> {
        ready(Ok(()))
    }

    fn commit(&self, commit: BatchCommit) -> PortFuture<'static, Result<(), PortError>> {
        self.remember(commit.rows.iter().map(|row| row.failure.clone()));
        let mut rows = self.rows.lock().unwrap();
        for mut row in commit.rows {
            if let (Payload::Unchanged, Some(known)) = (&row.payload, rows.get(&row.id)) {
                row.payload = known.payload.clone();
            }
            rows.insert(row.id.clone(), row);
        }
        ready(Ok(()))
    }

    fn due(
        &self,
        _: RouteName,
        _: Option<RunId>,
        now: Timestamp,
        _: u32,
    ) -> PortFuture<'_, Result<DueRows, PortError>> {
        let rows = self.rows.lock().unwrap();
        let waiting = rows.values().filter(|row| row.due.is_some() && !row.open);
        let (rows, later): (Vec<_>, Vec<_>) = waiting.cloned().partition(|row| row.due <= Some(now));
        let next_due = later.iter().filter_map(|row| row.due).min();
        ready(Ok(DueRows { rows, pending: later.len() as u64, next_due }))
    }

    fn rolling_back(&self, _: RouteName, _: Timestamp, _: u32) -> PortFuture<'_, Result<DueRows, PortError>> {
        ready(Ok(DueRows::default()))
    }

    fn open_applied(&self, _: RouteName) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>> {
        ready(Ok(vec![]))
    }

    fn tasks(&self, _: RouteName, _: Timestamp, _: u32) -> PortFuture<'_, Result<DueTasks, PortError>> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap());
        ready(Ok(DueTasks { tasks, ..DueTasks::default() }))
    }

    fn commit_tasks(&self, commit: TaskCommit) -> PortFuture<'static, Result<(), PortError>> {
        assert!(commit.results.iter().all(|result| result.status == TaskStatus::GivenUp), "{commit:?}");
        self.remember(commit.results.into_iter().map(|result| result.failure));
        ready(Ok(()))
    }

    fn load(&self, _: RouteName, ids: Vec<RecordId>) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>> {
        let rows = self.rows.lock().unwrap();
        ready(Ok(ids.iter().filter_map(|id| rows.get(id).cloned()).collect()))
    }

    fn state(&self, _: RouteName, _: StepName) -> PortFuture<'_, Result<PluginState, PortError>> {
        ready(Ok(vec![]))
    }

    fn end_run(&self, end: RunEnd) -> PortFuture<'_, Result<(), PortError>> {
        self.remember([end.reason]);
        ready(Ok(()))
    }
}

/// One run; all failures that it wrote down.
fn play(scene: Scene) -> (Result<RunReport, PortError>, Vec<Failure>) {
    let scene = Arc::new(scene);
    let (run_id, route) = (RunId("r1".into()), RouteName::new("orders").unwrap());
    let idempotency = Idempotency::NativeKey;
    let spec = RunSpec {
        run: run_id.clone(),
        route: route.clone(),
        policy: scene.policy.clone(),
        steps: vec![StepSpec {
            name: step(),
            role: Role::Destination { idempotency, probes: false, compensates: true },
            max_batch: 10,
            retry: Retry { attempts: 2, first_ms: 100, max_ms: 1_000, total_ms: 60_000 },
            breaker: Breaker { failures: 2, open_ms: 200, max_ms: 1_000, total_ms: 20_000 },
            handlers: vec![],
        }],
        entry: scene.entry.clone(),
        run_handlers: vec![],
        seed: 7,
    };
    let start = RunStart {
        run: run_id,
        route,
        route_hash: "h1".into(),
        definition: String::new(),
        plugins: vec![],
        cause: Cause::Manual,
        at: Timestamp(1_000),
    };
    let tasks = Mutex::new(scene.tasks.clone());
    let rows = Mutex::new(scene.rows.iter().map(|row| (row.id.clone(), row.clone())).collect());
    let ledger = Arc::new(Remembering { scene: Arc::clone(&scene), rows, failures: Mutex::default(), tasks });
    let source: Option<Arc<dyn SourcePort>> =
        if scene.source { Some(Arc::new(Source(Arc::clone(&scene)))) } else { None };
    let ports = Ports {
        source,
        steps: vec![StepPort::Destination(Arc::new(Destination(scene)))],
        connectors: vec![],
        handlers: vec![],
        ledger: Arc::clone(&ledger) as Arc<dyn Ledger>,
        clock: Arc::new(Jumping(AtomicI64::new(1_000))),
    };
    let (_cancel, cancelled) = watch::channel(false);
    let (progress, _) = watch::channel(Progress::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(run(spec, start, ports, cancelled, progress));
    let failures = std::mem::take(&mut *ledger.failures.lock().unwrap());
    (answer, failures)
}

/// What a run of a changed scene writes down: a failure with this code, whose message has these words. A code that is
/// explained has a page, which says what to do. Answers with how the run ended.
#[track_caller]
fn check(change: impl FnOnce(&mut Scene), code: &str, words: &[&str]) -> RunReport {
    let mut scene = scene();
    change(&mut scene);
    let (answer, failures) = play(scene);
    let found = failures.iter().find(|failure| failure.code == code);
    let found = found.unwrap_or_else(|| panic!("no {code} in {failures:?}, {answer:?}"));
    assert!(words.iter().all(|words| found.message.contains(words)), "{:?} does not say {words:?}", found.message);
    let page = CODES.iter().find(|known| known.name == code).unwrap().page;
    assert!(page.contains("\n## What to do\n"), "{page}");
    answer.unwrap()
}

/// The same for a run that ends because of it: its reason, and who can do something about it.
#[track_caller]
fn check_reason(change: impl FnOnce(&mut Scene), code: &str, words: &[&str], class: ErrorClass) {
    let report = check(change, code, words);
    let reason = report.reason.map(|reason| reason.code);
    assert_eq!((report.status, reason.as_deref(), report.class), (RunStatus::Failed, Some(code), Some(class)));
}

/// The same for an error: the host could not do its own work.
#[track_caller]
fn check_error(change: impl FnOnce(&mut Scene), code: &str, words: &str) {
    let mut scene = scene();
    change(&mut scene);
    let error = play(scene).0.expect_err(code);
    assert_eq!((error.code(), error.class()), (code, ErrorClass::Internal), "{error}");
    assert!(error.message.contains(words), "{error}");
    assert!(error.fix.is_some_and(|fix| fix.contains("run the route again") && fix.contains("report this")));
}

#[test]
fn nothing_goes_wrong_by_itself() {
    let (answer, failures) = play(scene());
    assert_eq!((answer.unwrap().status, failures), (RunStatus::Ok, vec![]));
}

#[test]
fn mistakes_of_the_host_end_the_run() {
    check_error(|scene| scene.source = false, "engine-stuck", "nothing under way");
    check_error(|scene| scene.panics = true, "engine-port-panicked", "ended without an answer");
}

#[test]
fn what_a_destination_leaves_open() {
    let untouched = |scene: &mut Scene| scene.says = Outcome::Untouched;
    check(untouched, "nothing-written", &["left every record of the batch untouched"]);
    let without_reason = |scene: &mut Scene| (scene.says, scene.reason) = (Outcome::Rejected, false);
    let report = check(without_reason, "outcome-unexplained", &["gave no reason"]);
    assert_eq!(report.counts.get(Status::Failed), 2);
}

#[test]
fn a_connector_that_does_not_come_back() {
    let gone = |scene: &mut Scene| {
        (scene.says, scene.check) = (Outcome::Retryable, Some(RefusalKind::Unavailable));
    };
    let words = ["connector of step book", "cannot be used after 20 s", "nobody at the door"];
    check_reason(gone, "connector-down", &words, ErrorClass::Environment);
}

#[test]
fn records_with_one_order_key_wait_for_each_other() {
    let later = |scene: &mut Scene| {
        scene.ids = vec!["r0", "r1", "r2", "r3", "r4", "r5"];
        scene.order_keys = Some(["k"; 6].iter().collect());
        scene.says = Outcome::Retryable;
    };
    let report = check(later, "waits-for-order", &["waits for record r0", "same order key"]);
    // One after the other is written once the one before it has used up its attempts, and fares no better.
    assert_eq!(report.counts.get(Status::Failed), 6);
}

#[test]
fn records_that_cannot_be_put_through_again() {
    let resync = |row: RecordRow| {
        move |scene: &mut Scene| {
            scene.entry = Entry::Resync(vec![row.id.clone()]);
            scene.rows = vec![row];
        }
    };
    let kept = Payload::Kept(b"{}".to_vec());
    let report = check(resync(row("r0", "ship", Status::Failed, kept)), "step-gone", &["no step ship any more"]);
    assert_eq!(report.counts.get(Status::Failed), 1);
    let gone = row("r0", "book", Status::Failed, Payload::Gone);
    let report = check(resync(gone), "payload-gone", &["content of the record is not in the ledger"]);
    assert_eq!(report.counts.get(Status::Failed), 1);
}

#[test]
fn what_an_earlier_run_left() {
    let left = |row: RecordRow| {
        move |scene: &mut Scene| {
            scene.policy.on_error = OnError::Stop;
            scene.opening.open = vec![RecordRow { open: true, ..row }];
        }
    };
    check_reason(
        left(row("r9", "book", Status::Indeterminate, Payload::AtSource)),
        "source-did-not-re-read",
        &["did not give 1 record(s) again", "first r9"],
        ErrorClass::NeedsOperator,
    );
    check_reason(
        left(row("r1", "book", Status::RollbackFailed, Payload::AtSource)),
        "stopped-at-rollback",
        &["record r1 could not be undone"],
        ErrorClass::NeedsOperator,
    );
}

#[test]
fn more_than_can_be_undone_together() {
    let many = |scene: &mut Scene| {
        (scene.policy.rollback, scene.policy.rollback_records_max) = (Rollback::Run, 1);
    };
    let report = check(many, "rollback-too-large", &["2 records", "rollback_records_max = 1"]);
    assert_eq!(report.reason.map(|reason| reason.code).as_deref(), Some("rollback-too-large"));
}

#[test]
fn a_handler_that_the_route_has_no_more() {
    let place = HandlerPlace { step: Some(step()), kind: HandlerKind::OnFailure };
    let task = HandlerTask {
        held: false,
        place,
        record: RecordId("r7".into()),
        run: RunId("before".into()),
        generation: 0,
        payload: vec![],
        attributes: vec![],
        due: Timestamp(0),
    };
    let waiting = |scene: &mut Scene| scene.tasks = vec![DueTask { key: 1, task, attempts: 0, since: None }];
    let report = check(waiting, "handler-gone", &["no handler book.on_failure any more"]);
    assert_eq!((report.status, report.handlers.given_up), (RunStatus::Ok, 1));
}

/// The reasons for which the reading of a lying source ends, and what was settled of what it gave.
#[track_caller]
fn check_lie(change: impl FnOnce(&mut Scene), lies: Lies, code: &str, words: &[&str], ok: i64) {
    let with_lies = |scene: &mut Scene| {
        scene.lies = Some(lies);
        change(scene);
    };
    let report = check(with_lies, code, words);
    assert_eq!((report.status, report.counts.get(Status::Ok)), (RunStatus::Failed, ok), "{report:?}");
    assert_eq!(report.reason.map(|reason| reason.code).as_deref(), Some(code));
}

#[test]
fn a_source_comes_to_an_end() {
    let over = "source-over-budget";
    let one = |n: u64| (vec![format!("r{n}")], n.to_string(), More::More);
    let two = |n: u64| (vec![format!("r{n}"), format!("s{n}")], n.to_string(), More::More);
    check_lie(|scene| scene.policy.source.pages_max = 7, one, over, &["pages = 7;", "read 7 records in 7 pages"], 7);
    check_lie(|scene| scene.policy.source.records_max = 6, two, over, &["records = 6;", "in 3 pages"], 6);
    check_lie(|scene| scene.policy.source.bytes_max = 9, one, over, &["bytes = 9;", "read 3 records"], 3);
    check_lie(|_| (), |n| (vec![], n.to_string(), More::More), over, &["empty_pages = 50;", "in 50 pages"], 0);
    check_lie(|_| (), |n| (vec!["r".into()], n.to_string(), More::More), over, &["repeated_pages = 20;"], 21);
    // A page with records begins the count anew.
    let now_and_then = |n: u64| {
        let ids = if n % 40 == 39 { vec![format!("r{n}")] } else { vec![] };
        (ids, n.to_string(), if n < 400 { More::More } else { More::End })
    };
    let with_pauses = Scene { lies: Some(now_and_then), ..scene() };
    assert_eq!(play(with_pauses).0.unwrap().counts.get(Status::Ok), 10);
}

#[test]
fn reading_takes_no_longer_than_its_time() {
    // Time passes while a record waits for its retries: that is no time spent in reading.
    let slow = |scene: &mut Scene| {
        (scene.says, scene.policy.source.time_max_ms) = (Outcome::Retryable, 1);
    };
    let (answer, _) = play({
        let mut scene = scene();
        slow(&mut scene);
        scene
    });
    assert_eq!(answer.unwrap().status, RunStatus::CompletedWithFailures);
}

#[test]
fn a_source_does_not_go_back() {
    let contract = "fault-broken-contract";
    let to_and_fro = |n: u64| (vec![format!("r{}", n % 2)], (n % 2).to_string(), More::More);
    let play_lies = |lies| play(Scene { lies: Some(lies), ..scene() }).0.unwrap();
    let report = play_lies(to_and_fro);
    let reason = report.reason.clone().unwrap();
    assert_eq!((report.status, reason.code.as_str()), (RunStatus::Failed, contract), "{report:?}");
    assert!(reason.message.contains("goes back to a checkpoint"), "{reason:?}");
    assert!(report.read <= 2, "{report:?}");
    for (lies, words) in [
        ((|_| (vec![], "a".into(), More::More)) as Lies, "neither records nor an end"),
        (|n| (vec![format!("r{n}")], "a".into(), More::More), "does not move the checkpoint"),
        (|n| (vec![], format!("{}", n % 5), More::More), "goes back to a checkpoint"),
    ] {
        let reason = play_lies(lies).reason.unwrap();
        assert_eq!(reason.code, contract);
        assert!(reason.message.contains(words), "{reason:?}");
    }
    // Back to the beginning of the list at its end is where the next run begins: nothing wrong with that.
    let round = |n: u64| (vec![format!("r{n}")], (n % 3).to_string(), if n == 3 { More::Idle } else { More::More });
    assert_eq!(play_lies(round).counts.get(Status::Ok), 4);
}

#[test]
fn an_acknowledgement_that_fails_changes_nothing() {
    for kind in [FaultKind::Trap, FaultKind::OutOfTime] {
        let report = play(Scene { acks: Some(kind), ..scene() }).0.unwrap();
        assert_eq!((report.status, report.counts.get(Status::Ok)), (RunStatus::Ok, 2));
    }
}
