//! HTTP requests of plugins: checked against the grant, run by the host, noted beside the record.

mod check;

use crate::bindings::imports::http::{self, HttpError, Request, Response};
use crate::deadline::Deadline;
use crate::exchanges::Begun;
use crate::host::{Host, HostFailed, Identity};
use crate::http_client::{Answer, Body, Gathered, NoAnswer};
use crate::request_limits::Turn;
use crate::text::PluginText;
use crate::under_way::{Sent, UnderWay};
use check::ERROR_MAX_BYTES;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
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

/// Sends one request and notes what came of it. Answers also with what is kept of the room for answers.
async fn send_one(
    identity: Arc<Identity>,
    going: Going,
    gathered: Arc<Gathered>,
    left: Duration,
    mut exchange: Begun,
) -> (Result<Response, HttpError>, usize) {
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
    let mut kept = 0;
    let answer = match answer {
        Ok(Answer::Complete { status, headers, body, kept_bytes }) => {
            note.status = Some(status);
            note.bytes = body.len() as u64;
            kept = kept_bytes;
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
    (answer, kept)
}

impl Host {
    fn under_way(&self, in_flight: u32) -> UnderWay {
        let limits = self.identity.limits;
        let share = self.limiter.share().another();
        let gathered = Gathered::new(limits.http_answers_max_bytes, share);
        UnderWay::new(in_flight.clamp(1, limits.http_in_flight_max.max(1)), gathered)
    }

    /// Checks a request and sends it, as soon as there is a place and it has its turn. Waiting here keeps the order in
    /// which requests are begun. Answers with its number.
    async fn begin_one(&mut self, under_way: &mut UnderWay, request: Request) -> u32 {
        let number = under_way.number();
        let limits = self.identity.limits;
        self.call.requests = self.call.requests.saturating_add(1);
        let checked = if self.call.requests > limits.http_requests_max {
            Err(HttpError::Invalid(format!("more than {} requests in one call", limits.http_requests_max)))
        } else {
            self.check_request(request)
        };
        let Checked { going, record, method, url } = match checked {
            Ok(checked) => checked,
            Err(error) => {
                under_way.refuse(number, error);
                return number;
            }
        };
        let place = under_way.place().await;
        let turn = match turn(self.identity.clone(), self.call.deadline.clone(), self.call.goes_on).await {
            Ok(turn) => turn,
            Err(error) => {
                under_way.refuse(number, error);
                return number;
            }
        };
        let left = self.remaining().saturating_sub(TIME_KEPT);
        let (identity, gathered) = (self.identity.clone(), under_way.gathered.clone());
        let exchange = self.call.exchanges.begin(identity.clock.now(), record, method, url);
        let sent = async move {
            let (answer, kept_bytes) = send_one(identity, going, gathered, left, exchange).await;
            drop((place, turn));
            Sent { number, answer, kept_bytes }
        };
        under_way.send(sent, &self.identity.io);
        number
    }
}

impl http::Host for Host {
    async fn send(
        &mut self,
        requests: Vec<Request>,
        in_flight: u32,
    ) -> wasmtime::Result<Vec<Result<Response, HttpError>>> {
        self.give_way().await;
        let mut under_way = self.under_way(in_flight);
        let mut answers: Vec<Option<Result<Response, HttpError>>> = requests.iter().map(|_| None).collect();
        for request in requests {
            self.begin_one(&mut under_way, request).await;
        }
        // What is kept for them stays kept until all are handed over.
        // A panic of ours on the way: the error ends this call, as a mistake of the host.
        while let Some(Sent { number, answer, .. }) = under_way.ended().await.map_err(HostFailed::from)? {
            if let Some(place) = answers.get_mut(number as usize) {
                *place = Some(answer);
            }
        }
        let unanswered = || Err(HttpError::NoAnswer("the host lost the request".to_owned()));
        Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(unanswered)).collect())
    }

    async fn begin(&mut self, request: Request) -> wasmtime::Result<u32> {
        self.give_way().await;
        let in_flight = self.identity.limits.http_in_flight_max;
        let mut under_way = self.call.under_way.take().unwrap_or_else(|| self.under_way(in_flight));
        let number = self.begin_one(&mut under_way, request).await;
        self.call.under_way = Some(under_way);
        Ok(number)
    }

    async fn next(&mut self) -> wasmtime::Result<Option<(u32, Result<Response, HttpError>)>> {
        self.give_way().await;
        let Some(under_way) = &mut self.call.under_way else { return Ok(None) };
        let ended = under_way.ended().await.map_err(HostFailed::from)?;
        Ok(ended.map(|Sent { number, answer, kept_bytes }| {
            under_way.gathered.hand_over(kept_bytes);
            (number, answer)
        }))
    }
}
