//! The conformance suite of the ledger port, run on SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod suite;

use crossdock_ledger::{LedgerStore, OpenOptions, verify};
use crossdock_model::Timestamp;
use std::sync::Arc;

struct Sqlite(tempfile::TempDir);

impl suite::Subject for Sqlite {
    fn open(&self) -> suite::Opened {
        Arc::new(LedgerStore::open(self.0.path(), OpenOptions::new(Timestamp(9_000))).unwrap())
    }
}

#[test]
fn sqlite_keeps_to_the_port() {
    suite::all(|| Sqlite(tempfile::tempdir().unwrap()));
}

/// The same under a process that died: the files as they are while the ledger is open, in another folder.
struct Copied(tempfile::TempDir);

impl suite::Subject for Copied {
    fn open(&self) -> suite::Opened {
        let last = (0..).take_while(|n| self.0.path().join(n.to_string()).exists()).last();
        let next = self.0.path().join(last.map_or(0, |n| n + 1).to_string());
        std::fs::create_dir(&next).unwrap();
        if let Some(last) = last {
            for entry in std::fs::read_dir(self.0.path().join(last.to_string()).join("dead")).unwrap() {
                let entry = entry.unwrap();
                std::fs::copy(entry.path(), next.join(entry.file_name())).unwrap();
            }
        }
        Arc::new(Dying { store: LedgerStore::open(&next, OpenOptions::new(Timestamp(9_000))).unwrap() })
    }
}

/// Copies its files away when it is dropped, before they are closed in good order.
struct Dying {
    store: LedgerStore,
}

impl Drop for Dying {
    fn drop(&mut self) {
        let dead = self.store.dir().join("dead");
        std::fs::create_dir(&dead).unwrap();
        for name in ["ledger.db", "ledger.db-wal"] {
            if self.store.dir().join(name).exists() {
                std::fs::copy(self.store.dir().join(name), dead.join(name)).unwrap();
            }
        }
        if !std::thread::panicking() {
            let report = verify(self.store.dir()).unwrap();
            let unexpected = report.violations.iter().filter(|violation| !expected(&violation.message));
            assert_eq!(unexpected.collect::<Vec<_>>(), Vec::<&crossdock_ledger::Violation>::new());
        }
    }
}

/// What the suite does wrong on purpose.
fn expected(message: &str) -> bool {
    let runs = ["run read", "run lost", "run told", "run uncounted", "run outcome", "run r1", "run r2"];
    runs.iter().any(|run| message.starts_with(run)) || message.contains("neither kept nor at its source")
}

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $life:lifetime $answer:ty;)*) => {
        impl crossdock_engine::ports::Ledger for Dying {
            $(fn $name(&self, $($argument: $type),*) -> crossdock_engine::ports::PortFuture<$life, Result<$answer, crossdock_engine::ports::PortError>> {
                self.store.$name($($argument),*)
            })*
        }
    };
}

use crossdock_engine::ports::{
    BatchCommit, DueRows, DueTasks, Intent, RecordRow, RunEnd, RunOpening, RunStart, TaskCommit,
};
use crossdock_model::{RecordId, RouteName, RunId, StepName};

forward! {
    begin_run(start: RunStart) -> '_ RunOpening;
    intend(intent: Intent) -> 'static ();
    commit(commit: BatchCommit) -> 'static ();
    due(route: RouteName, of_run: Option<RunId>, now: Timestamp, limit: u32) -> '_ DueRows;
    rolling_back(route: RouteName, now: Timestamp, limit: u32) -> '_ DueRows;
    open_applied(route: RouteName) -> '_ Vec<RecordRow>;
    tasks(route: RouteName, now: Timestamp, limit: u32) -> '_ DueTasks;
    commit_tasks(commit: TaskCommit) -> 'static ();
    load(route: RouteName, ids: Vec<RecordId>) -> '_ Vec<RecordRow>;
    state(route: RouteName, step: StepName) -> '_ Vec<(String, Vec<u8>)>;
    end_run(end: RunEnd) -> '_ ();
}

#[test]
fn sqlite_keeps_to_the_port_when_its_process_dies() {
    suite::all(|| Copied(tempfile::tempdir().unwrap()));
}
