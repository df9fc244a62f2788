//! From a granted origin to a connection: the name is resolved once, and what was checked is what is connected to.

use super::addresses::Reach;
use super::resolve::Resolver;
use super::tls;
use super::wire::{Allowance, Stream, Wire};
use crate::grants::Origin;
use crate::limits::Limits;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsConnector;
use url::Host;

/// How long the system may take to resolve a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long agreeing on TLS may take.
const TLS_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one address is tried before the next one is tried beside it.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// How many addresses of a host are tried.
const ADDRESSES_MAX: usize = 8;
/// How many addresses are named when none may be used.
const ADDRESSES_NAMED: usize = 3;
/// How long a connection is kept without a request.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connection is sent.
pub(crate) type Body = Full<Bytes>;

/// A connection that is good for requests, one after the other. It is gone when this is dropped, whatever was
/// under way.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Body>,
    pub(super) allowance: Arc<Allowance>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes a connection, or says why not.
pub(super) async fn connect(
    origin: &Origin,
    reach: &Reach,
    resolver: &dyn Resolver,
    tls: Option<&TlsConnector>,
    socket: OwnedSemaphorePermit,
) -> Result<Connection, String> {
    let addresses = addresses(origin, reach, resolver).await?;
    let stream = reach_one(addresses, origin.port()).await?;
    // A request and its answer take turns: waiting for more to send would only delay them.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream = match tls {
        None => Stream::Plain(stream),
        Some(connector) => {
            let host = origin.host_name();
            let made = tokio::time::timeout(TLS_TIMEOUT, tls::handshake(connector, &host, stream)).await;
            let made = made.map_err(|_| format!("{origin} did not agree on TLS in time"))?;
            Stream::Tls(Box::new(made?))
        }
    };
    let allowance: Arc<Allowance> = Arc::default();
    let wire = Wire { stream, allowance: allowance.clone(), _socket: socket };
    let (sender, connection) = http1::Builder::new()
        .max_headers(Limits::HTTP_HEADERS_MAX)
        .max_header_size(Limits::HTTP_HEAD_MAX_BYTES)
        .max_buf_size(2 * Limits::HTTP_HEAD_MAX_BYTES)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|error| error.to_string())?;
    let watched = allowance.clone();
    let task = tokio::spawn(async move {
        let mut connection = pin!(connection);
        // What ends it is told to the request that it ends, if there is one.
        while tokio::time::timeout(IDLE_TIMEOUT, connection.as_mut()).await.is_err() && watched.is_busy() {}
    });
    Ok(Connection { sender, allowance, task: task.abort_handle() })
}

/// The addresses of a host that a connection may be made to.
async fn addresses(origin: &Origin, reach: &Reach, resolver: &dyn Resolver) -> Result<Vec<IpAddr>, String> {
    let found = match origin.host() {
        Host::Ipv4(address) => vec![IpAddr::V4(*address)],
        Host::Ipv6(address) => vec![IpAddr::V6(*address)],
        Host::Domain(name) => tokio::time::timeout(RESOLVE_TIMEOUT, resolver.resolve(name))
            .await
            .map_err(|_| format!("the name {name} was not resolved in time"))?
            .map_err(|error| format!("the name {name} could not be resolved: {error}"))?,
    };
    let mut permitted: Vec<IpAddr> = Vec::new();
    for address in found.iter().map(IpAddr::to_canonical).filter(|address| reach.permits(*address)) {
        if permitted.len() < ADDRESSES_MAX && !permitted.contains(&address) {
            permitted.push(address);
        }
    }
    if permitted.is_empty() { Err(nowhere(origin, reach, &found)) } else { Ok(permitted) }
}

/// Why there is no address, and what can be done.
fn nowhere(origin: &Origin, reach: &Reach, found: &[IpAddr]) -> String {
    let host = origin.host();
    let Some(first) = found.first() else { return format!("the name {host} has no address") };
    let named: Vec<String> = found.iter().take(ADDRESSES_NAMED).map(IpAddr::to_string).collect();
    let named = named.join(", ");
    match reach {
        Reach::Public => {
            let bits = if first.is_ipv4() { 32 } else { 128 };
            format!(
                "{host} has only addresses that are not public: {named}; if that is right, grant them with it: \
                 {{ origin = \"{origin}\", addresses = [\"{first}/{bits}\"] }}"
            )
        }
        Reach::Within(_) => format!("{host} has no address within those that are granted with it: {named}"),
        Reach::Loopback => format!("{host} has no address of this machine: {named}"),
        Reach::This(_) => format!("{host} is not an address that a connection can be made to"),
    }
}

/// Connects to the first address that answers: to the next one as well when one takes long or refuses.
async fn reach_one(addresses: Vec<IpAddr>, port: u16) -> Result<TcpStream, String> {
    let mut next = addresses.into_iter();
    // Dropping the set ends those that were slower.
    let mut trying = JoinSet::new();
    let mut last = "there is no address".to_owned();
    loop {
        if let Some(address) = next.next() {
            let address = SocketAddr::new(address, port);
            trying
                .spawn(async move { TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}")) });
        }
        let more = next.len() > 0;
        tokio::select! {
            Some(tried) = trying.join_next() => match tried {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("connecting to {error}"),
                Err(error) => last = error.to_string(),
            },
            () = tokio::time::sleep(NEXT_ADDRESS_AFTER), if more => {}
            else => return Err(last),
        }
    }
}
