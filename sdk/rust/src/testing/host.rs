//! Setting up what the plugin asks of its host.

use crate::http::{HttpError, Request, Response, Value};
use crate::imports::fake::{self, FakeSecret};
use crate::log::Level;
use std::cell::RefCell;
use std::rc::Rc;

/// Forgets everything that was set up or seen in this thread. Test threads are fresh, so only a test that
/// runs several cases needs it.
pub fn reset() {
    fake::reset();
}

/// Sets the clock. It stands still; 0 unless told.
pub fn now_ms(now: u64) {
    fake::with(|host| host.now_ms = now);
}

/// Sets the time that is left of each call. It stands still; 30,000 unless told.
pub fn remaining_ms(left: u64) {
    fake::with(|host| host.remaining_ms = left);
}

/// Sets whether the run was asked to stop.
pub fn cancelled(cancelled: bool) {
    fake::with(|host| host.cancelled = cancelled);
}

/// Answers all requests by a function. Until then no address is granted.
pub fn http(server: impl FnMut(&Request) -> Result<Response, HttpError> + 'static) {
    fake::with(|host| host.server = Some(Rc::new(RefCell::new(server))));
}

/// How many requests each call of `send_all` allowed to be in flight, and each of `begin` found begun and not told, itself
/// among them; in order.
#[must_use]
pub fn in_flight() -> Vec<u32> {
    fake::with(|host| host.in_flight.clone())
}

/// Grants a secret.
pub fn secret(name: &str, value: &str) {
    grant(name, value, false);
}

/// Grants a secret that the plugin may also see.
pub fn revealed_secret(name: &str, value: &str) {
    grant(name, value, true);
}

fn grant(name: &str, value: &str, revealed: bool) {
    let secret = FakeSecret { name: name.to_owned(), value: value.as_bytes().to_vec(), revealed };
    fake::with(|host| host.secrets.push(secret));
}

/// What stands on the wire for a header or query value, secrets included. Basic credentials are not encoded.
#[must_use]
pub fn rendered(value: &Value) -> String {
    let reveal = |secret: crate::secrets::Secret| {
        fake::with(|host| {
            let known = host.secrets.get(secret.handle() as usize);
            known.map(|known| String::from_utf8_lossy(&known.value).into_owned()).unwrap_or_default()
        })
    };
    match value {
        Value::Text(text) => text.clone(),
        Value::Secret { before, secret, after } => format!("{before}{}{after}", reveal(*secret)),
        Value::Basic { user, secret } => format!("Basic {user}:{}", reveal(*secret)),
    }
}

/// The messages that the plugin wrote, in order.
#[must_use]
pub fn messages() -> Vec<(Level, String)> {
    fake::with(|host| host.messages.clone())
}

/// The sum of a counter.
#[must_use]
pub fn counter(name: &str) -> u64 {
    fake::with(|host| host.counters.get(name).copied().unwrap_or_default())
}

/// The last value of a gauge, if it was ever set.
#[must_use]
pub fn gauge(name: &str) -> Option<f64> {
    fake::with(|host| host.gauges.get(name).copied())
}

/// The value of a key of the plugin's state.
#[must_use]
pub fn state(key: &str) -> Option<Vec<u8>> {
    fake::with(|host| host.state.get(key).cloned())
}

/// Sets a key of the plugin's state, as an earlier call would have left it.
pub fn set_state(key: &str, value: impl Into<Vec<u8>>) {
    fake::with(|host| host.state.insert(key.to_owned(), value.into()));
}
