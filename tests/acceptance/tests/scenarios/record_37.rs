//! The ERP refuses one purchase. It is kept, shown with the ERP's answer, and put through again alone.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Shop};
use serde_json::json;

#[test]
fn one_refused_purchase_is_put_through_again_alone() -> Result<()> {
    let shop = Shop::open(Lines::First(120))?;
    let refused = shop.worthwhile().nth(36).context("less than 37 purchases")?.clone();
    let id = refused.id.as_str();
    shop.faults(
        &json!([{ "references": [id], "answer": 422, "field": "/amount", "message": "Credit limit exceeded" }]),
    )?;

    // The run goes on; the ERP holds each other one, once.
    let run = shop.run_json()?.exits(4).json()?;
    let (read, dropped) = (shop.purchases().len(), shop.dropped());
    assert_eq!(run["status"], "completed-with-failures");
    assert_eq!(run["read"], read);
    assert_eq!(run["counts"], json!({ "ok": read - dropped - 1, "dropped": dropped, "failed": 1 }));
    shop.books()?.hold(shop.worthwhile().filter(|purchase| purchase.id != id));

    // Exactly that one is failed, with what the ERP said.
    let failed = shop.records(&["--status", "failed"])?;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["id"], id);
    assert_eq!(failed[0]["step"], "book");
    assert_eq!(failed[0]["code"], "http-422");
    assert!(failed[0]["message"].as_str().is_some_and(|text| text.contains("Credit limit exceeded")), "{failed:?}");
    let _ = shop.crossdock(&["records", "--status", "failed"])?.exits(0).says(&[id, "Credit limit exceeded"]);
    let page = shop.crossdock(&["record", id])?.exits(0);
    let _ = page.says(&["failed", "http-422", "Credit limit exceeded", "/amount", &refused.amount]);

    // The fault is lifted. A plan changes nothing; applying it sends one request.
    shop.lift_faults()?;
    let requests = shop.books()?.posts(None).len();
    let plan = &shop.json(&["resync", "--status", "failed", "--plan"])?["plan"];
    let planned = plan["records"].as_array().context("a plan without records")?;
    assert_eq!(planned.len(), 1, "{plan}");
    assert_eq!((&planned[0]["id"], &planned[0]["verdict"]), (&json!(id), &json!("will-run")));
    let connectors = plan["connectors"].as_array().context("a plan without connectors")?;
    let operational = |step: &str| connectors.iter().any(|c| c["step"] == step && c["operational"] == true);
    assert!(connectors.len() == 2 && operational("source") && operational("book"), "{plan}");
    assert_eq!(shop.books()?.posts(None).len(), requests);
    let hash = plan["hash"].as_str().context("a plan without hash")?;
    let shown = shop.crossdock(&["resync", "--status", "failed", "--plan"])?.exits(0);
    let _ = shown.says(&[id, &format!("crossdock resync --apply {hash}")]);
    let _ = shop.crossdock(&["resync", "--apply", hash])?.exits(0);
    assert_eq!(shop.books()?.posts(None).len(), requests + 1);
    assert_eq!(shop.books()?.posts(Some(id)).len(), 2);
    shop.books()?.hold(shop.worthwhile());

    // Its history shows both attempts.
    let record = shop.json(&["record", id])?;
    assert_eq!(record["status"], "ok", "{record}");
    let attempts = record["attempts_made"].as_array().context("no attempts")?;
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt["outcome"].clone()).collect();
    assert_eq!(outcomes, ["rejected", "ok"]);
    assert_eq!(attempts[0]["failure"]["code"], "http-422");

    // There is nothing more to do, and nothing is done.
    let _ = shop.crossdock(&["resync", "--status", "failed", "--plan"])?.exits(0).says(&["Nothing to do"]);
    let _ = shop.crossdock(&["resync", "--apply", hash])?.exits(2).says(&["resync-stale-plan", "Plan again"]);
    let _ = shop.crossdock(&["resync", "--apply", "0123456789abcdef"])?.exits(2).says(&["resync-no-plan"]);
    let again = shop.run_json()?.exits(0).json()?;
    assert_eq!((&again["status"], &again["read"]), (&json!("ok"), &json!(0)));
    assert_eq!(shop.books()?.posts(None).len(), requests + 1);
    shop.verify()
}

#[test]
fn a_plan_is_stale_once_its_record_or_route_has_changed() -> Result<()> {
    let shop = Shop::open(Lines::First(20))?;
    let ids: Vec<String> = shop.worthwhile().take(2).map(|purchase| purchase.id.clone()).collect();
    shop.faults(&json!([{ "references": ids, "answer": 422 }]))?;
    let _ = shop.run()?.exits(4);
    let requests = || Ok::<_, anyhow::Error>(shop.books()?.posts(None).len());
    let plan = || -> Result<String> {
        let plan = shop.json(&["resync", "--status", "failed", "--plan"])?;
        Ok(plan["plan"]["hash"].as_str().context("no hash")?.to_owned())
    };

    let of_both = plan()?;
    assert_eq!(of_both, plan()?, "the same plan has the same hash");
    let _ = shop.crossdock(&["skip", "--record", &ids[0], "--reason", "booked by hand"])?.exits(0);
    let before = requests()?;
    let _ = shop.crossdock(&["resync", "--apply", &of_both])?.exits(2).says(&["resync-stale-plan", &ids[0]]);

    let of_one = plan()?;
    shop.edit_route("in_flight = 4", "in_flight = 2")?;
    let _ = shop.crossdock(&["resync", "--apply", &of_one])?.exits(2).says(&["resync-stale-plan", "route"]);
    assert_eq!(requests()?, before, "a plan that is refused sends nothing");

    // The connectors are asked before anything is done.
    let of_new_route = plan()?;
    shop.faults(&json!([{ "method": "*", "answer": 503 }]))?;
    let _ = shop.crossdock(&["connectors", "check", "routes/cdnow.toml"])?.exits(3).says(&["book"]);
    let _ = shop.crossdock(&["resync", "--apply", &of_new_route])?.exits(3).says(&["resync-connector-down", "book"]);
    assert_eq!(requests()?, before);
    shop.lift_faults()?;
    let _ = shop.crossdock(&["resync", "--apply", &of_new_route])?.exits(0);
    assert_eq!(requests()?, before + 1);
    shop.books()?.hold(shop.worthwhile().filter(|purchase| purchase.id != ids[0]));
    shop.verify()
}
