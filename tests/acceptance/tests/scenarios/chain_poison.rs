//! A record that kills the process each time: it is found, left out with its reason, and the others pass.

use anyhow::Result;
use crossdock_acceptance::{Chain, until};
use serde_json::json;

/// After so many deaths nobody would go on hoping.
const DEATHS_MAX: usize = 12;

#[test]
fn an_order_that_kills_the_process_each_time_is_left_out() -> Result<()> {
    let chain = Chain::open(15)?;
    let deadly = chain.id(6).to_owned();
    // Whenever payment is about to answer for it, the process dies.
    chain.payment.faults(&json!([{ "references": [deadly], "method": "POST", "delay_ms": 400 }]))?;
    let mut deaths = 0;
    loop {
        let before = chain.ledgers()?.story(&deadly).iter().filter(|what| what.starts_with("payment")).count();
        let mut run = chain.start_run()?;
        let sent =
            || Ok(chain.ledgers()?.story(&deadly).iter().filter(|what| what.starts_with("payment")).count() > before);
        if !until(&mut run, sent)? {
            let outcome = run.finish()?;
            assert_eq!(outcome.code, 5, "a person is called\n{}", outcome.all());
            break;
        }
        assert!(run.kill()?);
        deaths += 1;
        assert!(deaths < DEATHS_MAX, "it still is sent after {deaths} deaths");
    }
    let page = chain.crossdock(&["record", &deadly])?.says(&["record-quarantined"]);
    assert!(page.stdout.contains("indeterminate"), "{}", page.all());
    let ledgers = chain.ledgers()?;
    for order in chain.orders().iter().filter(|order| order.id != deadly) {
        assert_eq!(ledgers.effects(&order.id), ["stock created", "payment created", "shipping created"]);
    }
    eprintln!("{deaths} deaths: {:?}", ledgers.story(&deadly));
    // What kills is mended; the charge was booked, and is found by its key.
    chain.payment.lift_faults()?;
    let _ = chain.crossdock(&["resync", "--record", &deadly, "--yes"])?.exits(0);
    let ledgers = chain.ledgers()?;
    assert_eq!(ledgers.effects(&deadly), ["stock created", "payment created", "shipping created"]);
    ledgers.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    chain.verify()
}
