//! A whole life of a route, by a seed: runs that crash, are cancelled and fail, operators in between, and at last a
//! clean run after which everything must stand where it belongs.

use crate::ledger::MemLedger;
use crate::player::{Accidents, Played, Player};
use crate::rng::Rng;
use crate::rules;
use crate::world::{Manners, World};
use crossdock_engine::plan::{Entry, LogLevel, OnError, Policy, Retry, Role, RunSpec, StepSpec};
use crossdock_engine::ports::{Idempotency, Payload, RecordRow};
use crossdock_model::{RouteName, RunId, RunStatus, Status, StepName};

pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) ledger: MemLedger,
    pub(crate) rng: Rng,
    pub(crate) now: i64,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) policy: Policy,
    pub(crate) steps: Vec<StepSpec>,
    pub(crate) source_max_batch: u32,
    pub(crate) runs: u64,
}

type Checked<T = ()> = Result<T, String>;

/// Lives the life of this seed.
pub(crate) fn live(seed: u64, trace: &mut Option<Vec<String>>) -> Checked {
    let mut life = Life::random(seed, trace.is_some());
    let lived = life.live();
    *trace = life.trace;
    lived
}

fn step_kind(rng: &mut Rng) -> Role {
    match rng.below(10) {
        0..=2 => Role::Transformer { pure: true },
        3 => Role::Transformer { pure: false },
        4 | 5 => Role::Destination { idempotency: Idempotency::NativeKey, probes: rng.one_in(3) },
        6 => Role::Destination { idempotency: Idempotency::Upsert, probes: rng.one_in(3) },
        7 | 8 => Role::Destination { idempotency: Idempotency::Probe, probes: true },
        _ => Role::Destination { idempotency: Idempotency::None, probes: false },
    }
}

impl Life {
    fn random(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let roles: Vec<Role> = (0..rng.between(1, 5)).map(|_| step_kind(&mut rng)).collect();
        let mut steps = Vec::new();
        for (index, role) in roles.iter().enumerate() {
            let first_ms = rng.between(0, 300);
            let retry = Retry {
                attempts: rng.between(1, 4) as u32,
                first_ms,
                max_ms: rng.between(first_ms, 2_000),
                total_ms: *rng.pick(&[500, 5_000, 60_000]),
            };
            let name = StepName::new(format!("s{index}")).unwrap();
            steps.push(StepSpec { name, role: *role, max_batch: rng.between(1, 7) as u32, retry });
        }
        let continues = rng.one_in(2);
        let policy = Policy {
            on_error: if continues { OnError::Continue } else { OnError::Stop },
            max_failed: rng.one_in(6).then(|| rng.between(0, 5)),
            max_failed_ratio: None,
            max_faults: if rng.one_in(4) { rng.between(0, 3) as u32 } else { 1_000 },
            log: *rng.pick(&[LogLevel::Summary, LogLevel::Ids, LogLevel::Ids, LogLevel::Full]),
            batch_records: rng.between(1, 7) as u32,
            batch_bytes: 1_000_000,
            window: rng.between(1, 4) as u32,
        };
        let manners = Manners::Random { seed, trouble_in: rng.between(2, 12), splits: rng.one_in(2) };
        let records = rng.between(0, 25) as usize;
        let mut world = World::new(manners, roles, records, rng.next());
        world.call_trouble_in = *rng.pick(&[0, 0, 40, 12]);
        let source_max_batch = rng.between(1, 7) as u32;
        let ledger = MemLedger::default();
        let trace = traced.then(Vec::new);
        Self { world, ledger, rng, now: 1_000, trace, policy, steps, source_max_batch, runs: 0 }
    }

    pub(crate) fn spec(&mut self, entry: Option<Entry>) -> RunSpec {
        self.runs += 1;
        let entry = entry.unwrap_or(Entry::Source { max_batch: self.source_max_batch });
        RunSpec {
            run: RunId(format!("run-{}", self.runs)),
            route: RouteName::new("r").unwrap(),
            policy: self.policy.clone(),
            steps: self.steps.clone(),
            entry,
            seed: self.rng.next(),
        }
    }

    pub(crate) fn play(&mut self, entry: Option<Entry>, accidents: Accidents) -> Checked<Played> {
        let spec = self.spec(entry);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("run {spec:?}"));
        }
        let Self { world, ledger, rng, now, trace, .. } = self;
        Player::new(spec, world, ledger, rng, now, trace).play(accidents)
    }

    fn live(&mut self) -> Checked {
        for _ in 0..self.rng.between(0, 4) {
            let accidents = Accidents {
                crash_in: *self.rng.pick(&[0, 15, 60, 200]),
                cancel_in: *self.rng.pick(&[0, 0, 0, 40, 150]),
                ..Accidents::default()
            };
            let entry = match self.rng.below(6) {
                0 => self.chosen(|row| row.status != Status::Indeterminate).map(Entry::Resync),
                1 => self.chosen(|_| true).map(Entry::Resync),
                2 => self.chosen(|row| row.status == Status::Indeterminate).map(Entry::Probe),
                _ => None,
            };
            self.play(entry, accidents)?;
            self.now += self.rng.between(0, 3_000) as i64;
            self.operate();
            if self.rng.one_in(3) {
                self.world.records += self.rng.below(6);
            }
        }
        self.heal()
    }

    /// Everything outside is well again; operators do what is left to them.
    pub(crate) fn heal(&mut self) -> Checked {
        self.world.healed = true;
        self.world.call_trouble_in = 0;
        self.world.checks_ok = Some(true);
        self.policy.max_faults = 1_000_000;
        self.policy.max_failed = None;
        for round in 0..6 {
            self.settle_doubts();
            let played = self.play(None, Accidents::default())?;
            if let Some(rows) = self.chosen(|_| true).filter(|_| round < 4) {
                self.play(Some(Entry::Resync(rows)), Accidents::default())?;
            }
            let Played::Ended(end) = played else { return Err("a run without accidents crashed".into()) };
            if round < 5 {
                continue;
            }
            if end.status != RunStatus::Ok || end.read + end.resumed > 0 {
                return Err(format!("the last run is {} after everything was mended: {end:?}", end.status));
            }
        }
        let spec = self.spec(None);
        rules::last_word(&self.ledger, &self.world, &spec)
    }

    /// Rows that an operator may put through again.
    fn chosen(&mut self, which: impl Fn(&RecordRow) -> bool) -> Option<Vec<RecordRow>> {
        let bad = [Status::Failed, Status::Rejected, Status::Pending, Status::Indeterminate];
        let rows: Vec<RecordRow> = self
            .ledger
            .rows
            .values()
            .map(|stored| stored.row.clone())
            .filter(|row| bad.contains(&row.status) && row.step != StepName::source())
            .filter(|row| matches!(row.payload, Payload::Kept(_)) && which(row))
            .filter(|row| row.status != Status::Indeterminate || self.can_settle(row))
            .collect();
        (!rows.is_empty()).then_some(rows)
    }

    fn can_settle(&self, row: &RecordRow) -> bool {
        let role = self.steps.iter().find(|step| step.name == row.step).map(|step| step.role);
        matches!(role, Some(Role::Destination { idempotency, probes }) if probes || idempotency != Idempotency::None)
    }

    /// Now and then a person changes the content of a failed record, or leaves one out.
    fn operate(&mut self) {
        let rows: Vec<RecordRow> = self.ledger.rows.values().map(|stored| stored.row.clone()).collect();
        for row in rows.iter().filter(|row| !row.open && row.step != StepName::source()) {
            if row.status == Status::Failed && self.rng.one_in(8) {
                self.ledger.change_content(&row.id.0);
            }
        }
        if self.rng.one_in(4) {
            self.settle_doubts();
        }
    }

    /// A person looks at the other systems and says what became of records in doubt.
    pub(crate) fn settle_doubts(&mut self) {
        let rows: Vec<RecordRow> = self.ledger.rows.values().map(|stored| stored.row.clone()).collect();
        for row in &rows {
            if row.status != Status::Indeterminate || self.can_settle(row) {
                continue;
            }
            let Some(step) = self.steps.iter().position(|step| step.name == row.step) else { continue };
            let applied = self.world.effects(step, &row.id.0) > 0;
            let status = match applied {
                false => Status::Failed,
                true if step + 1 == self.steps.len() => Status::Ok,
                true => Status::Skipped,
            };
            self.ledger.decide(&row.id.0, status);
        }
    }
}
