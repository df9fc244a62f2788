//! The machine that calls handlers, played beside the one of the run against the same ledger.

use super::{Accidents, Checked, Doing, Input, Player, Timestamp};
use crossdock_engine::handlers::{Action, HandlerSpec, Handlers, Input as Said};
use crossdock_engine::plan::RunSpec;
use crossdock_engine::ports::{TaskCommit, TaskStatus};
use crossdock_model::{Batch, Column, HandlerPlace, RunStatus, idempotency_key};
use std::collections::VecDeque;

/// The handlers of a run and what is under way for them.
pub(super) struct Handling {
    machine: Handlers,
    specs: Vec<HandlerSpec>,
    /// What they are told and have not heard.
    line: VecDeque<Said>,
    /// There is at most one thing that they wait for.
    doing: Option<Action>,
    wake: Option<Timestamp>,
    ended: bool,
}

/// The handlers of a route, as a run is given them.
fn specs_of(spec: &RunSpec) -> Vec<HandlerSpec> {
    let of_steps = spec.steps.iter().flat_map(|step| {
        step.handlers.iter().map(move |&kind| (HandlerPlace { step: Some(step.name.clone()), kind }, step))
    });
    let of_run = spec.run_handlers.iter().zip(&spec.steps);
    let of_run = of_run.map(|(&kind, step)| (HandlerPlace { step: None, kind }, step));
    let all = of_steps.chain(of_run).enumerate();
    all.map(|(index, (place, step))| HandlerSpec {
        place,
        max_batch: step.max_batch,
        retry: step.retry,
        recognises: index % 2 == 0,
    })
    .collect()
}

impl Handling {
    pub(super) fn new(spec: &RunSpec, now: Timestamp) -> Self {
        let specs = specs_of(spec);
        let machine = Handlers::new(spec.route.clone(), specs.clone(), spec.seed, now);
        Self { machine, specs, line: VecDeque::from([Said::Poke]), doing: None, wake: None, ended: false }
    }

    pub(super) fn poke(&mut self) {
        self.line.push_back(Said::Poke);
    }

    /// How many things may happen here now.
    pub(super) fn choices(&self, now: i64) -> usize {
        let due = self.wake.is_some_and(|at| at.0 <= now);
        if self.ended {
            0
        } else {
            usize::from(!self.line.is_empty()) + usize::from(self.doing.is_some()) + usize::from(due)
        }
    }

    /// When something will happen here by itself.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        self.wake.filter(|_| !self.ended)
    }
}

impl Player<'_> {
    /// The one of the things that may happen to the handlers.
    pub(super) fn step_of_handlers(&mut self, choice: usize) -> Checked {
        let said = if choice == 0 && !self.handling.line.is_empty() {
            self.handling.line.pop_front()
        } else if let Some(action) = self.handling.doing.take_if(|_| choice < 2) {
            Some(self.perform_for_handlers(action)?)
        } else {
            self.handling.wake.take().map(|_| Said::Woke)
        };
        let Some(said) = said else { return Ok(()) };
        self.note(|| format!("  h<- {said:?}"));
        let actions = self.handling.machine.on(Timestamp(*self.now), said);
        for action in actions {
            self.note(|| format!("  h-> {action:?}"));
            match action {
                Action::Idle(notices) => self.doing.push(Doing::Answer(Input::HandlersIdle(notices))),
                Action::WakeAt(at) => self.handling.wake = Some(at),
                Action::End => self.handling.ended = true,
                action if self.handling.doing.is_some() => {
                    return Err(format!("handlers do two things at once: {action:?}"));
                }
                action => self.handling.doing = Some(action),
            }
        }
        Ok(())
    }

    fn perform_for_handlers(&mut self, action: Action) -> Checked<Said> {
        let now = Timestamp(*self.now);
        Ok(match action {
            Action::Take(limit) => Said::Tasks(self.ledger.tasks_due(now, limit)),
            Action::Commit(commit) => {
                self.check_results(&commit)?;
                self.ledger.commit_tasks(&commit)?;
                Said::Committed
            }
            Action::Call(index, batch, keys) => {
                self.before_handler(index, &batch, &keys)?;
                Said::Called(self.world.handle(index, &batch))
            }
            other => return Err(format!("cannot perform {other:?}")),
        })
    }

    /// The process dies; what was under way may have been done all the same.
    pub(super) fn handlers_unheard(&mut self) -> Checked {
        match self.handling.doing.take() {
            Some(action @ (Action::Commit(_) | Action::Call(..))) => self.perform_for_handlers(action).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// A handler is called once for each outcome, again only while it has not gone well.
    fn before_handler(&self, index: usize, batch: &Batch, keys: &Column) -> Checked {
        let spec = &self.handling.specs[index];
        if batch.is_empty() || batch.len() > spec.max_batch as usize || keys.len() != batch.len() {
            return Err(format!("handler {} is called for {} records", spec.place, batch.len()));
        }
        for at in 0..batch.len() {
            let id = batch.ids.text(at).into_owned();
            let waits = self.ledger.tasks.iter().find(|((record, place, generation), task)| {
                let key = idempotency_key(&self.spec.route, &place.name(), *generation, id.as_bytes());
                *record == id && *place == spec.place && keys.get(at) == Some(&key[..]) && task.waits()
            });
            let Some((_, task)) = waits else {
                return Err(format!("handler {} is called for {id} and nothing asks for it", spec.place));
            };
            if task.attempts >= spec.retry.attempts || task.task.due > Timestamp(*self.now) {
                return Err(format!("invariant 8: handler {} is called for {id} after {task:?}", spec.place));
            }
            let mut meant: Vec<_> =
                task.task.attributes.iter().filter(|(_, value)| !value.is_empty()).cloned().collect();
            meant.sort();
            if batch.payloads.get(at) != Some(&task.task.payload[..]) || batch.attributes_of(at) != meant {
                return Err(format!("handler {} is given something else for {id}", spec.place));
            }
        }
        Ok(())
    }

    fn check_results(&self, commit: &TaskCommit) -> Checked {
        let ended = commit.results.iter().filter(|result| !matches!(result.status, TaskStatus::Retry(_))).count();
        if commit.events.len() == ended {
            Ok(())
        } else {
            Err(format!("what handlers did is not to be seen: {commit:?}"))
        }
    }

    /// The run has ended: its handlers are called until nothing is left, or it was cancelled. Says whether the process
    /// died meanwhile.
    pub(super) fn finish_handlers(&mut self, status: RunStatus, accidents: Accidents) -> Checked<bool> {
        self.handling.poke();
        let last = if status == RunStatus::Cancelled { Said::Cancel } else { Said::Finish };
        self.handling.line.push_back(last);
        for _ in 0..super::INPUTS_MAX {
            if self.handling.ended {
                return Ok(false);
            }
            if accidents.crash_in > 0 && self.rng.one_in(accidents.crash_in) {
                return Ok(true);
            }
            *self.now += self.rng.between(0, 20) as i64;
            let choices = self.handling.choices(*self.now);
            match (choices, self.handling.wakes_at()) {
                (0, None) => return Err("the handlers are stuck".into()),
                (0, Some(at)) => *self.now = at.0,
                _ => {
                    let choice = self.rng.below(choices);
                    self.step_of_handlers(choice)?;
                }
            }
        }
        Err("the handlers do not come to their end".into())
    }
}
