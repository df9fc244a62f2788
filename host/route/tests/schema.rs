//! The published schemas are current, and agree with what reading accepts.
//!
//! `UPDATE=1 cargo test -p crossdock-route` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a test reads its cases")]

use crossdock_route::{ProjectFile, RouteFile, project_schema, route_schema};
use serde_json::{Value, json};
use std::path::Path;

fn check_current(file: &str, schema: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
    let found = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{file} is not current: run UPDATE=1 cargo test -p crossdock-route --test schema");
}

#[test]
fn the_published_schemas_are_current() {
    check_current("route.schema.json", &route_schema());
    check_current("project.schema.json", &project_schema());
}

/// Calls `visit` with every schema of an object and its place.
fn objects(value: &Value, place: &str, visit: &mut impl FnMut(&str, &Value)) {
    if value.get("properties").is_some() {
        visit(place, value);
    }
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| objects(value, &format!("{place}/{key}"), visit)),
        Value::Array(list) => list.iter().for_each(|value| objects(value, place, visit)),
        _ => {}
    }
}

#[test]
fn every_field_has_a_description_and_none_is_null() {
    for schema in [route_schema(), project_schema()] {
        let mut seen = 0;
        objects(&schema, "", &mut |place, object| {
            assert_eq!(object["additionalProperties"], json!(false), "{place} takes no other keys");
            for (key, field) in object["properties"].as_object().unwrap() {
                seen += 1;
                assert!(field["description"].as_str().is_some_and(|text| text.len() > 15), "{place}: {key}");
            }
        });
        assert!(seen >= 9, "{seen} fields were looked at");
        assert!(!schema.to_string().contains("\"null\""), "TOML has no null");
    }
}

/// Whether reading and the schema agree that a text is right, or wrong.
fn check(schema: &Value, read: impl Fn(&str) -> bool, text: &str) -> bool {
    let table: toml::Table = text.parse().unwrap();
    let valid = jsonschema::is_valid(schema, &serde_json::to_value(table).unwrap());
    assert_eq!(valid, read(text), "the schema says {valid}, reading the contrary, of\n{text}");
    valid
}

const ROUTE: &str = "name = 'r'\nMORE\n[source]\nplugin = 'p'\nSOURCE\n[[step]]\nname = 's'\nplugin = 'p'\nSTEP\n";

/// Lines that are right at a place of [`ROUTE`].
const RIGHT: &[(&str, &str)] = &[
    ("MORE", ""),
    ("MORE", "trigger = 'manual'\npriority = 'bulk'\non_error = 'continue'\nmax_failed = 3\nmax_failed_ratio = 0.5"),
    ("MORE", "max_faults = 1\nkeep_payloads = true\nrollback = 'none'\nlog = 'full'"),
    ("MORE", "batch = { records = 10000, bytes = '2MiB' }"),
    ("MORE", "max_failed_ratio = 1"),
    ("SOURCE", "settings = { a = 1, b = [true], c = { d = 1.5 } }"),
    ("SOURCE", "grants = { dirs = [{ host = 'data', guest = '/in', write = true }] }"),
    ("STEP", "grants = { dirs = [{ host = 'out', guest = '/out', write = true, bytes = '1GiB', files = 0 }] }"),
    ("SOURCE", "limits = { memory = '64MiB', call_time = '5m', cpu_time = '500ms' }"),
    ("STEP", "grants = { http = [{ origin = 'https://erp.example', addresses = ['10.0.0.0/8', 'fd00::/8'] }] }"),
    ("STEP", "grants = { http = ['https://a.example', { origin = 'https://b.example' }] }"),
    ("STEP", "grants = { http = ['http://127.0.0.1:8080'], secrets = ['A_1'], reveal = ['A_1'] }"),
    ("STEP", "retry = { attempts = 5, first = '1s', max = '5m', total = '1h' }"),
    ("MORE", "max_failed_ratio = 0.1\nmax_failed_window = 100\nrollback = 'run'\nrollback_records_max = 1"),
    ("MORE", "on_run_ok = { plugin = 'p' }\non_run_failed = { plugin = 'p', retry = { attempts = 1 } }"),
    ("SOURCE", "rate = { requests_per_second = 0.5 }"),
    ("SOURCE", "budget = { pages = 1, records = 1000000000000, bytes = '1KiB', time = '1d' }"),
    ("SOURCE", "budget = { empty_pages = 10, repeated_pages = 1 }"),
    ("STEP", "rate = { requests_per_second = 20, records_per_second = 1000000, in_flight = 256 }"),
    ("STEP", "breaker = { failures = 1, open = '1s', max = '1m', total = '2m' }"),
    ("STEP", "breaker = {}"),
    (
        "STEP",
        "on_success = { plugin = 'p' }\non_failure = { plugin = 'p', settings = { a = 1 }, grants = {}, limits = {} }",
    ),
];

/// Lines that are wrong there.
const WRONG: &[(&str, &str)] = &[
    ("MORE", "max_failed_window = 100"),
    ("MORE", "max_failed_ratio = 0.1\nmax_failed_window = 99"),
    ("MORE", "max_failed_ratio = 0.1\nmax_failed_window = 1000001"),
    ("MORE", "rollback = 'all'"),
    ("MORE", "rollback = 'run'\nrollback_records_max = 0"),
    ("MORE", "on_run_ok = {}"),
    ("MORE", "on_success = { plugin = 'p' }"),
    ("MORE", "rate = { in_flight = 1 }"),
    ("SOURCE", "rate = {}"),
    ("SOURCE", "budget = { records = 0 }"),
    ("SOURCE", "budget = { page = 1 }"),
    ("STEP", "budget = { records = 1 }"),
    ("SOURCE", "breaker = {}"),
    ("STEP", "on_run_ok = { plugin = 'p' }"),
    ("STEP", "on_failure = 'p'"),
    ("STEP", "on_failure = { plugin = 'p', name = 'n' }"),
    ("STEP", "on_failure = { plugin = 'p', rate = { in_flight = 1 } }"),
    ("STEP", "on_failure = { plugin = 'p', retry = { attempts = 0 } }"),
    ("STEP", "rate = { requests_per_second = 0 }"),
    ("STEP", "rate = { records_per_second = 1000001 }"),
    ("STEP", "rate = { in_flight = 257 }"),
    ("STEP", "rate = { in_flight = 1.5 }"),
    ("STEP", "rate = { per_second = 1 }"),
    ("STEP", "breaker = { failures = 0 }"),
    ("STEP", "breaker = { open = 10 }"),
    ("STEP", "breaker = { first = '1s' }"),
    ("MORE", "colour = 1"),
    ("MORE", "trigger = 'continuous'"),
    ("MORE", "trigger = { every = '1h' }"),
    ("MORE", "priority = 'urgent'"),
    ("MORE", "on_error = true"),
    ("MORE", "max_failed = -1"),
    ("MORE", "max_failed = '3'"),
    ("MORE", "max_failed_ratio = 1.5"),
    ("MORE", "max_faults = 0"),
    ("MORE", "keep_payloads = 'no'"),
    ("MORE", "keep_payloads = false"),
    ("MORE", "log = 'verbose'"),
    ("MORE", "batch = { records = 0 }"),
    ("MORE", "batch = { records = 10001 }"),
    ("MORE", "batch = { bytes = '2MB' }"),
    ("MORE", "batch = { items = 3 }"),
    ("SOURCE", "settings = 'x'"),
    ("SOURCE", "retry = {}"),
    ("SOURCE", "grants = { dirs = [{ host = 'data' }] }"),
    ("SOURCE", "grants = { dirs = [{ host = 'data', guest = 'in' }] }"),
    ("SOURCE", "grants = { files = [] }"),
    ("SOURCE", "grants = { dirs = [{ host = 'data', guest = '/in', bytes = '1GiB' }] }"),
    ("SOURCE", "grants = { dirs = [{ host = 'data', guest = '/in', files = 1 }] }"),
    ("STEP", "grants = { dirs = [{ host = 'out', guest = '/out', write = true, bytes = 1 }] }"),
    ("STEP", "grants = { dirs = [{ host = 'out', guest = '/out', write = true, files = -1 }] }"),
    ("STEP", "grants = { dirs = [{ host = 'out', guest = '/out', write = true, files = 1000000001 }] }"),
    ("SOURCE", "limits = { memory = 64 }"),
    ("SOURCE", "limits = { time = '1s' }"),
    ("STEP", "grants = { http = ['ftp://x'] }"),
    ("STEP", "grants = { http = ['https://x/path'] }"),
    ("STEP", "grants = { http = [7] }"),
    ("STEP", "grants = { http = [{ addresses = ['10.0.0.0/8'] }] }"),
    ("STEP", "grants = { http = [{ origin = 'https://b.example', addresses = [] }] }"),
    ("STEP", "grants = { http = [{ origin = 'https://b.example', addresses = ['corp'] }] }"),
    ("STEP", "grants = { http = [{ origin = 'https://b.example', ranges = ['10.0.0.0/8'] }] }"),
    ("STEP", "grants = { secrets = ['1A'] }"),
    ("STEP", "retry = { attempts = 0 }"),
    ("STEP", "retry = { first = '1min' }"),
    ("STEP", "retry = { tries = 1 }"),
];

#[test]
fn the_route_schema_agrees_with_reading() {
    let schema = route_schema();
    let read = |text: &str| RouteFile::parse("r.toml", text).is_ok();
    let with = |place: &str, line: &str| {
        let holes = ["MORE", "SOURCE", "STEP"].iter();
        holes.fold(ROUTE.to_owned(), |text, hole| text.replace(hole, if *hole == place { line } else { "" }))
    };
    for (lines, right) in [(RIGHT, true), (WRONG, false)] {
        for (place, line) in lines {
            assert_eq!(check(&schema, read, &with(place, line)), right, "{line}");
        }
    }
    assert!(!check(&schema, read, "name = 'r'\n[source]\nplugin = 'p'\n"));
    assert!(!check(&schema, read, "[source]\nplugin = 'p'\n[[step]]\nname = 's'\nplugin = 'p'\n"));
    assert!(!check(&schema, read, "name = 'R'\n[source]\nplugin = 'p'\n[[step]]\nname = 's'\nplugin = 'p'\n"));
}

const PUBLISHER: &str = "[publishers]\nacme = { key = 'ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=' }\n";

#[test]
fn the_project_schema_agrees_with_reading() {
    let schema = project_schema();
    let read = |text: &str| ProjectFile::parse("crossdock.toml", text).is_ok();
    let digest = "0123456789abcdef".repeat(4);
    for (text, right) in [
        ("", true),
        ("data = 'd'\n[plugins]\nmap = { path = 'map.wasm' }", true),
        (&format!("[plugins]\nmap = {{ path = 'map.wasm', digest = 'sha256:{digest}' }}"), true),
        ("[secrets]\nA = { env = 'A' }\nB = { file = 'b' }\n[limits]\nmemory = '1GiB'", true),
        ("[retention]\nok = '1h'\nsettled = '36500d'\nevents = 'never'\n[ledger]\nmax_bytes = '16MiB'", true),
        ("retention = {}\nledger = {}", true),
        ("[retention]\nok = '90'", false),
        ("[retention]\nok = '90m'", false),
        ("[retention]\nok = 'ever'", false),
        ("[retention]\npending = '90d'", false),
        ("[ledger]\nmax_bytes = 10", false),
        ("[ledger]\nbytes = '1GiB'", false),
        ("[secrets]\nA = { env = 'A', to = ['https://a.example', 'http://127.0.0.1:1'] }", true),
        ("[network]\ncertificates = ['ca.pem']", true),
        ("[network]\ncertificates = ['']", false),
        ("[network]\nproxy = 'http://p'", false),
        ("[secrets]\nA = { env = 'A', to = [] }", false),
        ("[secrets]\nA = { env = 'A', to = ['a.example'] }", false),
        ("[secrets]\nA = { to = ['https://a.example'] }", false),
        ("data = ''", false),
        ("plugins = 'map'", false),
        ("[plugins]\nmap = 'map.wasm'", false),
        ("[plugins]\nMap = { path = 'map.wasm' }", false),
        ("[plugins]\nmap = {}", false),
        ("[plugins]\nmap = { path = 'map.wasm', digest = 'sha256:0' }", false),
        ("[plugins]\nmap = { oci = 'ghcr.io/map' }", false),
        ("[plugins]\nmap = { oci = 'ghcr.io/Map:1' }", false),
        ("[plugins]\nmap = { oci = 'ghcr.io/acme/map:1.2.0' }", true),
        ("[plugins]\nmap = { oci = 'localhost:5000/map:1' }", true),
        (&format!("[plugins]\nmap = {{ oci = 'ghcr.io/map@sha256:{digest}' }}"), true),
        ("[plugins]\nmap = { oci = 'https://ghcr.io/map:1' }", false),
        ("[plugins]\nmap = { oci = 'ghcr.io/map:1', path = 'map.wasm' }", false),
        ("[plugins]\nmap = { oci = 'ghcr.io/map:1', digest = 'sha256:0' }", false),
        ("[plugins]\nmap = { url = 'https://a.example/map.wasm' }", false),
        (&format!("[plugins]\nmap = {{ url = 'https://a.example/m.wasm', digest = 'sha256:{digest}' }}"), true),
        (&format!("[plugins]\nmap = {{ url = 'https://a@b.example/m.wasm', digest = 'sha256:{digest}' }}"), false),
        (&format!("[plugins]\nmap = {{ url = 'file:///m.wasm', digest = 'sha256:{digest}' }}"), false),
        (&format!("{PUBLISHER}[plugins]\nmap = {{ path = 'map.wasm', publisher = 'acme' }}"), true),
        ("[publishers]\nacme = { key = 'ed25519:abc' }", false),
        ("[publishers]\nacme = {}", false),
        ("[registries]\n'a.example' = { user = 'u', password = 'A' }\n[secrets]\nA = { env = 'A' }", true),
        ("[registries]\n'a.example:5000' = { plain_http = true }", true),
        ("[registries]\n'a.example' = { user = 'u' }", false),
        ("[registries]\n'a.example' = { password = 'A' }\n[secrets]\nA = { env = 'A' }", false),
        ("[registries]\n'a.example' = { plain_http = 'yes' }", false),
        ("[registries]\n'a.example' = { insecure = true }", false),
        ("[secrets]\nA = 'hunter2'", false),
        ("[secrets]\nA = { value = 'hunter2' }", false),
        ("[secrets]\nA = {}", false),
        ("[secrets]\nA = { env = 'A', file = 'a' }", false),
        ("[secrets]\n'a b' = { env = 'A' }", false),
        ("[limits]\ntime = '1s'", false),
        ("[routes]", false),
    ] {
        assert_eq!(check(&schema, read, text), right, "{text}");
    }
}
