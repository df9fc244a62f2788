//! From a request as a plugin wrote it to one that may be sent: everything is looked at before anything goes out.

use super::{Checked, Going};
use crate::bindings::imports::http::{Field, HttpError, Request, Value};
use crate::grants::Origin;
use crate::host::Host;
use crate::text::PluginText;
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Position, Url};

/// The longest URL, with its query.
const URL_MAX_BYTES: usize = 8 << 10;
/// The longest URL once the query fields are in it, each byte of which may become three.
const URL_WHOLE_MAX_BYTES: usize = 64 << 10;
/// Query fields, and headers, of one request.
const FIELDS_MAX: usize = 128;
/// One header or query value.
const VALUE_MAX_BYTES: usize = 16 << 10;
/// All headers of a request together.
const HEADERS_MAX_BYTES: usize = 64 << 10;
/// How much of an error is kept.
pub(super) const ERROR_MAX_BYTES: usize = 512;

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

/// Where a value is put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Query,
    Header,
}

impl Host {
    pub(super) fn check_request(&self, request: Request) -> Result<Checked, HttpError> {
        let invalid = |text: String| HttpError::Invalid(self.line(&text));
        let known = |m: &str| matches!(m, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS");
        let method = Some(&request.method)
            .filter(|m| known(m))
            .and_then(|m| Method::from_bytes(m.as_bytes()).ok())
            .ok_or_else(|| invalid(format!("{:?} is not a method that can be sent", request.method)))?;
        if request.query.len() > FIELDS_MAX || request.headers.len() > FIELDS_MAX {
            return Err(invalid(format!("more than {FIELDS_MAX} headers or query fields")));
        }
        let mut url = parse(&request.url).map_err(invalid)?;
        let origin = Origin::of(&url)
            .ok_or_else(|| invalid("the URL must begin with http:// or https:// and name a host".to_owned()))?;
        let Some(door) = self.identity.doors.find(&origin) else {
            return Err(HttpError::NotGranted(self.line(&format!("the grant does not cover {origin}"))));
        };
        let shown = self.line(&format!("{origin}{}", url.path()));
        if !request.query.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for field in &request.query {
                let value = String::from_utf8(self.value(field, In::Query, &origin)?)
                    .map_err(|_| invalid(format!("the value of the query field {:?} is not UTF-8", field.name)))?;
                pairs.append_pair(&field.name, &value);
            }
        }
        let headers = self.headers(&request.headers, &origin)?;
        let record = request
            .handle
            .map(|handle| {
                self.position(handle).ok_or_else(|| invalid(format!("{handle} is not a handle of this batch")))
            })
            .transpose()?;
        let target = &url[Position::BeforePath..Position::AfterQuery];
        if target.len() > URL_WHOLE_MAX_BYTES {
            return Err(invalid(format!("the URL with its query fields is longer than {URL_WHOLE_MAX_BYTES} bytes")));
        }
        let mut sent = hyper::Request::builder()
            .method(method)
            .uri(target)
            .body(Full::new(Bytes::from(request.body)))
            .map_err(|_| invalid("the path or the query holds characters that cannot be sent".to_owned()))?;
        *sent.headers_mut() = headers;
        Ok(Checked {
            going: Going { request: sent, door, timeout_ms: request.timeout_ms },
            record,
            method: request.method,
            url: shown,
        })
    }

    fn headers(&self, fields: &[Field], origin: &Origin) -> Result<HeaderMap, HttpError> {
        let invalid = |text: String| HttpError::Invalid(self.line(&text));
        let mut headers = HeaderMap::new();
        let mut sum = 0;
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes())
                .map_err(|_| invalid(format!("{:?} is not a header name", field.name)))?;
            if REFUSED_HEADERS.contains(&name.as_str()) {
                return Err(invalid(format!("the header {name} is the host's own business")));
            }
            let value = self.value(field, In::Header, origin)?;
            sum += name.as_str().len() + value.len();
            if sum > HEADERS_MAX_BYTES {
                return Err(invalid(format!("the headers have more than {HEADERS_MAX_BYTES} bytes")));
            }
            let mut value = HeaderValue::from_bytes(&value)
                .map_err(|_| invalid(format!("the value of the header {name} holds characters that cannot be sent")))?;
            value.set_sensitive(!matches!(field.value, Value::Text(_)));
            headers.append(name, value);
        }
        Ok(headers)
    }

    /// The bytes of a value, with the secret in its place.
    fn value(&self, field: &Field, place: In, origin: &Origin) -> Result<Vec<u8>, HttpError> {
        let value = match &field.value {
            Value::Text(text) => text.clone().into_bytes(),
            Value::Secret(text) => {
                let secret = self.secret_for(text.secret, field, origin)?;
                if place == In::Header && secret.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                    let name = self.secret_name(text.secret);
                    return Err(HttpError::Invalid(self.line(&format!(
                        "the secret {name} holds a line break or another control character and cannot stand in a \
                         header: mend its value"
                    ))));
                }
                [text.before.as_bytes(), &secret, text.after.as_bytes()].concat()
            }
            Value::Basic(basic) => {
                if basic.user.contains(':') || basic.user.chars().any(char::is_control) {
                    let text = "a user's name with a colon or a control character cannot stand in Basic credentials";
                    return Err(HttpError::Invalid(text.to_owned()));
                }
                let pair = [basic.user.as_bytes(), b":", &self.secret_for(basic.secret, field, origin)?].concat();
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)).into_bytes()
            }
        };
        if value.len() > VALUE_MAX_BYTES {
            let text = format!("the value of {:?} has more than {VALUE_MAX_BYTES} bytes", field.name);
            return Err(HttpError::Invalid(self.line(&text)));
        }
        Ok(value)
    }

    /// The value of a secret, if it may be sent to this origin.
    fn secret_for(
        &self,
        handle: u32,
        field: &Field,
        origin: &Origin,
    ) -> Result<crate::secret_values::Value, HttpError> {
        let unknown = || HttpError::Invalid(self.line(&format!("{:?} names a secret that was not opened", field.name)));
        let position = self.secret(handle).ok_or_else(unknown)?;
        let identity = &self.identity;
        if let Some(why) = identity.bindings.refuses(position, origin, identity.doors.len()) {
            return Err(HttpError::NotGranted(self.line(&why)));
        }
        self.secret_value(handle).ok_or_else(unknown)
    }

    fn secret_name(&self, handle: u32) -> &str {
        self.secret(handle).map_or("", |position| self.identity.bindings.name(position))
    }

    pub(super) fn line(&self, text: &str) -> String {
        PluginText::line(text, ERROR_MAX_BYTES, &self.identity.secrets.redactor()).into_string()
    }
}

/// A URL as it is meant: parsed once, and everything after works with what came of it.
fn parse(written: &str) -> Result<Url, String> {
    if written.len() > URL_MAX_BYTES {
        return Err(format!("the URL has {} bytes, {URL_MAX_BYTES} are allowed", written.len()));
    }
    // The standard has them left out or turned into something else, and others read them in their own ways.
    if written.chars().any(|c| c.is_control() || c == '\\') || written.trim() != written {
        return Err("the URL holds control characters, a backslash, or blanks around it".to_owned());
    }
    let mut url = Url::parse(written).map_err(|error| format!("the URL does not parse: {error}"))?;
    // An empty name in front of an `@` is no more to be seen in what came of it.
    let authority = written.split("//").nth(1).unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() || authority.contains('@') {
        return Err("the URL must not hold credentials".to_owned());
    }
    url.set_fragment(None);
    Ok(url)
}
