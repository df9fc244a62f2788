//! Performs the actions of the machine that calls handlers.

use crate::handlers::{Action, HandlerCounts, HandlerSpec, Handlers, Input};
use crate::ports::{Clock, DestinationPort, Ledger, PortError, PortFuture, WriteOptions};
use crossdock_model::RouteName;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A handler in use.
#[derive(Clone)]
pub struct HandlerPort {
    /// What it is.
    pub spec: HandlerSpec,
    /// Who is called.
    pub port: Arc<dyn DestinationPort>,
}

/// Calls handlers until `line` says [`Input::Finish`] or [`Input::Cancel`] and nothing is left to do, or is closed.
///
/// # Errors
/// When the ledger could not do its work.
pub(super) async fn run(
    route: RouteName,
    handlers: Vec<HandlerPort>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    seed: u64,
    mut line: mpsc::UnboundedReceiver<Input>,
    idle: mpsc::UnboundedSender<u64>,
) -> Result<HandlerCounts, PortError> {
    let specs = handlers.iter().map(|handler| handler.spec.clone()).collect();
    let mut machine = Handlers::new(route.clone(), specs, seed, clock.now());
    let mut answer: Option<PortFuture<'static, Result<Input, PortError>>> = None;
    let mut wake: Option<PortFuture<'static, ()>> = None;
    let mut next = Input::Poke;
    loop {
        for action in machine.on(clock.now(), next) {
            let (route, now) = (route.clone(), clock.now());
            match action {
                Action::Take(limit) => {
                    let ledger = Arc::clone(&ledger);
                    answer = Some(Box::pin(async move { Ok(Input::Tasks(ledger.tasks(route, now, limit).await?)) }));
                }
                Action::Call(index, batch, keys) => {
                    let port = handlers.get(index).map(|handler| Arc::clone(&handler.port));
                    let options = WriteOptions { stop_at_first_failure: false };
                    answer = Some(Box::pin(async move {
                        let Some(port) = port else { return Err(super::stuck()) };
                        Ok(Input::Called(port.write(batch, keys, options).await))
                    }));
                }
                Action::Commit(commit) => {
                    let durable = ledger.commit_tasks(commit);
                    answer = Some(Box::pin(async move { durable.await.map(|()| Input::Committed) }));
                }
                Action::WakeAt(at) => {
                    let clock = Arc::clone(&clock);
                    wake = Some(Box::pin(async move { clock.sleep_until(at).await }));
                }
                // Nobody listens any more once the run has ended.
                Action::Idle(pokes) => drop(idle.send(pokes)),
                Action::End => return Ok(machine.counts()),
            }
        }
        next = tokio::select! {
            answered = wait(&mut answer) => { answer = None; answered? }
            () = super::wait(&mut wake) => { wake = None; Input::Woke }
            said = line.recv() => match said {
                Some(input) => input,
                None => return Ok(machine.counts()),
            },
        };
    }
}

async fn wait(answer: &mut Option<PortFuture<'static, Result<Input, PortError>>>) -> Result<Input, PortError> {
    match answer {
        Some(answer) => answer.await,
        None => std::future::pending().await,
    }
}
