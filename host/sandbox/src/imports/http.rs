//! HTTP requests of plugins: checked against the grant, run by the host, noted beside the record.

use crate::bindings::imports::http::{self, Field, HttpError, Request, Response, Value};
use crate::deadline::Deadline;
use crate::exchanges::Begun;
use crate::grants::Origin;
use crate::host::{Host, HostFailed, Identity};
use crate::http_client::{Answer, NoAnswer};
use crate::limits::Limits;
use crate::request_limits::Turn;
use crate::text::PluginText;
use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

/// The longest URL.
const URL_MAX_BYTES: usize = 8 << 10;
/// Query fields, and headers, of one request.
const FIELDS_MAX: usize = 128;
/// One header or query value.
const VALUE_MAX_BYTES: usize = 16 << 10;
/// How long a request may take if the plugin does not say.
const TIMEOUT_DEFAULT_MS: u64 = 30_000;
/// What is kept back of the call's time, so that the plugin can still answer when a request was not.
const TIME_KEPT: Duration = Duration::from_millis(250);
/// How often a request that waits for its turn looks whether it still should.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How much of an error is kept.
const ERROR_MAX_BYTES: usize = 512;

/// Headers that belong to the connection or are the host's own business.
const REFUSED_HEADERS: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A request that was checked, and what is known of its exchange before it is sent.
struct Checked {
    request: reqwest::Request,
    timeout_ms: Option<u32>,
    record: Option<u32>,
    method: String,
    url: String,
}

impl Host {
    fn check_request(&self, request: Request) -> Result<Checked, HttpError> {
        let invalid = |text: String| HttpError::Invalid(self.line(&text));
        let known = |m: &str| matches!(m, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS");
        let method = Some(&request.method)
            .filter(|m| known(m))
            .and_then(|m| reqwest::Method::from_bytes(m.as_bytes()).ok())
            .ok_or_else(|| invalid(format!("{:?} is not a method that can be sent", request.method)))?;
        if request.url.len() > URL_MAX_BYTES {
            return Err(invalid(format!("the URL has {} bytes, {URL_MAX_BYTES} are allowed", request.url.len())));
        }
        if request.query.len() > FIELDS_MAX || request.headers.len() > FIELDS_MAX {
            return Err(invalid(format!("more than {FIELDS_MAX} headers or query fields")));
        }
        let mut url = Url::parse(&request.url).map_err(|error| invalid(format!("the URL does not parse: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("the URL must not hold credentials".to_owned()));
        }
        let origin = Origin::of(&url)
            .ok_or_else(|| invalid("the URL must begin with http:// or https:// and name a host".to_owned()))?;
        if !self.identity.origins.contains(&origin) {
            return Err(HttpError::NotGranted(self.line(&format!("the grant does not cover {origin}"))));
        }
        url.set_fragment(None);
        let shown = self.line(&format!("{}{}", url.origin().ascii_serialization(), url.path()));
        if !request.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for field in &request.query {
                let value = String::from_utf8(self.value(field)?)
                    .map_err(|_| invalid(format!("the value of the query field {:?} is not UTF-8", field.name)))?;
                pairs.append_pair(&field.name, &value);
            }
        }
        let headers = self.headers(&request.headers)?;
        let record = request
            .handle
            .map(|handle| {
                self.position(handle).ok_or_else(|| invalid(format!("{handle} is not a handle of this batch")))
            })
            .transpose()?;
        let mut sent = reqwest::Request::new(method, url);
        *sent.headers_mut() = headers;
        if !request.body.is_empty() {
            *sent.body_mut() = Some(request.body.into());
        }
        Ok(Checked { request: sent, timeout_ms: request.timeout_ms, record, method: request.method, url: shown })
    }

    fn headers(&self, fields: &[Field]) -> Result<HeaderMap, HttpError> {
        let invalid = |text: String| HttpError::Invalid(self.line(&text));
        let mut headers = HeaderMap::new();
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| invalid(format!("{:?} is not a header name", field.name)))?;
            if REFUSED_HEADERS.contains(&name.as_str()) {
                return Err(invalid(format!("the header {name} is the host's own business")));
            }
            let mut value = HeaderValue::from_bytes(&self.value(field)?)
                .map_err(|_| invalid(format!("the value of the header {name} holds characters that cannot be sent")))?;
            value.set_sensitive(!matches!(field.value, Value::Text(_)));
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// The bytes of a value, with the secret in its place.
    fn value(&self, field: &Field) -> Result<Vec<u8>, HttpError> {
        let secret = |handle: u32| {
            self.secret_value(handle).ok_or_else(|| {
                HttpError::Invalid(self.line(&format!("{:?} names a secret that was not opened", field.name)))
            })
        };
        let value = match &field.value {
            Value::Text(text) => text.clone().into_bytes(),
            Value::Secret(text) => [text.before.as_bytes(), &secret(text.secret)?, text.after.as_bytes()].concat(),
            Value::Basic(basic) => {
                let pair = [basic.user.as_bytes(), b":", &secret(basic.secret)?].concat();
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)).into_bytes()
            }
        };
        if value.len() > VALUE_MAX_BYTES {
            let text = format!("the value of {:?} is longer than {VALUE_MAX_BYTES} bytes", field.name);
            return Err(HttpError::Invalid(self.line(&text)));
        }
        Ok(value)
    }

    fn line(&self, text: &str) -> String {
        PluginText::line(text, ERROR_MAX_BYTES, &self.identity.secrets.redactor()).into_string()
    }
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
    request: reqwest::Request,
    timeout_ms: Option<u32>,
    left: Duration,
    mut exchange: Begun,
) -> Result<Response, HttpError> {
    // Asked each time, because a secret may have been replaced meanwhile.
    let line = |text: &str| PluginText::line(text, ERROR_MAX_BYTES, &identity.secrets.redactor()).into_string();
    let begun = Instant::now();
    let wanted = Duration::from_millis(timeout_ms.map_or(TIMEOUT_DEFAULT_MS, u64::from));
    let answer = if left.is_zero() {
        Err(NoAnswer::NotConnected("no time is left in this call for another request".to_owned()))
    } else {
        tokio::time::timeout(wanted.min(left), identity.client.send(request))
            .await
            .unwrap_or_else(|_| Err(NoAnswer::Lost("the time for the request was over before its answer".to_owned())))
    };
    let note = &mut exchange.now;
    note.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let answer = match answer {
        Ok(Answer::Complete { status, headers, body }) => {
            note.status = Some(status);
            note.bytes = body.len() as u64;
            Ok(Response { status, headers, body })
        }
        Ok(Answer::TooLarge { status }) => {
            note.status = Some(status);
            note.error = Some(format!("the body is longer than {} bytes", Limits::HTTP_BODY_MAX_BYTES));
            Err(HttpError::TooLarge(status))
        }
        Err(error) => {
            let text = line(&error.to_string());
            note.error = Some(text.clone());
            Err(match error {
                NoAnswer::Invalid(_) => HttpError::Invalid(text),
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
            let Checked { request, timeout_ms, record, method, url } = checked;
            let identity = self.identity.clone();
            let exchange = self.call.exchanges.begin(identity.clock.now(), record, method, url);
            let sent = async move {
                let answer = send_one(identity, request, timeout_ms, left, exchange).await;
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
