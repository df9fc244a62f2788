//! What every implementation of the ledger port must do, asked of `dyn Ledger` only.
//!
//! An implementation calls [`all`] with a way to open an empty ledger and to open it again after its process
//! would have died: whatever was acknowledged must be there, and nothing else must be taken as done.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, dead_code)]

mod care;
pub(crate) mod handlers;
mod undo;

use crossdock_engine::ports::*;
use crossdock_model::*;
use std::future::Future;
use std::sync::Arc;

pub(crate) type Opened = Arc<dyn Ledger>;

/// One ledger, wherever it is kept.
pub(crate) trait Subject {
    /// Opens it. Everything that was opened before is gone by then.
    fn open(&self) -> Opened;
}

pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(crate) fn route() -> RouteName {
    RouteName::new("orders").unwrap()
}

pub(crate) fn step(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

pub(crate) fn column(values: &[&str]) -> Column {
    values.iter().collect()
}

pub(crate) fn start(run: &str) -> RunStart {
    RunStart {
        run: RunId(run.into()),
        route: route(),
        route_hash: "h1".into(),
        definition: "name = \"orders\"".into(),
        plugins: ["source", "map", "erp"].map(|s| (step(s), PluginName::new(s).unwrap(), "00".into())).to_vec(),
        cause: Cause::Manual,
        at: Timestamp(1_000),
    }
}

pub(crate) fn commit(run: &str, batch: u64) -> BatchCommit {
    BatchCommit {
        route: route(),
        run: RunId(run.into()),
        batch,
        at: Timestamp(2_000),
        checkpoint: None,
        passed: vec![],
        read: 0,
        resumed: 0,
        counts: Counts::default(),
        steps: vec![],
        chunk: None,
        rows: vec![],
        attempts: vec![],
        events: vec![],
        state: vec![],
        progress: None,
        closes: true,
        tasks: vec![],
        settles_open: false,
    }
}

pub(crate) fn chunk(ids: &[&str]) -> Chunk {
    Chunk {
        ids: column(ids),
        statuses: vec![Status::Ok; ids.len()],
        steps: vec![1; ids.len()],
        columns: vec![ChunkColumn {
            step: step("erp"),
            target_ids: Some(ids.iter().map(|id| format!("T-{id}")).collect()),
            receipts: None,
        }],
        payloads: None,
    }
}

/// A commit of ok records that were just read.
pub(crate) fn fine(run: &str, batch: u64, ids: &[&str]) -> BatchCommit {
    let mut counts = Counts::default();
    counts.add(Status::Ok, i64::try_from(ids.len()).unwrap());
    let n = ids.len() as u64;
    BatchCommit {
        checkpoint: Some(Checkpoint(batch.to_le_bytes().to_vec())),
        read: n,
        counts,
        steps: vec![(step("erp"), StepCounts { records_in: n, ok: n, ..StepCounts::default() })],
        chunk: Some(chunk(ids)),
        ..commit(run, batch)
    }
}

pub(crate) fn row(id: &str, status: Status) -> RecordRow {
    RecordRow {
        id: RecordId(id.into()),
        parent: None,
        status,
        step: step("erp"),
        generation: 0,
        attempts: 1,
        spent: 1,
        since: Some(Timestamp(1_500)),
        payload: Payload::Kept(format!("{{\"id\":\"{id}\"}}").into_bytes()),
        attributes: vec![("steps.map.x".into(), b"1".to_vec())],
        failure: Some(Failure::new("http-422", format!("{id} refused")).with_detail("no such customer")),
        due: None,
        applied: vec![],
        order_key: None,
        open: false,
        run: RunId("r1".into()),
    }
}

/// A commit of one record that was just read and has a row.
pub(crate) fn with_row(run: &str, batch: u64, row: RecordRow) -> BatchCommit {
    let mut counts = Counts::default();
    counts.add(row.status, 1);
    BatchCommit { read: 1, counts, rows: vec![row], ..commit(run, batch) }
}

pub(crate) fn intent(run: &str, batch: u64, ids: &[&str], open: bool) -> Intent {
    Intent {
        route: route(),
        run: RunId(run.into()),
        batch,
        step: step("erp"),
        at: Timestamp(1_900),
        ids: column(ids),
        attempts: vec![1; ids.len()],
        generations: vec![0; ids.len()],
        open,
        careful: false,
        effect: true,
    }
}

pub(crate) fn end(run: &str, status: RunStatus, read: u64, counts: &[(Status, i64)]) -> RunEnd {
    let mut sum = Counts::default();
    counts.iter().for_each(|&(status, n)| sum.add(status, n));
    RunEnd {
        route: route(),
        run: RunId(run.into()),
        status,
        at: Timestamp(3_000),
        reason: None,
        read,
        resumed: 0,
        counts: sum,
        events: vec![],
        tasks: vec![],
        quarantine: None,
    }
}

pub(crate) fn applied(at: &str, target_id: &str, receipt: &[u8]) -> Applied {
    Applied { step: step(at), target_id: target_id.into(), receipt: receipt.to_vec(), in_doubt: false }
}

fn load_one(ledger: &Opened, id: &str) -> Option<RecordRow> {
    block(ledger.load(route(), vec![RecordId(id.into())])).unwrap().pop()
}

type Case<S> = fn(&S);

/// All cases, each on a ledger of its own.
pub(crate) fn all<S: Subject>(new: impl Fn() -> S) {
    let cases: &[(&str, Case<S>)] = &[
        ("a run from beginning to end", a_run),
        ("rows come back as they were written", rows_come_back),
        ("payloads stay, change and go", payloads),
        ("open rows", open_rows),
        ("due rows", due_rows),
        ("state of plugins", state),
        ("accounting", accounting),
        ("refusals leave the ledger usable", refusals),
        ("order of calls that are not awaited", order),
        ("an intent without an outcome", intent_without_outcome),
        ("an intent with an outcome", intent_with_outcome),
        ("progress", progress),
        ("leftovers of a run that ends", leftovers_of_a_run),
    ];
    let more = [undo::cases(), handlers::cases(), care::cases()];
    for (name, case) in cases.iter().chain(more.iter().flatten()) {
        eprintln!("case: {name}");
        case(&new());
    }
}

fn a_run<S: Subject>(subject: &S) {
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r1"))).unwrap();
    assert_eq!(opening, RunOpening::default());
    block(ledger.intend(intent("r1", 1, &["a", "b"], true))).unwrap();
    block(ledger.commit(fine("r1", 1, &["a", "b"]))).unwrap();
    block(ledger.end_run(end("r1", RunStatus::Ok, 2, &[(Status::Ok, 2)]))).unwrap();
    assert!(block(ledger.begin_run(start("r1"))).is_err(), "a run begins once");
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!(opening.checkpoint, Some(Checkpoint(1u64.to_le_bytes().to_vec())));
    assert_eq!(opening.open, vec![]);
}

fn rows_come_back<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let mut written = row("a", Status::Failed);
    written.parent = Some(RecordId("whole".into()));
    written.generation = 3;
    written.applied = vec![applied("map", "T", &[0, 255])];
    written.payload = Payload::Kept(vec![b'x'; 100_000]);
    block(ledger.commit(with_row("r1", 1, written.clone()))).unwrap();
    let other = row("b", Status::Rejected);
    block(ledger.commit(with_row("r1", 2, other.clone()))).unwrap();
    let ids = ["b", "unknown", "a"].map(|id| RecordId(id.into())).to_vec();
    assert_eq!(block(ledger.load(route(), ids.clone())).unwrap(), vec![other, written.clone()]);
    assert_eq!(block(ledger.load(RouteName::new("elsewhere").unwrap(), ids)).unwrap(), vec![]);
    drop(ledger);
    assert_eq!(load_one(&subject.open(), "a"), Some(written));
}

fn payloads<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let write = |batch: u64, payload: Payload| {
        let mut row = row("a", Status::Pending);
        row.payload = payload;
        block(ledger.commit(BatchCommit { rows: vec![row], ..commit("r1", batch) })).unwrap();
        load_one(&ledger, "a").unwrap().payload
    };
    let kept = |text: &str| Payload::Kept(text.as_bytes().to_vec());
    assert_eq!(write(1, Payload::Unchanged), Payload::Gone, "there was none");
    assert_eq!(write(2, kept("one")), kept("one"));
    assert_eq!(write(3, Payload::Unchanged), kept("one"));
    assert_eq!(write(4, kept("two")), kept("two"));
    assert_eq!(write(5, Payload::AtSource), Payload::AtSource);
    assert_eq!(write(6, Payload::Unchanged), Payload::AtSource);
    assert_eq!(write(7, kept("")), kept(""));
    assert_eq!(write(8, Payload::Gone), Payload::Gone);
}

fn open_rows<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let mut rows: Vec<RecordRow> = ["a", "b", "c", "d"].map(|id| row(id, Status::New)).to_vec();
    for row in &mut rows {
        (row.open, row.payload, row.failure, row.attempts) = (true, Payload::AtSource, None, 0);
    }
    let mut counts = Counts::default();
    counts.add(Status::New, 4);
    block(ledger.commit(BatchCommit { read: 4, counts, rows: rows.clone(), ..commit("r1", 1) })).unwrap();
    block(ledger.end_run(end("r1", RunStatus::Failed, 4, &[(Status::New, 4)]))).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!(opening.open, rows);
    // One goes through, one fails, one stays as it is; the last is not mentioned and stays open.
    let mut next = fine("r2", 1, &["a"]);
    next.passed = vec![RecordId("c".into())];
    next.rows = vec![RecordRow { open: true, ..row("b", Status::Failed) }];
    block(ledger.commit(next)).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r3"))).unwrap();
    assert_eq!(opening.open.iter().filter(|row| row.open).map(|row| row.id.0.as_str()).collect::<Vec<_>>(), ["d"]);
    assert_eq!(load_one(&ledger, "b").unwrap().status, Status::Failed);
    assert_eq!(load_one(&ledger, "c").unwrap().status, Status::New);
    assert!(load_one(&ledger, "a").is_none_or(|row| row.status == Status::Ok && !row.open));
}

fn due_rows<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    block(ledger.begin_run(start("r0"))).unwrap();
    for (n, (id, due)) in [("a", 300), ("b", 100), ("c", 200), ("d", 900)].into_iter().enumerate() {
        let status = if id == "c" { Status::Indeterminate } else { Status::Pending };
        let row = RecordRow { due: Some(Timestamp(due)), ..row(id, status) };
        let run = if id == "b" { "r0" } else { "r1" };
        block(ledger.commit(with_row(run, n as u64 + 1, row))).unwrap();
    }
    let open = RecordRow { due: Some(Timestamp(1)), open: true, ..row("open", Status::Pending) };
    block(ledger.commit(with_row("r1", 9, open))).unwrap();
    block(ledger.commit(with_row("r1", 10, row("never", Status::Failed)))).unwrap();
    let due = |run: Option<&str>, now: i64, limit: u32| {
        let run = run.map(|run| RunId(run.into()));
        let due = block(ledger.due(route(), run, Timestamp(now), limit)).unwrap();
        let ids: Vec<String> = due.rows.into_iter().map(|row| row.id.0).collect();
        (ids.join(" "), due.pending, due.next_due.map(|at| at.0))
    };
    let is = |ids: &str, pending: u64, next: Option<i64>| (ids.to_owned(), pending, next);
    assert_eq!(due(None, 250, 10), is("b c", 2, Some(300)));
    assert_eq!(due(None, 250, 1), is("b", 3, Some(200)));
    assert_eq!(due(None, 1, 10), is("", 4, Some(100)));
    assert_eq!(due(None, 5000, 10), is("b c a d", 0, None));
    assert_eq!(due(Some("r1"), 250, 10), is("c", 2, Some(300)));
    assert_eq!(due(Some("r0"), 250, 10), is("b", 0, None));
    assert_eq!(due(Some("r9"), 250, 10), is("", 0, None));
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!((opening.pending, opening.next_due), (4, Some(Timestamp(100))));
}

fn state<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let write = |batch: u64, key: &str, value: Option<&str>| {
        let write = StateWrite { key: key.into(), value: value.map(|v| v.as_bytes().to_vec()) };
        block(ledger.commit(BatchCommit { state: vec![(step("erp"), write)], ..commit("r1", batch) })).unwrap();
    };
    write(1, "b", Some("1"));
    write(2, "a", Some("2"));
    write(3, "b", Some("3"));
    write(4, "gone", Some("4"));
    write(5, "gone", None);
    write(6, "never-there", None);
    drop(ledger);
    let ledger = subject.open();
    let found = block(ledger.state(route(), step("erp"))).unwrap();
    assert_eq!(found, vec![("a".to_owned(), b"2".to_vec()), ("b".to_owned(), b"3".to_vec())]);
    assert_eq!(block(ledger.state(route(), step("map"))).unwrap(), vec![]);
}

fn accounting<S: Subject>(subject: &S) {
    let ledger = subject.open();
    let code = |run: &str, commits: Vec<BatchCommit>, end: RunEnd| {
        block(ledger.begin_run(start(run))).unwrap();
        for commit in commits {
            block(ledger.commit(commit)).unwrap();
        }
        block(ledger.end_run(end)).err().map(|error| error.code)
    };
    let wrong = Some("ledger-accounting");
    let good = |run: &str| fine(run, 1, &["a", "b"]);
    let two = [(Status::Ok, 2)];
    assert_eq!(code("good", vec![good("good")], end("good", RunStatus::Ok, 2, &two)), None);
    assert_eq!(code("read", vec![good("read")], end("read", RunStatus::Ok, 3, &two)), wrong);
    assert_eq!(code("lost", vec![good("lost")], end("lost", RunStatus::Ok, 2, &[(Status::Ok, 1)])), wrong);
    assert_eq!(code("told", vec![], end("told", RunStatus::Ok, 2, &two)), wrong);
    let mut split = good("split");
    split.counts.add(Status::Ok, 2);
    split.steps.push((step("map"), StepCounts { records_in: 2, ok: 2, children: 2, ..StepCounts::default() }));
    assert_eq!(code("split", vec![split], end("split", RunStatus::Ok, 2, &[(Status::Ok, 4)])), None);
    let mut uncounted = good("uncounted");
    uncounted.counts.add(Status::Ok, 2);
    assert_eq!(code("uncounted", vec![uncounted], end("uncounted", RunStatus::Ok, 2, &[(Status::Ok, 4)])), wrong);
    let mut outcome = good("outcome");
    outcome.steps[0].1.ok = 1;
    assert_eq!(code("outcome", vec![outcome], end("outcome", RunStatus::Ok, 2, &two)), wrong);
    // Pending in one commit and ok in a later one: the numbers add up over both.
    let pending = with_row("later", 1, RecordRow { due: Some(Timestamp(1)), ..row("p", Status::Pending) });
    let mut settled = commit("later", 2);
    settled.counts.add(Status::Pending, -1);
    settled.counts.add(Status::Ok, 1);
    settled.rows = vec![RecordRow { payload: Payload::Gone, failure: None, ..row("p", Status::Ok) }];
    assert_eq!(code("later", vec![pending, settled], end("later", RunStatus::Ok, 1, &[(Status::Ok, 1)])), None);
}

fn refusals<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    assert!(block(ledger.commit(fine("unknown", 1, &["a"]))).is_err());
    assert!(block(ledger.intend(intent("unknown", 1, &["a"], true))).is_err());
    let mut short = fine("r1", 1, &["a", "b"]);
    short.chunk.as_mut().unwrap().statuses.pop();
    assert!(block(ledger.commit(short)).is_err());
    let mut failed = fine("r1", 1, &["a"]);
    failed.chunk.as_mut().unwrap().statuses = vec![Status::Failed];
    assert!(block(ledger.commit(failed)).is_err());
    let mut crooked = intent("r1", 1, &["a", "b"], true);
    crooked.attempts.pop();
    assert!(block(ledger.intend(crooked)).is_err());
    assert!(block(ledger.end_run(end("r1", RunStatus::Running, 0, &[]))).is_err());
    block(ledger.commit(fine("r1", 1, &["a"]))).unwrap();
    block(ledger.end_run(end("r1", RunStatus::Ok, 1, &[(Status::Ok, 1)]))).unwrap();
    assert!(block(ledger.commit(fine("r1", 2, &["b"]))).is_err(), "the run has ended");
    assert!(block(ledger.end_run(end("r1", RunStatus::Ok, 1, &[(Status::Ok, 1)]))).is_err());
}

fn order<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let mut waiting = Vec::new();
    for attempts in 1..=50 {
        let row = RecordRow { attempts, ..row("a", Status::Pending) };
        waiting.push(ledger.commit(BatchCommit { rows: vec![row], ..commit("r1", u64::from(attempts)) }));
    }
    // Polled in the other direction; the order of the calls counts.
    for future in waiting.into_iter().rev() {
        block(future).unwrap();
    }
    assert_eq!(load_one(&ledger, "a").unwrap().attempts, 50);
}

fn intent_without_outcome<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let earlier = RecordRow {
        applied: vec![applied("map", "M", b"")],
        due: Some(Timestamp(5)),
        ..row("resumed", Status::Pending)
    };
    block(ledger.commit(with_row("r1", 1, earlier.clone()))).unwrap();
    block(ledger.intend(intent("r1", 2, &["fresh"], true))).unwrap();
    let mut again = intent("r1", 3, &["resumed"], false);
    (again.attempts, again.generations) = (vec![2], vec![1]);
    block(ledger.intend(again)).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    let fresh = opening.open.first().unwrap();
    assert_eq!(opening.open.len(), 1);
    assert_eq!((fresh.id.0.as_str(), fresh.status, fresh.attempts), ("fresh", Status::Indeterminate, 1));
    assert_eq!((&fresh.payload, &fresh.step), (&Payload::AtSource, &step("erp")));
    let resumed = load_one(&ledger, "resumed").unwrap();
    assert_eq!((resumed.status, resumed.attempts, resumed.generation), (Status::Indeterminate, 2, 1));
    assert_eq!((resumed.payload, resumed.applied, resumed.open), (earlier.payload, earlier.applied, false));
}

fn intent_with_outcome<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    // Closed: nothing is in doubt.
    block(ledger.intend(intent("r1", 1, &["a"], true))).unwrap();
    block(ledger.commit(fine("r1", 1, &["a"]))).unwrap();
    // Not closed, but one of the two records has an outcome on disk.
    block(ledger.intend(intent("r1", 2, &["b", "c"], true))).unwrap();
    let mut part = with_row("r1", 2, RecordRow { open: true, ..row("b", Status::Failed) });
    part.closes = false;
    block(ledger.commit(part)).unwrap();
    drop(ledger);
    let ledger = subject.open();
    assert!(load_one(&ledger, "a").is_none());
    assert_eq!(load_one(&ledger, "b").unwrap().status, Status::Failed);
    assert_eq!(load_one(&ledger, "c").unwrap().status, Status::Indeterminate);
}

fn progress<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let mut first = intent("r1", 1, &["a", "b", "c"], true);
    first.step = step("map");
    block(ledger.intend(first)).unwrap();
    let mut went_well = commit("r1", 1);
    went_well.closes = false;
    went_well.progress = Some(Progress {
        step: step("map"),
        ids: column(&["a", "b"]),
        target_ids: Some(column(&["M-a", ""])),
        receipts: Some(column(&["", "R-b"])),
        open: true,
    });
    block(ledger.commit(went_well)).unwrap();
    block(ledger.intend(intent("r1", 1, &["b"], true))).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let a = load_one(&ledger, "a").unwrap();
    assert_eq!((a.status, &a.step, a.open), (Status::Processing, &step("map"), true));
    assert_eq!(a.applied, vec![applied("map", "M-a", b"")]);
    let b = load_one(&ledger, "b").unwrap();
    assert_eq!((b.status, &b.step), (Status::Indeterminate, &step("erp")));
    assert_eq!(b.applied, vec![applied("map", "", b"R-b")]);
    let c = load_one(&ledger, "c").unwrap();
    assert_eq!((c.status, &c.step), (Status::Indeterminate, &step("map")));
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!(opening.open.len(), 3);
}

fn leftovers_of_a_run<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    block(ledger.intend(intent("r1", 1, &["a"], true))).unwrap();
    block(ledger.end_run(end("r1", RunStatus::Failed, 0, &[]))).unwrap();
    let opening = block(ledger.begin_run(start("r2"))).unwrap();
    assert_eq!(opening.open.iter().map(|row| row.status).collect::<Vec<_>>(), [Status::Indeterminate]);
}
