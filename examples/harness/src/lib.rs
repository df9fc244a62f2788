//! How a test harness loads a plugin and looks at what becomes of records: no files, no network, no project.
//!
//! **Does**: gives a transformer and a destination a few records each, and tells the outcomes.
//! **May touch**: the plugins' files that it is given.
//! **Never**: the network: requests are answered by the case.

use crossdock_testkit::{Case, Kit, KitError};
use std::path::Path;

/// What the plugin `map` makes of two orders: the first is renamed, the second has no customer.
///
/// # Errors
/// When the plugin cannot be loaded.
pub fn renamed(map: &Path) -> Result<Vec<String>, KitError> {
    let case = Case::new(r#"{ "fields": { "buyer": "/customer" } }"#)?
        .record("A-1", r#"{"customer":"ann"}"#)
        .record("A-2", r#"{"cents":99}"#);
    let outcome = Kit::new()?.load(map)?.run(&case)?;
    Ok(outcome.answers.iter().map(|answer| format!("{} {}", answer.outcome.as_str(), answer.text())).collect())
}

/// What the plugin `http-destination` says of two orders, of which the other system takes the first.
///
/// # Errors
/// When the plugin cannot be loaded.
pub fn posted(http_destination: &Path) -> Result<Vec<String>, KitError> {
    let settings =
        r#"{ "base": "https://erp.example.com", "path": "/orders/{{ id }}", "method": "PUT", "upsert": true }"#;
    let case = Case::new(settings)?
        .exchange("PUT", "https://erp.example.com/orders/A-1", 204, "")
        .exchange("PUT", "https://erp.example.com/orders/A-2", 422, "no such customer")
        .record("A-1", r#"{"customer":"ann"}"#)
        .record("A-2", r#"{"customer":"bob"}"#);
    let outcome = Kit::new()?.load(http_destination)?.run(&case)?;
    let told = |failure: crossdock_testkit::Failure| failure.detail.unwrap_or(failure.message);
    let answers = outcome.answers.into_iter();
    Ok(answers
        .map(|answer| format!("{} {}", answer.outcome.as_str(), answer.failure.map(told).unwrap_or_default()))
        .collect())
}
