//! HTTP requests of plugins: checked against the grant, run by the host, noted beside the record.

mod check;

use crate::bindings::imports::http::{self, HttpError, Request, Response};
use crate::deadline::Deadline;
use crate::exchanges::Begun;
use crate::host::{Host, HostFailed, Identity};
use crate::http_client::{Answer, Body, Gathered, NoAnswer};
use crate::request_limits::Turn;
use crate::text::PluginText;
use check::ERROR_MAX_BYTES;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a request may take if the plugin does not say.
const TIMEOUT_DEFAULT_MS: u64 = 30_000;
/// What is kept back of the call's time, so that the plugin can still answer when a request was not.
const TIME_KEPT: Duration = Duration::from_millis(250);
/// How often a request that waits for its turn looks whether it still should.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A request that was checked, and what is known of its exchange before it is sent.
struct Checked {
    going: Going,
    record: Option<u32>,
    method: String,
    url: String,
}

/// What is sent, and where.
struct Going {
    request: hyper::Request<Body>,
    door: usize,
    timeout_ms: Option<u32>,
}

/// Waits for an instance's turn among all that share its limits. The wait is not held against the call, and ends
/// without a turn when the run is asked to stop or the call has no time left.
async fn turn(identity: Arc<Identity>, deadline: Deadline, goes_on: bool) -> Result<Option<Turn>, HttpError> {
    let Some(limits) = identity.request_limits.clone() else { return Ok(None) };
    let _waiting = deadline.wait();
    let mut turn = pin!(limits.turn());
    loop {
        if let Ok(turn) = tokio::time::timeout(LOOK_EVERY, turn.as_mut()).await {
            return Ok(Some(turn));
        }
        if !goes_on && identity.cancelled.load(Ordering::Relaxed) {
            let text = "the run was asked to stop before the request had its turn";
            return Err(HttpError::NotConnected(text.to_owned()));
        }
        if deadline.left() <= TIME_KEPT {
            let text = "the call had no time left before the request had its turn";
            return Err(HttpError::NotConnected(text.to_owned()));
        }
    }
}

/// A request that came to its end.
struct Sent {
    index: usize,
    answer: Result<Response, HttpError>,
}

/// Sends one request and notes what came of it.
async fn send_one(
    identity: Arc<Identity>,
    going: Going,
    gathered: Arc<Gathered>,
    left: Duration,
    mut exchange: Begun,
) -> Result<Response, HttpError> {
    // Asked each time, because a secret may have been replaced meanwhile.
    let line = |text: &str| PluginText::line(text, ERROR_MAX_BYTES, &identity.secrets.redactor()).into_string();
    let begun = Instant::now();
    let wanted = Duration::from_millis(going.timeout_ms.map_or(TIMEOUT_DEFAULT_MS, u64::from));
    let answer = if left.is_zero() {
        Err(NoAnswer::NotConnected("no time is left in this call for another request".to_owned()))
    } else if gathered.is_full() {
        let text = "the answers that came before have used up what one call may hold";
        Err(NoAnswer::NotConnected(text.to_owned()))
    } else {
        let begun = AtomicBool::new(false);
        let sending = identity.doors.send(going.door, going.request, &begun, &gathered);
        tokio::time::timeout(wanted.min(left), sending).await.unwrap_or_else(|_| {
            Err(if begun.load(Ordering::Relaxed) {
                NoAnswer::Lost("the time for the request was over before its answer was complete".to_owned())
            } else {
                NoAnswer::NotConnected("the time for the request was over before there was a connection".to_owned())
            })
        })
    };
    let note = &mut exchange.now;
    note.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answer = match answer {
        Ok(Answer::Complete { status, headers, body }) => {
            note.status = Some(status);
            note.bytes = body.len() as u64;
            Ok(Response { status, headers, body })
        }
        Ok(Answer::TooLarge { status, what }) => {
            note.status = Some(status);
            note.error = Some(what);
            Err(HttpError::TooLarge(status))
        }
        Err(error) => {
            let text = line(&error.to_string());
            note.error = Some(text.clone());
            Err(match error {
                NoAnswer::NotConnected(_) => HttpError::NotConnected(text),
                NoAnswer::Lost(_) => HttpError::NoAnswer(text),
            })
        }
    };
    exchange.end();
    answer
}

impl http::Host for Host {
    async fn send(
        &mut self,
        requests: Vec<Request>,
        in_flight: u32,
    ) -> wasmtime::Result<Vec<Result<Response, HttpError>>> {
        self.give_way().await;
        let limits = self.identity.limits;
        let permits = Arc::new(Semaphore::new(in_flight.clamp(1, limits.http_in_flight_max.max(1)) as usize));
        let share = self.limiter.share().another();
        let gathered = Arc::new(Gathered::new(limits.http_answers_max_bytes, share));
        let mut answers: Vec<Option<Result<Response, HttpError>>> = requests.iter().map(|_| None).collect();
        // Dropping the set, because the call was interrupted, ends what is still on its way.
        let mut sending: JoinSet<Sent> = JoinSet::new();
        for (index, request) in requests.into_iter().enumerate() {
            self.call.requests = self.call.requests.saturating_add(1);
            let checked = if self.call.requests > limits.http_requests_max {
                Err(HttpError::Invalid(format!("more than {} requests in one call", limits.http_requests_max)))
            } else {
                self.check_request(request)
            };
            let checked = match checked {
                Ok(checked) => checked,
                Err(error) => {
                    answers[index] = Some(Err(error));
                    continue;
                }
            };
            // Waiting for a place here keeps the order in which requests are begun.
            let permit = permits.clone().acquire_owned().await?;
            let turn = match turn(self.identity.clone(), self.call.deadline.clone(), self.call.goes_on).await {
                Ok(turn) => turn,
                Err(error) => {
                    answers[index] = Some(Err(error));
                    continue;
                }
            };
            let left = self.remaining().saturating_sub(TIME_KEPT);
            let Checked { going, record, method, url } = checked;
            let (identity, gathered) = (self.identity.clone(), gathered.clone());
            let exchange = self.call.exchanges.begin(identity.clock.now(), record, method, url);
            let sent = async move {
                let answer = send_one(identity, going, gathered, left, exchange).await;
                drop((permit, turn));
                Sent { index, answer }
            };
            sending.spawn_on(sent, &self.identity.io);
        }
        while let Some(sent) = sending.join_next().await {
            // A panic of ours on the way: the error ends this call, as a mistake of the host.
            let Sent { index, answer } = sent.map_err(HostFailed::from)?;
            answers[index] = Some(answer);
        }
        let unanswered = || Err(HttpError::NoAnswer("the host lost the request".to_owned()));
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
    }
}
