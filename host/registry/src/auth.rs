//! Being let in: what a server asks for, and tokens.

use crate::client::{Registry, host_of};
use crate::credentials::Credentials;
use crate::error::Problem;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What a server wants to be shown.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    /// User and password with each request.
    Basic,
    /// A token, which is given out there.
    Bearer { realm: String, service: Option<String> },
}

/// Requests to one server about one thing. What lets us in is found out once.
pub(crate) struct Session<'r> {
    registry: &'r Registry,
    credentials: Option<&'r Credentials>,
    /// What tokens are asked for; `None`, where none are given out.
    access: Option<String>,
    authorization: Option<HeaderValue>,
}

/// The answer to a request for a token.
#[derive(Deserialize)]
struct BearerToken {
    #[serde(default)]
    token: Option<String>,
    /// What OAuth 2 calls it.
    #[serde(default, rename = "access_token")]
    other: Option<String>,
}

impl<'r> Session<'r> {
    pub(crate) fn new(registry: &'r Registry, credentials: Option<&'r Credentials>, access: Option<String>) -> Self {
        Self { registry, credentials, access, authorization: None }
    }

    /// Whether there are credentials.
    pub(crate) fn is_known(&self) -> bool {
        self.credentials.is_some()
    }

    /// Sends a request; if it is not let in, it is sent once more with what the server asks for.
    ///
    /// # Errors
    /// When there is no answer, or no token. Any answer is none.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        url: &Url,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Problem> {
        let host = host_of(url);
        // Servers that give out no tokens often say that there is nothing, instead of asking who wants it.
        if let (None, None, Some(credentials)) = (&self.access, &self.authorization, self.credentials) {
            self.authorization = Some(secret_header(&credentials.basic(), &host)?);
        }
        let answer = self.registry.send(with(self.request(method.clone(), url)?), &host).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(answer);
        }
        // One that was redirected is asked for by somebody else.
        let asked = (host_of(answer.url()) == host).then(|| challenge(answer.headers())).flatten();
        match (asked, self.credentials) {
            (Some(Challenge::Basic), Some(credentials)) => {
                self.authorization = Some(secret_header(&credentials.basic(), &host)?);
            }
            (Some(Challenge::Bearer { realm, service }), _) if self.access.is_some() => {
                self.authorization = Some(self.token(&host, &realm, service.as_deref()).await?);
            }
            _ => return Ok(answer),
        }
        self.registry.send(with(self.request(method, url)?), &host).await
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Problem> {
        let request = self.registry.request(method, url)?;
        Ok(match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        })
    }

    async fn token(&self, host: &str, realm: &str, service: Option<&str>) -> Result<HeaderValue, Problem> {
        let wrong = |reason: &str| Problem::Answer { host: host.to_owned(), reason: reason.to_owned() };
        let mut url = Url::parse(realm).map_err(|_| wrong("that tokens are given out at what is no address"))?;
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        if let Some(access) = &self.access {
            url.query_pairs_mut().append_pair("scope", access);
        }
        let from = host_of(&url);
        let mut request = self.registry.request(Method::GET, &url)?;
        if let Some(credentials) = self.credentials {
            request = request.header(AUTHORIZATION, secret_header(&credentials.basic(), &from)?);
        }
        let answer = self.registry.send(request, &from).await?;
        if !answer.status().is_success() {
            return Err(self.registry.refused(answer, self.is_known()).await);
        }
        let text = Zeroizing::new(self.registry.read(answer, self.registry.limits.answer_max_bytes).await?);
        let no_token =
            || Problem::Answer { host: from.clone(), reason: "a request for a token without one".to_owned() };
        let token: BearerToken = serde_json::from_slice(&text).map_err(|_| no_token())?;
        let token = Zeroizing::new(token.token.or(token.other).ok_or_else(no_token)?);
        secret_header(&Zeroizing::new(format!("Bearer {}", token.as_str())), &from)
    }
}

fn secret_header(text: &str, host: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(text).map_err(|_| Problem::Answer {
        host: host.to_owned(),
        reason: "with something to be let in by that no header can hold".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a server asks for: a token, if it gives them out.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let mut basic = None;
    for text in asked {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let mut parameters = parameters(rest);
            if let Some(realm) = parameters.remove("realm") {
                return Some(Challenge::Bearer { realm, service: parameters.remove("service") });
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

/// Where the value of a header says that tokens are given out.
pub(crate) fn asks_for_token(header: &str) -> Option<String> {
    let value = HeaderValue::from_str(header).ok()?;
    match challenge(&HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]))? {
        Challenge::Bearer { realm, .. } => Some(realm),
        Challenge::Basic => None,
    }
}

/// `name=value, name="value"`: what is between quotes may hold commas.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches(|c: char| c == ',' || c.is_whitespace()).to_ascii_lowercase();
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(name, value.trim().to_owned());
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(headers: &[&str], expected: Option<Challenge>) {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(challenge(&map), expected, "{headers:?}");
    }

    #[test]
    fn what_servers_ask_for() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        let full = r#"Bearer realm="https://auth.example/token",service="a, b",scope="repository:x:pull""#;
        check(&[full], bearer("https://auth.example/token", Some("a, b")));
        check(&["Basic realm=\"x\"", full], bearer("https://auth.example/token", Some("a, b")));
        check(&["bearer realm=https://auth.example/token"], bearer("https://auth.example/token", None));
        check(&["Basic realm=\"x\""], Some(Challenge::Basic));
        check(&["Basic"], Some(Challenge::Basic));
        check(&["Bearer service=\"x\""], None);
        check(&["Bearer realm=\"https://a"], bearer("https://a", None));
        check(&["Digest realm=\"x\""], None);
        check(&[], None);
    }
}
