//! The client: TLS, where requests may go, and how much of an answer is taken.

use crate::error::{Problem, RegistryError};
use crate::limits::Limits;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use rustls::ClientConfig as TlsConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;
use std::collections::BTreeSet;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// The most characters of what a server says that are repeated.
const SAID_MAX_CHARS: usize = 200;
/// The most memory that is taken for an answer before it comes.
const RESERVED_MAX_BYTES: u64 = 1 << 20;

/// How a [`Registry`] is reached.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// Texts in PEM with certificates of authorities that are trusted beside those of the machine.
    pub certificates: Vec<Vec<u8>>,
    /// Hosts, with their ports if these are not the usual ones, that may be spoken to without TLS. This machine may be
    /// in any case.
    pub plain_http: BTreeSet<String>,
    /// What everything may take.
    pub limits: Limits,
}

/// A client of registries and of servers that have plugins at URLs.
#[derive(Debug, Clone)]
pub struct Registry {
    client: reqwest::Client,
    plain: Arc<BTreeSet<String>>,
    pub(crate) limits: Limits,
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Error)]
#[error("to {to}: {reason}")]
struct Refused {
    host: String,
    to: String,
    reason: &'static str,
}

impl Registry {
    /// Makes a client. Connects to nothing.
    ///
    /// # Errors
    /// When a text holds no certificate, or the machine's own cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, RegistryError> {
        let doing = "setting up TLS for registries";
        let setup = |reason: &dyn std::fmt::Display| Problem::Setup { reason: reason.to_string() }.when(doing);
        let mut roots = Vec::new();
        for text in &config.certificates {
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
            roots.extend(found.map_err(|error| setup(&error))?);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Verifier::new_with_extra_roots(roots, provider.clone()).map_err(|error| setup(&error))?;
        let mut tls = TlsConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(&error))?
            .dangerous()
            // The verifier of the platform; nothing of what it checks is left out.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let plain = Arc::new(config.plain_http);
        let limits = config.limits;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirects(Arc::clone(&plain), limits.redirects_max))
            .connect_timeout(Duration::from_millis(limits.connect_time_max_ms))
            .read_timeout(Duration::from_millis(limits.wait_max_ms))
            .user_agent(concat!("crossdock/", env!("CARGO_PKG_VERSION")))
            // A digest is of what is sent, not of what could be unpacked from it.
            .build()
            .map_err(|error| setup(&chain(&error)))?;
        Ok(Self { client, plain, limits })
    }

    /// Whether a host may be spoken to without TLS.
    pub(crate) fn may_be_plain(&self, url: &Url) -> bool {
        may_be_plain(url, &self.plain)
    }

    /// A request, if it may be sent there.
    ///
    /// # Errors
    /// When it would go without TLS where it must not, or is not for the web at all.
    pub(crate) fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Problem> {
        match url.scheme() {
            "https" => {}
            "http" if self.may_be_plain(url) => {}
            _ => return Err(Problem::PlainHttp { host: host_of(url) }),
        }
        Ok(self.client.request(method, url.clone()))
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn send(&self, request: RequestBuilder, host: &str) -> Result<Response, Problem> {
        request.send().await.map_err(|error| lost(host, error))
    }

    /// Reads an answer to its end.
    ///
    /// # Errors
    /// When it is longer than this, or ends early.
    pub(crate) async fn read(&self, mut answer: Response, max_bytes: u64) -> Result<Vec<u8>, Problem> {
        let host = host_of(answer.url());
        let declared = answer.content_length();
        if let Some(found) = declared.filter(|declared| *declared > max_bytes) {
            return Err(Problem::TooLarge { found_bytes: Some(found), max_bytes });
        }
        let expected = declared.unwrap_or_default().min(RESERVED_MAX_BYTES);
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
        while let Some(chunk) = answer.chunk().await.map_err(|error| lost(&host, error))? {
            if bytes.len() as u64 + chunk.len() as u64 > max_bytes {
                return Err(Problem::TooLarge { found_bytes: None, max_bytes });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What an answer means that is not the one that was hoped for.
    pub(crate) async fn refused(&self, answer: Response, known: bool) -> Problem {
        let (host, status) = (host_of(answer.url()), answer.status());
        let said = self.read(answer, self.limits.answer_max_bytes).await.unwrap_or_default();
        let said = in_short(status, &said);
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Problem::NotFound { host, said },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Problem::Unauthorized { host, known, said },
            _ => Problem::Answer { host, reason: said },
        }
    }

    /// Does something within the time that everything together may take.
    ///
    /// # Errors
    /// What it answers, or that the time is over.
    pub(crate) async fn within<T>(
        &self,
        host: &str,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let time = Duration::from_millis(self.limits.time_max_ms);
        tokio::time::timeout(time, work).await.unwrap_or_else(|_| {
            let reason = format!("took longer than {} s for everything", self.limits.time_max_ms / 1000);
            Err(Problem::Unreachable { host: host.to_owned(), reason })
        })
    }
}

fn redirects(plain: Arc<BTreeSet<String>>, redirects_max: usize) -> Policy {
    Policy::custom(move |attempt: Attempt<'_>| {
        let from_tls = attempt.previous().iter().any(|url| url.scheme() == "https");
        let reason = match attempt.url().scheme() {
            _ if attempt.previous().len() > redirects_max => "there were too many redirects before",
            "https" => return attempt.follow(),
            "http" if from_tls => "this would go on without TLS",
            "http" if may_be_plain(attempt.url(), &plain) => return attempt.follow(),
            "http" => "it may not be spoken to without TLS",
            _ => "that is no address of a server",
        };
        let host = attempt.previous().last().map(host_of).unwrap_or_default();
        let to = shown(attempt.url());
        attempt.error(Refused { host, to, reason })
    })
}

fn may_be_plain(url: &Url, plain: &BTreeSet<String>) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback()) || plain.contains(&host_of(url))
}

/// Host and port, as far as it is not the usual one.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An address without what may be credentials: user, password, query.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), host_of(url), url.path())
}

/// Why there is no answer, or no end of it.
fn lost(host: &str, error: reqwest::Error) -> Problem {
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(Refused { host, to, reason }) = inner.downcast_ref::<Refused>() {
            return Problem::Redirect { host: host.clone(), to: to.clone(), reason };
        }
        cause = inner.source();
    }
    let reason = match () {
        () if error.is_timeout() && error.is_connect() => "did not accept a connection in time".to_owned(),
        () if error.is_timeout() => "did not answer in time".to_owned(),
        () if error.is_connect() => format!("could not be reached: {}", chain(&error)),
        () if error.is_body() || error.is_decode() => format!("stopped in the middle of its answer: {}", chain(&error)),
        () => format!("gave no answer: {}", chain(&error)),
    };
    Problem::Unreachable { host: host.to_owned(), reason }
}

/// The innermost reasons of an error: the outer ones say only that there is one.
fn chain(error: &reqwest::Error) -> String {
    let mut reasons = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        reasons.push(inner.to_string());
        cause = inner.source();
    }
    match reasons.pop() {
        Some(reason) => line(&reason),
        None => line(&error.to_string()),
    }
}

/// A status, and what the server says about it: registries answer with a list of errors in JSON.
fn in_short(status: StatusCode, said: &[u8]) -> String {
    let errors = serde_json::from_slice::<serde_json::Value>(said).unwrap_or_default();
    let first = &errors["errors"][0];
    let words = [&first["code"], &first["message"]].into_iter().filter_map(|word| word.as_str());
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(line).collect();
    if words.is_empty() { status.to_string() } else { format!("{status} ({})", words.join(": ")) }
}

/// A text from elsewhere as one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    let fits = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_MAX_CHARS);
    fits.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn who_may_be_spoken_to_without_tls() {
        let plain = BTreeSet::from(["registry.corp:5000".to_owned()]);
        let check = |url: &str| may_be_plain(&Url::parse(url).unwrap(), &plain);
        for url in ["http://127.0.0.1:1/", "http://127.9.9.9/", "http://localhost:5000/v2/", "http://[::1]:5000/"] {
            assert!(check(url), "{url}");
        }
        assert!(check("http://registry.corp:5000/v2/"));
        for url in
            ["http://registry.corp/", "http://127.0.0.1.example/", "http://localhost.example/", "http://10.0.0.1/"]
        {
            assert!(!check(url), "{url}");
        }
    }

    #[test]
    fn what_servers_say_is_one_short_line() {
        let said = br#"{"errors":[{"code":"DENIED","message":"not\nallowed \u001b[31m"}]}"#;
        assert_eq!(in_short(StatusCode::FORBIDDEN, said), "403 Forbidden (DENIED: not allowed  [31m)");
        assert_eq!(in_short(StatusCode::BAD_GATEWAY, b"<html>"), "502 Bad Gateway");
        assert_eq!(line(&"x".repeat(1000)).len(), SAID_MAX_CHARS);
    }

    #[test]
    fn addresses_are_shown_without_credentials() {
        let url = Url::parse("https://user:word@cdn.example:8443/a/b?signature=abc#x").unwrap();
        assert_eq!(shown(&url), "https://cdn.example:8443/a/b");
    }
}
