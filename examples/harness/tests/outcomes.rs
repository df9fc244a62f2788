//! The harness at work, with plugins of this repository.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crossdock_devkit::plugins;

#[test]
fn a_transformer_is_loaded_and_its_outcomes_looked_at() {
    let found = harness::renamed(&plugins().unwrap().path("map").unwrap()).unwrap();
    assert_eq!(found, [r#"ok {"buyer":"ann"}"#, "rejected "]);
}

#[test]
fn a_destination_talks_to_a_system_that_is_not_there() {
    let found = harness::posted(&plugins().unwrap().path("http-destination").unwrap()).unwrap();
    assert_eq!(found, ["ok ", "rejected no such customer"]);
}
