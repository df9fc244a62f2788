//! HTTP requests, run by the host.
//!
//! Addresses outside the grant are refused, redirects are not followed, sizes and times are capped. Secrets
//! are put on the wire by the host.
//!
//! ```no_run
//! use crossdock_sdk::http::{self, Request, Value};
//! use crossdock_sdk::{CallError, secrets};
//! # fn example() -> Result<(), CallError> {
//! let token = secrets::open("ERP_TOKEN").map_err(|error| error.for_secret("ERP_TOKEN"))?;
//! let request = Request::post("https://erp.example.com/documents")
//!     .header("authorization", Value::bearer(token))
//!     .header("content-type", "application/json")
//!     .body(r#"{"reference": "4711"}"#);
//! match http::send(request) {
//!     Ok(response) => println!("{}", response.status),
//!     Err(error) if error.may_have_been_sent() => println!("nobody knows: {error}"),
//!     Err(error) => println!("not sent: {error}"),
//! }
//! # Ok(())
//! # }
//! ```

pub use super::exchange::{HttpError, Request, Response, Value};

/// Sends one request and waits for the answer.
///
/// # Errors
/// There is no answer.
pub fn send(request: Request) -> Result<Response, HttpError> {
    let lost = || Err(HttpError::NoAnswer("the host gave no answer to the request".to_owned()));
    send_all(vec![request], 1).into_iter().next().unwrap_or_else(lost)
}

/// Sends the requests, at most `in_flight` of them at once (1 to 64; the route may allow less), and returns when all
/// are answered: one answer a request, in the order of the requests. With `in_flight` 1 they are sent strictly one
/// after the other.
#[must_use]
pub fn send_all(requests: Vec<Request>, in_flight: u32) -> Vec<Result<Response, HttpError>> {
    #[cfg(target_arch = "wasm32")]
    return wire::send(requests, in_flight);
    #[cfg(not(target_arch = "wasm32"))]
    super::fake::send(&requests, in_flight)
}

/// A request that was begun, within one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Begun(u32);

/// Begins a request and goes on: the host sends it meanwhile. What comes of it is told by [`next()`]. Waits while 64
/// requests of the call are on their way, or as many as the route allows.
///
/// ```no_run
/// use crossdock_sdk::http::{self, Request};
/// # let addresses: Vec<String> = Vec::new();
/// let mut waiting = addresses.into_iter();
/// for address in waiting.by_ref().take(8) {
///     http::begin(Request::get(address));
/// }
/// // Eight at once: as soon as one is answered, another one is begun.
/// while let Some((_, answer)) = http::next() {
///     println!("{:?}", answer.map(|response| response.status));
///     waiting.next().map(|address| http::begin(Request::get(address)));
/// }
/// ```
pub fn begin(request: Request) -> Begun {
    #[cfg(target_arch = "wasm32")]
    return Begun(wire::begin(request));
    #[cfg(not(target_arch = "wasm32"))]
    Begun(super::fake::begin(&request))
}

/// Waits until one of the requests that were begun in this call has come to its end, whichever: each is told once.
/// `None` when all were told. One that was not told when the call ends is ended with it.
#[must_use]
pub fn next() -> Option<(Begun, Result<Response, HttpError>)> {
    #[cfg(target_arch = "wasm32")]
    return wire::next().map(|(number, answer)| (Begun(number), answer));
    #[cfg(not(target_arch = "wasm32"))]
    super::fake::next().map(|(number, answer)| (Begun(number), answer))
}

#[cfg(target_arch = "wasm32")]
mod wire {
    use super::{HttpError, Request, Response, Value};
    use crate::bindings::base::crossdock::plugin::http as wit;

    pub(super) fn send(requests: Vec<Request>, in_flight: u32) -> Vec<Result<Response, HttpError>> {
        let requests: Vec<wit::Request> = requests.into_iter().map(request).collect();
        wit::send(&requests, in_flight).into_iter().map(answer).collect()
    }

    pub(super) fn begin(request: Request) -> u32 {
        wit::begin(&self::request(request))
    }

    pub(super) fn next() -> Option<(u32, Result<Response, HttpError>)> {
        wit::next().map(|(number, answer)| (number, self::answer(answer)))
    }

    fn request(request: Request) -> wit::Request {
        let Request { method, url, query, headers, body, timeout_ms, handle } = request;
        let query = query.into_iter().map(field).collect();
        let headers = headers.into_iter().map(field).collect();
        wit::Request { method, url, query, headers, body, timeout_ms, handle }
    }

    fn field((name, value): (String, Value)) -> wit::Field {
        let value = match value {
            Value::Text(text) => wit::Value::Text(text),
            Value::Secret { before, secret, after } => {
                wit::Value::Secret(wit::SecretText { before, secret: secret.handle, after })
            }
            Value::Basic { user, secret } => wit::Value::Basic(wit::BasicCredentials { user, secret: secret.handle }),
        };
        wit::Field { name, value }
    }

    fn answer(answer: Result<wit::Response, wit::HttpError>) -> Result<Response, HttpError> {
        match answer {
            Ok(wit::Response { status, headers, body }) => Ok(Response { status, headers, body }),
            Err(wit::HttpError::Invalid(why)) => Err(HttpError::Invalid(why)),
            Err(wit::HttpError::NotGranted(what)) => Err(HttpError::NotGranted(what)),
            Err(wit::HttpError::NotConnected(why)) => Err(HttpError::NotConnected(why)),
            Err(wit::HttpError::NoAnswer(why)) => Err(HttpError::NoAnswer(why)),
            Err(wit::HttpError::TooLarge(status)) => Err(HttpError::TooLarge(status)),
        }
    }
}
