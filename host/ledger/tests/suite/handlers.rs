//! Handler tasks: durable with the outcome they belong to, and there once.

use super::*;

pub(super) fn cases<S: Subject>() -> Vec<(&'static str, Case<S>)> {
    vec![
        ("handler tasks", tasks),
        ("handler tasks are there once", once),
        ("handler tasks after a death", after_a_death),
        ("handler tasks that are held", held),
        ("results of tasks that cannot be", contradictions),
    ]
}

pub(crate) fn handler(id: &str, at: &str, kind: HandlerKind, due: i64) -> HandlerTask {
    HandlerTask {
        held: false,
        place: HandlerPlace { step: Some(step(at)), kind },
        record: RecordId(id.into()),
        run: RunId("r1".into()),
        generation: 0,
        payload: format!("{{\"id\":\"{id}\"}}").repeat(40).into_bytes(),
        attributes: vec![("event.outcome".into(), b"failed".to_vec()), ("x".into(), vec![0, 255])],
        due: Timestamp(due),
    }
}

pub(crate) fn result(key: i64, status: TaskStatus) -> TaskCommit {
    let failure = (status != TaskStatus::Done).then(|| Failure::new("http-503", "later"));
    let result = TaskResult { key, status, attempts: 1, since: Some(Timestamp(5)), failure };
    TaskCommit { route: route(), at: Timestamp(2_500), results: vec![result], state: vec![], events: vec![] }
}

fn ask(ledger: &Opened, now: i64, limit: u32) -> DueTasks {
    block(ledger.tasks(route(), Timestamp(now), limit)).unwrap()
}

fn told(found: &DueTasks) -> (String, u64, Option<i64>) {
    let names: Vec<String> = found.tasks.iter().map(|due| format!("{}:{}", due.task.record, due.task.place)).collect();
    (names.join(" "), found.pending, found.next_due.map(|at| at.0))
}

fn tasks<S: Subject>(subject: &S) {
    let ledger = subject.open();
    assert_eq!(ask(&ledger, 9_999, 10), DueTasks::default());
    block(ledger.begin_run(start("r1"))).unwrap();
    let failed = handler("a", "erp", HandlerKind::OnFailure, 300);
    let mut first = with_row("r1", 1, row("a", Status::Failed));
    first.tasks = vec![failed.clone(), handler("b", "erp", HandlerKind::OnSuccess, 100)];
    block(ledger.commit(first)).unwrap();
    let is = |names: &str, pending: u64, next: Option<i64>| (names.to_owned(), pending, next);
    assert_eq!(told(&ask(&ledger, 50, 10)), is("", 2, Some(100)));
    assert_eq!(told(&ask(&ledger, 200, 10)), is("b:erp.on_success", 1, Some(300)));
    assert_eq!(told(&ask(&ledger, 400, 1)), is("b:erp.on_success", 1, Some(300)));
    let found = ask(&ledger, 400, 10);
    assert_eq!(told(&found), is("b:erp.on_success a:erp.on_failure", 0, None));
    assert_eq!((&found.tasks[1].task, found.tasks[1].attempts, found.tasks[1].since), (&failed, 0, None));
    // The run's end brings those of the run; their plugins' state is kept under their own names.
    let run_failed = HandlerPlace { step: None, kind: HandlerKind::OnRunFailed };
    let of_run = HandlerTask { place: run_failed.clone(), record: RecordId("r1".into()), ..failed };
    let mut ended = end("r1", RunStatus::CompletedWithFailures, 1, &[(Status::Failed, 1)]);
    ended.tasks = vec![of_run];
    block(ledger.end_run(ended)).unwrap();
    let mut retry = result(found.tasks[0].key, TaskStatus::Retry(Timestamp(700)));
    retry.state = vec![(run_failed.name(), StateWrite { key: "k".into(), value: Some(b"v".to_vec()) })];
    block(ledger.commit_tasks(retry)).unwrap();
    block(ledger.commit_tasks(result(found.tasks[1].key, TaskStatus::GivenUp))).unwrap();
    let found = ask(&ledger, 800, 10);
    assert_eq!(told(&found), is("r1:run.on_run_failed b:erp.on_success", 0, None));
    assert_eq!((found.tasks[1].attempts, found.tasks[1].since), (1, Some(Timestamp(5))));
    assert_eq!(block(ledger.state(route(), run_failed.name())).unwrap(), vec![("k".to_owned(), b"v".to_vec())]);
    block(ledger.commit_tasks(result(found.tasks[0].key, TaskStatus::Done))).unwrap();
    block(ledger.commit_tasks(result(found.tasks[1].key, TaskStatus::Done))).unwrap();
    assert_eq!(ask(&ledger, 9_999, 10), DueTasks::default());
}

fn once<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let give = |batch: u64, task: HandlerTask| {
        block(ledger.commit(BatchCommit { tasks: vec![task], ..commit("r1", batch) })).unwrap();
        let found = ask(&ledger, 9_999, 10);
        found.tasks.len() as u64 + found.pending
    };
    let task = || handler("a", "erp", HandlerKind::OnFailure, 100);
    assert_eq!(give(1, task()), 1);
    assert_eq!(give(2, HandlerTask { due: Timestamp(5), payload: vec![], ..task() }), 1, "the first one stays");
    assert_eq!(ask(&ledger, 9_999, 10).tasks[0].task, task());
    assert_eq!(give(3, HandlerTask { generation: 1, ..task() }), 2);
    assert_eq!(give(4, handler("a", "erp", HandlerKind::OnSuccess, 100)), 3);
    assert_eq!(give(5, handler("a", "map", HandlerKind::OnFailure, 100)), 4);
    assert_eq!(give(6, handler("b", "erp", HandlerKind::OnFailure, 100)), 5);
    for due in ask(&ledger, 9_999, 10).tasks {
        block(ledger.commit_tasks(result(due.key, TaskStatus::Done))).unwrap();
    }
    assert_eq!(give(7, task()), 0, "a finished one is not called again");
    let unknown = HandlerTask { run: RunId("r9".into()), ..handler("z", "erp", HandlerKind::OnFailure, 1) };
    assert!(block(ledger.commit(BatchCommit { tasks: vec![unknown], ..commit("r1", 8) })).is_err());
}

fn after_a_death<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let mut first = with_row("r1", 1, row("a", Status::Failed));
    first.tasks = ["a", "b", "c"].map(|id| handler(id, "erp", HandlerKind::OnFailure, 100)).to_vec();
    block(ledger.commit(first)).unwrap();
    let keys: Vec<i64> = ask(&ledger, 9_999, 10).tasks.iter().map(|due| due.key).collect();
    block(ledger.commit_tasks(result(keys[0], TaskStatus::Done))).unwrap();
    block(ledger.commit_tasks(result(keys[1], TaskStatus::Retry(Timestamp(700))))).unwrap();
    drop(ledger);
    let ledger = subject.open();
    let found = ask(&ledger, 200, 10);
    assert_eq!(told(&found), ("c:erp.on_failure".to_owned(), 1, Some(700)));
    block(ledger.commit_tasks(result(found.tasks[0].key, TaskStatus::Done))).unwrap();
    let found = ask(&ledger, 800, 10);
    assert_eq!(told(&found), ("b:erp.on_failure".to_owned(), 0, None));
    assert_eq!(found.tasks[0].task.run, RunId("r1".into()), "of the run that died");
}

fn held<S: Subject>(subject: &S) {
    let ledger = subject.open();
    block(ledger.begin_run(start("r1"))).unwrap();
    let task = |id: &str| HandlerTask { held: true, ..handler(id, "erp", HandlerKind::OnSuccess, 100) };
    let opened = |id: &str, status: Status| RecordRow { open: true, ..row(id, status) };
    let mut first = with_row("r1", 1, opened("a", Status::Ok));
    first.rows.push(opened("b", Status::Ok));
    first.tasks = vec![task("a"), task("b")];
    block(ledger.commit(first)).unwrap();
    assert_eq!(ask(&ledger, 9_999, 10), DueTasks::default(), "they do not even wait");
    let rolling = RecordRow { due: Some(Timestamp(100)), ..opened("a", Status::RollingBack) };
    block(ledger.commit(with_row("r1", 2, rolling))).unwrap();
    drop(ledger);
    let ledger = subject.open();
    assert_eq!(block(ledger.begin_run(start("r2"))).unwrap().tasks, 0);
    let mut last = commit("r2", 1);
    (last.checkpoint, last.settles_open) = (Some(Checkpoint(b"9".to_vec())), true);
    block(ledger.commit(last)).unwrap();
    let found = ask(&ledger, 9_999, 10);
    assert_eq!(told(&found), ("b:erp.on_success".to_owned(), 0, None), "what happened to a is undone");
    assert_eq!(found.tasks[0].task.payload, task("b").payload);
}

fn contradictions<S: Subject>(subject: &S) {
    let ledger = subject.open();
    assert!(block(ledger.commit_tasks(result(1, TaskStatus::Done))).is_err(), "no such route");
    block(ledger.begin_run(start("r1"))).unwrap();
    assert!(block(ledger.commit_tasks(result(1, TaskStatus::Done))).is_err(), "no such task");
    let task = handler("a", "erp", HandlerKind::OnFailure, 1);
    block(ledger.commit(BatchCommit { tasks: vec![task], ..commit("r1", 1) })).unwrap();
    let key = ask(&ledger, 9, 1).tasks[0].key;
    let mut twice = result(key, TaskStatus::Done);
    twice.results.push(twice.results[0].clone());
    assert!(block(ledger.commit_tasks(twice)).is_err(), "twice in one commit");
    assert_eq!(ask(&ledger, 9, 1).tasks.len(), 1, "a refusal changes nothing");
    block(ledger.commit_tasks(result(key, TaskStatus::Done))).unwrap();
    assert!(block(ledger.commit_tasks(result(key, TaskStatus::Done))).is_err(), "finished already");
}
