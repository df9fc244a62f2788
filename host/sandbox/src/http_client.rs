//! The way out: one HTTP client for all plugins, which connects to public addresses only unless a grant
//! names the address itself.

use crate::limits::Limits;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;
use thiserror::Error;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many idle connections to one host are kept.
const IDLE_MAX: usize = 64;

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A complete answer.
    Complete { status: u16, headers: Vec<(String, String)>, body: Vec<u8> },
    /// An answer whose body is longer than what is allowed.
    TooLarge { status: u16 },
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotConnected(String),
    #[error("{0}")]
    Lost(String),
}

/// One HTTP client, made when it is first needed: reading the machine's certificates takes a while.
#[derive(Default)]
pub(crate) struct HttpClient {
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl HttpClient {
    fn get(&self) -> Result<&reqwest::Client, NoAnswer> {
        let made = self.client.get_or_init(|| {
            // Another part of the process may have chosen a provider already; that one is used then.
            let _ = rustls::crypto::ring::default_provider().install_default();
            // Without certificates of the machine only plain HTTP works, and HTTPS says why not.
            build(|b| b).or_else(|_| build(|b| b.tls_certs_only([]))).map_err(|error| chain(&error))
        });
        made.as_ref().map_err(|error| NoAnswer::NotConnected(format!("the HTTP client cannot be set up: {error}")))
    }

    /// Sends one request and reads its answer to the end.
    pub(crate) async fn send(&self, request: reqwest::Request) -> Result<Answer, NoAnswer> {
        let mut response = self.get()?.execute(request).await.map_err(explain)?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), std::str::from_utf8(value.as_bytes()).ok()?.to_owned()))
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            if body.len() + chunk.len() > Limits::HTTP_BODY_MAX_BYTES {
                return Ok(Answer::TooLarge { status });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer::Complete { status, headers, body })
    }
}

fn build(adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("crossdock/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_MAX)
        .dns_resolver(PublicOnly);
    adjust(builder).build()
}

fn explain(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    if error.is_builder() {
        NoAnswer::Invalid(chain(&error))
    } else if error.is_connect() {
        NoAnswer::NotConnected(chain(&error))
    } else if error.is_timeout() {
        NoAnswer::Lost("the time for the request was over before the answer was complete".to_owned())
    } else {
        NoAnswer::Lost(chain(&error))
    }
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

/// Resolves names, and keeps only addresses that lie in the public internet. An address that a grant
/// names literally is not resolved and does not come here; neither does any other address, because the
/// grant must name it. `localhost` is a literal in this sense.
struct PublicOnly;

#[derive(Debug, Error)]
enum ResolveError {
    #[error("the name could not be resolved: {0}")]
    Failed(std::io::Error),
    #[error("the name {0} resolves only to addresses that are not public; grant the address itself to allow it")]
    NotPublic(String),
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(ResolveError::Failed)?;
            let is_local = name.trim_end_matches('.').eq_ignore_ascii_case("localhost");
            let fits = |address: &SocketAddr| {
                if is_local { address.ip().is_loopback() } else { is_public(address.ip()) }
            };
            let addresses: Vec<_> = found.filter(fits).collect();
            if addresses.is_empty() {
                return Err(ResolveError::NotPublic(name).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 240..=255, _, _) // this network, private, loopback, reserved and broadcast
            | (100, 64..=127, _) // shared address space
            | (169, 254, _) // link-local, cloud metadata
            | (172, 16..=31, _) // private
            | (192, 0, 0 | 2) // protocol assignments, documentation
            | (192, 88, 99) // 6to4 relays
            | (192, 168, _) // private
            | (198, 18..=19, _) // benchmarks
            | (198, 51, 100) | (203, 0, 113) // documentation
    );
    !special && !address.is_multicast()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(v4) = address.to_ipv4() {
        // Mapped and compatible addresses, and with them `::` and `::1`.
        return address.to_ipv4_mapped().is_some() && is_public_v4(v4);
    }
    match segments {
        // NAT64 and 6to4 carry an IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        [0x2002, high, low, ..] => is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        [0x2001, 0..=0x01ff, ..] | [0x2001, 0xdb8, ..] => false, // protocol assignments (Teredo too), documentation
        // Only 2000::/3 is global unicast; unique local, link-local and multicast lie outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(address: &str, public: bool) {
        assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
    }

    #[test]
    fn only_public_addresses_are_public() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::10.0.0.1",
            "::8.8.8.8",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "100::1",
        ] {
            check(address, false);
        }
        for address in ["1.1.1.1", "100.63.0.1", "172.32.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111"]
        {
            check(address, true);
        }
    }
}
