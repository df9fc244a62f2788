//! Requests that are answered by whoever set up the sandbox: nothing goes out.

use super::connect::Body;
use super::{Answer, HEADER_BYTES, Limits, NoAnswer, TOGETHER};
use crate::grants::Origin;
use crate::http_client::Gathered;
use http_body_util::BodyExt as _;
use hyper::{Request, header};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

/// Answers requests of plugins in place of the network; see [`SandboxConfig::answering`](crate::SandboxConfig).
///
/// What is answered here was checked like every request: against the grant, with its limits and its turn; secrets are
/// in their places. What comes back is counted, and noted beside the record, like every answer. Addresses are not
/// looked up, and nothing is sent.
pub trait Answering: Send + Sync {
    /// Answers one request. It may take its time: the plugin waits no longer than for another system, and is then told
    /// that there is no answer. Requests that a plugin sends at once are asked at once.
    fn answer(&self, request: OutgoingRequest) -> Pin<Box<dyn Future<Output = GivenAnswer> + Send + '_>>;
}

/// A request as it would go out.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingRequest {
    /// In capitals.
    pub method: String,
    /// With its query.
    pub url: String,
    /// Names in lower case; values that are not UTF-8 have their bytes replaced. Secrets are in their places.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenAnswer {
    /// The other side answers. A body over [`Limits::HTTP_BODY_MAX_BYTES`] reaches the plugin as too large.
    Answer {
        /// The status.
        status: u16,
        /// Names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// There is no connection: nothing was sent.
    NotConnected(String),
    /// It was sent, and no answer comes.
    NoAnswer(String),
    /// An answer with this status that is larger than what is allowed.
    TooLarge(u16),
}

/// Has a request answered.
pub(super) async fn answered(
    by: &dyn Answering,
    origin: &Origin,
    request: Request<Body>,
    begun: &AtomicBool,
    gathered: &Gathered,
) -> Result<Answer, NoAnswer> {
    begun.store(true, Ordering::Relaxed);
    match by.answer(outgoing(origin, request).await).await {
        GivenAnswer::NotConnected(why) => {
            begun.store(false, Ordering::Relaxed);
            Err(NoAnswer::NotConnected(why))
        }
        GivenAnswer::NoAnswer(why) => Err(NoAnswer::Lost(why)),
        GivenAnswer::TooLarge(status) => Ok(too_large(status)),
        GivenAnswer::Answer { status, body, .. } if body.len() > Limits::HTTP_BODY_MAX_BYTES => Ok(too_large(status)),
        GivenAnswer::Answer { status, headers, body } => {
            let headers: Vec<_> = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
            let bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES).sum();
            let mut room = gathered.room();
            if !room.take(bytes.saturating_add(body.len())) {
                return Ok(Answer::TooLarge { status, what: TOGETHER.to_owned() });
            }
            Ok(Answer::Complete { status, headers, body, kept_bytes: room.keep() })
        }
    }
}

fn too_large(status: u16) -> Answer {
    Answer::TooLarge { status, what: format!("the body is longer than {} bytes", Limits::HTTP_BODY_MAX_BYTES) }
}

/// The request as whoever answers sees it: without what every request of the host has.
async fn outgoing(origin: &Origin, request: Request<Body>) -> OutgoingRequest {
    let (parts, body) = request.into_parts();
    let shown = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    // A body that is in memory has no errors.
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    OutgoingRequest {
        method: parts.method.as_str().to_owned(),
        url: format!("{origin}{}", parts.uri),
        headers: parts.headers.iter().map(shown).collect(),
        body,
    }
}
