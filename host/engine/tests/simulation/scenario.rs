//! A whole life of a route, by a seed: runs that crash, are cancelled and fail, operators in between, and at last a
//! clean run after which everything must stand where it belongs.

use crate::ledger::MemLedger;
use crate::player::{Accidents, Played, Player};
use crate::rng::Rng;
use crate::rules;
use crate::world::{Lie, Manners, Outage, World};
use crossdock_engine::plan::{
    Breaker, Entry, LogLevel, OnError, Policy, Retry, Role, Rollback, RunSpec, SourceBudget, StepSpec,
};
use crossdock_engine::ports::Idempotency;
use crossdock_model::{HandlerKind, RouteName, RunId, RunStatus, Status, StepName};

/// After so many runs in a row that died of the same record, one must have lived.
const DEATHS_MAX: u32 = 12;

/// So often at most a route is run until all is well, once everything outside is.
const ROUNDS_MAX: u32 = 40;

pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) ledger: MemLedger,
    pub(crate) rng: Rng,
    pub(crate) now: i64,
    pub(crate) trace: Option<Vec<String>>,
    pub(crate) policy: Policy,
    pub(crate) steps: Vec<StepSpec>,
    pub(crate) run_handlers: Vec<HandlerKind>,
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

fn step_kind(rng: &mut Rng, compensates: bool) -> Role {
    let destination = |rng: &mut Rng, idempotency, probes| Role::Destination {
        idempotency,
        probes,
        compensates: compensates && !rng.one_in(12),
    };
    match rng.below(10) {
        0..=2 => Role::Transformer { pure: true },
        3 => Role::Transformer { pure: false },
        kind => {
            let sometimes = rng.one_in(3);
            match kind {
                4 | 5 => destination(rng, Idempotency::NativeKey, sometimes),
                6 => destination(rng, Idempotency::Upsert, sometimes),
                7 | 8 => destination(rng, Idempotency::Probe, true),
                _ => destination(rng, Idempotency::None, false),
            }
        }
    }
}

fn random_step(rng: &mut Rng, index: usize, role: Role) -> StepSpec {
    let first_ms = rng.between(0, 300);
    let retry = Retry {
        attempts: rng.between(1, 4) as u32,
        first_ms,
        max_ms: rng.between(first_ms, 2_000),
        total_ms: *rng.pick(&[500, 5_000, 60_000]),
    };
    let open_ms = rng.between(10, 500);
    let breaker = Breaker {
        failures: *rng.pick(&[1, 2, 5, 1_000]),
        open_ms,
        max_ms: rng.between(open_ms, 3_000),
        total_ms: *rng.pick(&[1_000, 10_000, 100_000]),
    };
    let all = [HandlerKind::OnSuccess, HandlerKind::OnFailure, HandlerKind::OnRollback];
    let of_role = |kind: &HandlerKind| *kind != HandlerKind::OnRollback || matches!(role, Role::Destination { .. });
    let handlers = all.into_iter().filter(|kind| of_role(kind) && rng.one_in(3)).collect();
    let name = StepName::new(format!("s{index}")).unwrap();
    StepSpec { name, role, max_batch: rng.between(1, 7) as u32, retry, breaker, handlers }
}

/// More than any life has.
pub(crate) const NO_LIMIT: SourceBudget = SourceBudget {
    pages_max: 1_000,
    records_max: 100_000,
    bytes_max: 10_000_000,
    time_max_ms: i64::MAX as u64,
    empty_pages_max: 500,
    repeated_pages_max: 500,
};

/// Sometimes little, and never more than that.
fn budget(rng: &mut Rng) -> SourceBudget {
    if !rng.one_in(3) {
        return NO_LIMIT;
    }
    SourceBudget {
        pages_max: *rng.pick(&[1, 3, 1_000]),
        records_max: *rng.pick(&[1, 8, 100_000]),
        bytes_max: *rng.pick(&[20, 10_000_000]),
        time_max_ms: *rng.pick(&[30, i64::MAX as u64]),
        empty_pages_max: *rng.pick(&[1, 500]),
        repeated_pages_max: 1,
    }
}

impl Life {
    fn random(seed: u64, traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let rollback = *rng.pick(&[Rollback::None, Rollback::Record, Rollback::Record, Rollback::Run]);
        let roles: Vec<Role> =
            (0..rng.between(1, 5)).map(|_| step_kind(&mut rng, rollback != Rollback::None)).collect();
        let steps: Vec<StepSpec> =
            roles.iter().enumerate().map(|(index, role)| random_step(&mut rng, index, *role)).collect();
        let continues = rollback != Rollback::Run && rng.one_in(2);
        let policy = Policy {
            on_error: if continues { OnError::Continue } else { OnError::Stop },
            max_failed: rng.one_in(6).then(|| rng.between(0, 5)),
            max_failed_ratio: None,
            max_failed_window: 1_000,
            max_faults: if rng.one_in(4) { rng.between(0, 3) as u32 } else { 1_000 },
            rollback,
            rollback_records_max: *rng.pick(&[3, 1_000, 1_000, 1_000]),
            log: *rng.pick(&[LogLevel::Summary, LogLevel::Ids, LogLevel::Ids, LogLevel::Full]),
            batch_records: rng.between(1, 7) as u32,
            batch_bytes: 1_000_000,
            window: rng.between(1, 4) as u32,
            source: budget(&mut rng),
        };
        let manners = Manners::Random { seed, trouble_in: rng.between(2, 12), splits: rng.one_in(2) };
        let records = rng.between(0, 25) as usize;
        let mut world = World::new(manners, roles, records, rng.next());
        world.call_trouble_in = *rng.pick(&[0, 0, 40, 12]);
        for _ in 0..rng.below(3) {
            let from = rng.between(0, 8_000) as i64;
            let until = from + rng.between(50, 4_000) as i64;
            world.outages.push(Outage { step: rng.below(steps.len()), from, until });
        }
        world.lie = rng.one_in(5).then(|| *rng.pick(&[Lie::Empty, Lie::Back, Lie::End]));
        // All or nothing: what is said to be all of a run is settled as a whole, and may come once more.
        world.lie = world.lie.filter(|lie| *lie != Lie::End || rollback != Rollback::Run);
        world.order_keys = if rng.one_in(3) { rng.between(1, 4) as usize } else { 0 };
        if rng.one_in(6) {
            world.kills = Some((rng.below(steps.len()), World::record_id(rng.below(records.max(1)))));
        }
        let kinds = [HandlerKind::OnRunOk, HandlerKind::OnRunFailed];
        let run_handlers = kinds.into_iter().filter(|_| rng.one_in(3)).collect();
        let source_max_batch = rng.between(1, 7) as u32;
        let ledger = MemLedger::default();
        let trace = traced.then(Vec::new);
        Self { world, ledger, rng, now: 1_000, trace, policy, steps, run_handlers, source_max_batch, runs: 0 }
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
            run_handlers: self.run_handlers.clone(),
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
                hear_in: *self.rng.pick(&[0, 0, 0, 30]),
                ..Accidents::default()
            };
            let entry = match self.rng.below(7) {
                0 => self.chosen(|row| row.status != Status::Indeterminate).map(Entry::Resync),
                1 => self.chosen(|_| true).map(Entry::Resync),
                2 => self.chosen(|row| row.status == Status::Indeterminate).map(Entry::Probe),
                3 => Some(Entry::Rollback),
                _ => None,
            };
            self.play(entry, accidents)?;
            self.now += self.rng.between(0, 3_000) as i64;
            self.operate();
            if self.rng.one_in(3) {
                self.world.records += self.rng.below(6);
            }
        }
        self.survive()?;
        self.heal()
    }

    /// A record of which processes die is found after a while.
    fn survive(&mut self) -> Checked {
        if self.world.kills.is_none() {
            return Ok(());
        }
        for _ in 0..DEATHS_MAX {
            if let Played::Ended(_) = self.play(None, Accidents::default())? {
                return Ok(());
            }
            self.now += 1_000;
        }
        Err(format!("processes go on dying of {:?}", self.world.kills))
    }

    /// Everything outside is well again; operators do what is left to them.
    pub(crate) fn heal(&mut self) -> Checked {
        self.world.healed = true;
        self.world.call_trouble_in = 0;
        self.world.checks_ok = Some(true);
        self.policy.max_faults = 1_000_000;
        self.policy.max_failed = None;
        self.policy.rollback_records_max = 1_000;
        self.policy.source = NO_LIMIT;
        for round in 0..=ROUNDS_MAX {
            self.settle_doubts();
            self.end_rollbacks();
            self.leave_out_what_never_passes();
            let played = self.play(None, Accidents::default())?;
            let Played::Ended(end) = played else { return Err("a run without accidents crashed".into()) };
            let chosen = self.chosen(|_| true).filter(|_| round < 4);
            if round >= 5 && end.status == RunStatus::Ok && end.read + end.resumed == 0 {
                break;
            }
            if round == ROUNDS_MAX {
                return Err(format!("the last run is {} after everything was mended: {:?}", end.status, end.reason));
            }
            if let Some(ids) = chosen {
                self.play(Some(Entry::Resync(ids)), Accidents::default())?;
            }
        }
        if let Some((id, task)) = self.ledger.tasks.iter().find(|(_, task)| task.waits() || task.task.held) {
            return Err(format!("in the end {id:?} still waits: {task:?}"));
        }
        let spec = self.spec(None);
        rules::last_word(&self.ledger, &self.world, &spec)
    }
}
