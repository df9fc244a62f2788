//! The figures in SECURITY.md are those that hold.

use crossdock_sandbox::{CompileLimits, Limits};

const PAGE: &str = include_str!("../../../../SECURITY.md");

/// The row of a limit says this.
fn check(name: &str, figure: &str) {
    let row = PAGE.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    let row = row.unwrap_or_else(|| panic!("SECURITY.md has no row for {name}"));
    assert_eq!(row.split('|').nth(2).map(str::trim), Some(figure), "SECURITY.md says of {name}: {row}");
}

/// With a comma before every three digits.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn bytes(value: u64) -> String {
    match value {
        _ if value.is_multiple_of(1 << 30) => format!("{} GiB", number(value >> 30)),
        _ if value.is_multiple_of(1 << 20) => format!("{} MiB", number(value >> 20)),
        _ => format!("{} KiB", number(value >> 10)),
    }
}

#[test]
fn the_page_says_what_holds() {
    let limits = Limits::default();
    let compile = CompileLimits::default();
    check("memory_max_bytes", &bytes(limits.memory_max_bytes));
    check("MEMORY_TOTAL_MAX_BYTES", &bytes(Limits::MEMORY_TOTAL_MAX_BYTES));
    check("call_time_max_ms", &number(limits.call_time_max_ms));
    check("cpu_time_max_ms", &number(limits.cpu_time_max_ms));
    check("boundary_max_bytes", &bytes(limits.boundary_max_bytes as u64));
    check("stderr_max_bytes", &bytes(limits.stderr_max_bytes as u64));
    check("http_in_flight_max", &number(limits.http_in_flight_max.into()));
    check("http_requests_max", &number(limits.http_requests_max.into()));
    check("http_wait_max_ms", &number(limits.http_wait_max_ms));
    check("HTTP_BODY_MAX_BYTES", &bytes(Limits::HTTP_BODY_MAX_BYTES as u64));
    check("STACK_MAX_BYTES", &bytes(Limits::STACK_MAX_BYTES as u64));
    check("RESOURCES_MAX", &number(Limits::RESOURCES_MAX as u64));
    check("HANDLES_MAX", &number(Limits::HANDLES_MAX as u64));
    check("PARTS_MAX", &number(Limits::PARTS_MAX as u64));
    check("PLUGIN_MAX_BYTES", &bytes(Limits::PLUGIN_MAX_BYTES));
    check("INSTANCES_MAX", &number(Limits::INSTANCES_MAX));
    check("compile.memory_max_bytes", &bytes(compile.memory_max_bytes));
    check("compile.cpu_time_max_s", &number(compile.cpu_time_max_s));
    check("compile.time_max_s", &number(compile.time_max_s));
    check("compile.code_max_bytes", &bytes(compile.code_max_bytes));
    assert!(PAGE.contains(&format!("every {} ms", Limits::TICK_MS)), "SECURITY.md says how often a plugin gives way");
}
