//! The ERP is unavailable for a while.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Shop};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENT: &str = "retry = { attempts = 100, first = \"10ms\", max = \"200ms\", total = \"10m\" }";

/// The faults pass, and every purchase is booked in the same run.
#[track_caller]
fn check(faults: &Value, retry: &str, took_min_ms: u64) {
    let all = || -> Result<()> {
        let shop = Shop::open(Lines::First(40))?;
        shop.replace_line("retry = ", retry)?;
        shop.faults(faults)?;
        let run = shop.run_json()?.exits(0).json()?;
        assert_eq!(run["status"], "ok");
        assert!(run["took_ms"].as_u64() >= Some(took_min_ms), "{run}");
        shop.books()?.hold(shop.worthwhile());
        assert_eq!(shop.records(&["--status", "pending"])?, [""; 0]);
        shop.verify()
    };
    if let Err(error) = all() {
        panic!("{faults}: {error:?}");
    }
}

#[test]
fn unavailable_a_few_times() {
    check(&json!([{ "answer": 503, "times": 3 }]), PATIENT, 0);
    check(&json!([{ "answer": 503, "every": 7, "times": 9 }]), PATIENT, 0);
}

#[test]
fn too_many_requests_and_a_time_to_wait() {
    // The wait that the ERP asks for counts, though the route would try again much sooner.
    let retry = "retry = { attempts = 10, first = \"10ms\", max = \"5s\", total = \"5m\" }";
    check(&json!([{ "answer": 429, "retry_after_s": 1, "times": 1 }]), retry, 1_000);
}

#[test]
fn down_at_the_beginning_and_back() -> Result<()> {
    let mut shop = Shop::open(Lines::First(40))?;
    let breaker = "breaker = { failures = 5, open = \"50ms\", max = \"200ms\", total = \"10m\" }";
    shop.replace_line("retry = ", &format!("{PATIENT}\n{breaker}"))?;
    shop.stop_erp()?;
    let mut run = shop.start(&["run", "routes/cdnow.toml"])?;
    // Reports need no lock: another process looks while the route runs.
    loop {
        if shop.has_ledger() && shop.crossdock(&["events"])?.stdout.contains("http-not-connected") {
            break;
        }
        assert!(!run.ends_within(Duration::from_millis(20)), "{}", run.finish()?.all());
    }
    shop.start_erp()?;
    let _ = run.finish()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

#[test]
fn given_up_when_the_attempts_are_used_up() -> Result<()> {
    let shop = Shop::open(Lines::First(20))?;
    shop.replace_line("retry = ", "retry = { attempts = 3, first = \"1ms\", max = \"5ms\", total = \"1m\" }")?;
    let id = shop.worthwhile().nth(9).context("too few")?.id.clone();
    shop.faults(&json!([{ "references": [id], "answer": 503 }]))?;
    let _ = shop.run()?.exits(4);
    assert_eq!(shop.ids("failed")?, std::slice::from_ref(&id));
    assert_eq!(shop.books()?.posts(Some(&id)).len(), 3);
    let record = shop.json(&["record", &id])?;
    let outcomes: Vec<_> =
        record["attempts_made"].as_array().into_iter().flatten().map(|a| a["outcome"].clone()).collect();
    assert_eq!(outcomes, ["retryable", "retryable", "retryable"]);
    shop.lift_faults()?;
    let _ = shop.crossdock(&["resync", "--record", &id, "--yes"])?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}
