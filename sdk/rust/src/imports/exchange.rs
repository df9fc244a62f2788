//! HTTP requests and answers.

use super::kinds::Secret;
use crate::failure::Failure;
use crate::record::Record;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// The value of a header or query field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Text(String),
    /// Text with a secret in it.
    Secret {
        /// In front of the secret.
        before: String,
        /// The secret.
        secret: Secret,
        /// After it.
        after: String,
    },
    /// `Basic ` and the base64 of `user:secret`.
    Basic {
        /// The user.
        user: String,
        /// The password.
        secret: Secret,
    },
}

impl Value {
    /// Just the secret.
    #[must_use]
    pub fn secret(secret: Secret) -> Self {
        Self::Secret { before: String::new(), secret, after: String::new() }
    }

    /// `Bearer ` and the secret.
    #[must_use]
    pub fn bearer(secret: Secret) -> Self {
        Self::Secret { before: "Bearer ".to_owned(), secret, after: String::new() }
    }

    /// HTTP Basic credentials with the secret as password.
    #[must_use]
    pub fn basic(user: impl Into<String>, secret: Secret) -> Self {
        Self::Basic { user: user.into(), secret }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A request to send.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// Fields added to the query of the URL.
    pub query: Vec<(String, Value)>,
    /// The headers.
    pub headers: Vec<(String, Value)>,
    /// The body.
    pub body: Vec<u8>,
    /// From sending to the last byte of the answer, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// The handle of the record that it is made for.
    pub handle: Option<u32>,
}

impl Request {
    /// A request with an HTTP method in capitals and an absolute URL of at most 8 KiB.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
            handle: None,
        }
    }

    /// A GET request.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST request.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A PUT request.
    pub fn put(url: impl Into<String>) -> Self {
        Self::new("PUT", url)
    }

    /// A DELETE request.
    pub fn delete(url: impl Into<String>) -> Self {
        Self::new("DELETE", url)
    }

    /// Adds a field to the query; the host encodes it.
    pub fn query(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header. `host`, `content-length`, `connection` and other hop-by-hop headers are refused.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the time from sending to the last byte of the answer. 30 seconds unless told; never more than what is left
    /// of the call's own time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = Some(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Says for which record it is made: puts the exchange into the record's history.
    pub fn for_record(self, record: &Record<'_>) -> Self {
        self.handle(record.handle())
    }

    /// The same by the record's handle, for records to undo.
    pub fn handle(mut self, handle: u32) -> Self {
        self.handle = Some(handle);
        self
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Header names in lower case; values that are not UTF-8 are left out.
    pub headers: Vec<(String, String)>,
    /// At most 4 MiB after decompression.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer with a status and a body, for tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The same with a header, for tests.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// The first header of this name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is no JSON, or of another shape than `T` expects.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// Not sent: malformed URL, method or header.
    Invalid(String),
    /// Not sent: the grant does not cover this address.
    NotGranted(String),
    /// Not sent: the address could not be resolved, or no connection was made.
    NotConnected(String),
    /// Possibly sent, and no complete answer came: the connection was lost or the time was over.
    NoAnswer(String),
    /// Sent, and the answer, whose status this is, was larger than what is allowed.
    TooLarge(u16),
}

impl HttpError {
    /// Whether the other side may have done something.
    #[must_use]
    pub fn may_have_been_sent(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::TooLarge(_))
    }

    /// A stable code for a failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "http-invalid-request",
            Self::NotGranted(_) => "http-not-granted",
            Self::NotConnected(_) => "http-not-connected",
            Self::NoAnswer(_) => "http-no-answer",
            Self::TooLarge(_) => "http-answer-too-large",
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(f, "the request is malformed: {why}"),
            Self::NotGranted(what) => write!(f, "the grant does not cover this address: {what}"),
            Self::NotConnected(why) => write!(f, "no connection was made: {why}"),
            Self::NoAnswer(why) => write!(f, "the request may have been sent, and no complete answer came: {why}"),
            Self::TooLarge(status) => write!(f, "the answer, with status {status}, is larger than allowed"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
