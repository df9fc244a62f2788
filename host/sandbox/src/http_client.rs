//! The way out: requests of plugins, to where they were granted, and what comes back.
//!
//! HTTP/1.1 only. Redirects are not followed, cookies not kept, proxies of the environment not used, and nothing is
//! sent again but a request of which not a byte went out.

mod addresses;
mod answering;
mod connect;
mod gathered;
mod inflate;
mod pool;
mod resolve;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests;
mod tls;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tls_tests;
mod wire;

pub use answering::{Answering, GivenAnswer, OutgoingRequest};
pub(crate) use connect::Body;
pub(crate) use gathered::Gathered;
pub(crate) use resolve::SystemResolver;
pub use resolve::{Resolver, Resolving};
pub use tls::{Certificates, CertificatesError};

use crate::grants::Origin;
use crate::limits::Limits;
use addresses::Reach;
use connect::Connection;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use inflate::Stop;
use ipnet::IpNet;
use pool::{Place, Pool};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use thiserror::Error;
use tokio_rustls::TlsConnector;

/// How long making a connection may take: waiting for a socket, resolving, connecting and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take after an answer until it is good for another request.
const READY_TIMEOUT: Duration = Duration::from_millis(20);
/// What may come in front of an answer, `103` and the like and the answer's own head.
const BEFORE_ANSWER_MAX_BYTES: usize = 4 * Limits::HTTP_HEAD_MAX_BYTES;
/// What a header costs beside its text.
const HEADER_BYTES: usize = 64;

/// Headers that are about the connection: of no use to a plugin, which has none.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A complete answer, and how much of the room for answers is kept for it.
    Complete { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, kept_bytes: usize },
    /// An answer that is larger than what is allowed, and what was exceeded.
    TooLarge { status: u16, what: String },
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    /// Nothing was sent.
    #[error("{0}")]
    NotConnected(String),
    /// It may have been sent.
    #[error("{0}")]
    Lost(String),
}

/// What all instances of a sandbox share of the way out.
pub(crate) struct HttpClient {
    certificates: Certificates,
    resolver: Arc<dyn Resolver>,
    answering: Option<Arc<dyn Answering>>,
    /// Made when it is first needed: reading the machine's certificates takes a while.
    tls: OnceLock<Result<TlsConnector, String>>,
    pool: Pool,
    owners: AtomicU64,
}

impl HttpClient {
    pub(crate) fn new(certificates: Certificates, resolver: Arc<dyn Resolver>) -> Self {
        let (tls, pool, owners) = (OnceLock::new(), Pool::default(), AtomicU64::new(0));
        Self { certificates, resolver, answering: None, tls, pool, owners }
    }

    /// The same, with requests answered in place of being sent, if there is somebody who does.
    pub(crate) fn answered_by(self, answering: Option<Arc<dyn Answering>>) -> Self {
        Self { answering, ..self }
    }

    fn tls(&self) -> Result<&TlsConnector, String> {
        let made = self.tls.get_or_init(|| {
            tls::connector(&self.certificates).map_err(|error| {
                format!("no HTTPS: {error}; install the certificates of your system's authorities (ca-certificates)")
            })
        });
        made.as_ref().map_err(Clone::clone)
    }
}

/// The origins that an instance was granted.
pub(crate) struct Doors {
    client: Arc<HttpClient>,
    owner: u64,
    doors: Vec<(Origin, Reach)>,
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.client.pool.forget(self.owner);
    }
}

impl Doors {
    /// Ways to these origins: for each the ranges that its addresses must lie in, or none.
    pub(crate) fn new(client: Arc<HttpClient>, origins: Vec<(Origin, Vec<IpNet>)>) -> Self {
        let owner = client.owners.fetch_add(1, Ordering::Relaxed);
        let door = |(origin, ranges): (Origin, Vec<IpNet>)| {
            let reach = Reach::of(&origin.host_ref(), &ranges);
            (origin, reach)
        };
        Self { client, owner, doors: origins.into_iter().map(door).collect() }
    }

    /// The door to an origin, if it was granted.
    pub(crate) fn find(&self, origin: &Origin) -> Option<usize> {
        self.doors.iter().position(|(granted, _)| granted == origin)
    }

    /// How many origins were granted.
    pub(crate) fn len(&self) -> usize {
        self.doors.len()
    }

    /// Sends a request through a door and reads the answer to its end. `begun` becomes true before the first byte may
    /// go out. `gathered` is where the answer counts.
    pub(crate) async fn send(
        &self,
        door: usize,
        mut request: Request<Body>,
        begun: &AtomicBool,
        gathered: &Gathered,
    ) -> Result<Answer, NoAnswer> {
        let Some((origin, reach)) = self.doors.get(door) else {
            return Err(NoAnswer::NotConnected("there is no such origin".to_owned()));
        };
        if let Some(answering) = &self.client.answering {
            return answering::answered(&**answering, origin, request, begun, gathered).await;
        }
        let place = Place { owner: self.owner, origin: door };
        let unpack = complete(origin, request.headers_mut()).map_err(NoAnswer::NotConnected)?;
        loop {
            let kept = self.client.pool.take(place);
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                // Boxed, because it is large and seldom needed: a request that finds a connection does not carry it along.
                None => Box::pin(self.connect(origin, reach)).await.map_err(NoAnswer::NotConnected)?,
            };
            connection.allowance.begin(BEFORE_ANSWER_MAX_BYTES);
            begun.store(true, Ordering::Relaxed);
            match connection.sender.try_send_request(request).await {
                Ok(response) => return self.receive(place, connection, response, unpack, gathered).await,
                Err(mut error) => match error.take_message() {
                    // The other side had closed it meanwhile: nothing of the request went out.
                    Some(unsent) if is_kept => {
                        begun.store(false, Ordering::Relaxed);
                        request = unsent;
                    }
                    Some(_) => return Err(NoAnswer::NotConnected(chain(error.error()))),
                    None => return Err(NoAnswer::Lost(chain(error.error()))),
                },
            }
        }
    }

    async fn connect(&self, origin: &Origin, reach: &Reach) -> Result<Connection, String> {
        let client = &self.client;
        let connecting = async {
            let tls = if origin.is_https() { Some(client.tls()?) } else { None };
            let socket = client.pool.socket().await?;
            connect::connect(origin, reach, &*client.resolver, tls, socket).await
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected.unwrap_or_else(|_| Err(format!("no connection to {origin} within {} s", CONNECT_TIMEOUT.as_secs())))
    }

    async fn receive(
        &self,
        place: Place,
        mut connection: Connection,
        mut response: Response<Incoming>,
        unpack: bool,
        gathered: &Gathered,
    ) -> Result<Answer, NoAnswer> {
        connection.allowance.head_is_here();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(NoAnswer::Lost("the other side went over to another protocol".to_owned()));
        }
        let status = response.status().as_u16();
        let packed = unpack && response.headers().get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
        let headers = handed_over(response.headers(), packed);
        let headers_bytes: usize = headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES).sum();
        let (mut room, mut full) = (gathered.room(), TOGETHER.to_owned());
        let body = {
            let enough = room.take(headers_bytes);
            let mut body = inflate::Body::new(packed, |more| {
                let is_short = room.bytes().saturating_sub(headers_bytes) + more <= Limits::HTTP_BODY_MAX_BYTES;
                if !is_short {
                    full = format!("the body is longer than {} bytes", Limits::HTTP_BODY_MAX_BYTES);
                }
                is_short && room.take(more)
            });
            let read = if enough { read(response.body_mut(), &mut body).await } else { Err(Ended::Stop(Stop::Full)) };
            read.and_then(|()| body.end().map_err(Ended::Stop))
        };
        match body {
            Ok(body) => {
                let kept_bytes = room.keep();
                connection.allowance.end();
                let ready = tokio::time::timeout(READY_TIMEOUT, connection.sender.ready()).await;
                if matches!(ready, Ok(Ok(()))) {
                    self.client.pool.keep(place, connection);
                }
                Ok(Answer::Complete { status, headers, body, kept_bytes })
            }
            Err(Ended::Stop(Stop::Full)) => Ok(Answer::TooLarge { status, what: full }),
            Err(Ended::Endless) => {
                let what = format!("more than {} bytes came of the body, packed", Limits::HTTP_BODY_MAX_BYTES);
                Ok(Answer::TooLarge { status, what })
            }
            Err(Ended::Stop(Stop::Damaged)) => {
                Err(NoAnswer::Lost("the body of the answer is not packed as it says".to_owned()))
            }
            Err(Ended::Lost(error)) => Err(NoAnswer::Lost(chain(&error))),
        }
    }
}

/// What is told of an answer when the others have taken all the room.
const TOGETHER: &str = "the answers to the requests that were sent with it are too large together";

/// Why the body of an answer is not taken any further.
enum Ended {
    Stop(Stop),
    /// Too much came, whatever it holds.
    Endless,
    Lost(hyper::Error),
}

async fn read<R: FnMut(usize) -> bool>(wire: &mut Incoming, body: &mut inflate::Body<R>) -> Result<(), Ended> {
    let mut came: usize = 0;
    while let Some(frame) = wire.frame().await {
        // Trailers are left out.
        let Ok(piece) = frame.map_err(Ended::Lost)?.into_data() else { continue };
        came = came.saturating_add(piece.len());
        body.add(&piece).map_err(Ended::Stop)?;
        // Gzip that holds nothing can go on for ever.
        if came > Limits::HTTP_BODY_MAX_BYTES {
            return Err(Ended::Endless);
        }
    }
    Ok(())
}

/// Adds what every request has. Whether the host unpacks the answer, because the plugin did not ask for a packing.
fn complete(origin: &Origin, headers: &mut HeaderMap) -> Result<bool, String> {
    let host = HeaderValue::from_str(&origin.authority()).map_err(|error| error.to_string())?;
    headers.insert(header::HOST, host);
    let agent = HeaderValue::from_static(concat!("crossdock/", env!("CARGO_PKG_VERSION")));
    headers.entry(header::USER_AGENT).or_insert(agent);
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    let unpack = !headers.contains_key(header::ACCEPT_ENCODING);
    headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
    Ok(unpack)
}

/// The headers of an answer as a plugin sees them.
fn handed_over(headers: &HeaderMap, unpacked: bool) -> Vec<(String, String)> {
    let is_stale = |name: &HeaderName| unpacked && [header::CONTENT_ENCODING, header::CONTENT_LENGTH].contains(name);
    headers
        .iter()
        .filter(|(name, _)| !HOP_BY_HOP.contains(name) && !is_stale(name))
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), std::str::from_utf8(value.as_bytes()).ok()?.to_owned()))
        })
        .collect()
}

/// An error with all its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
