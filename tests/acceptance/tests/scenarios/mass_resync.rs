//! Thousands of failed records of a few causes: seen as causes, planned with a verdict each, put through by the hash of
//! the plan, and exactly what the plan says is sent.

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::{Lines, Shop};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const FAILED: usize = 5_000;
const MENDED: usize = 40;
const IN_DOUBT: usize = 10;

/// The causes: what the ERP says, and of every hundred failed purchases how many it says it of.
const CAUSES: [(&str, u16, usize); 3] = [
    ("Credit limit 5000.00 exceeded by customer 00017", 422, 50),
    ("Article is not sold any more", 409, 30),
    ("The period 1997-03 is closed", 400, 20),
];

/// The purchases of each cause, then those in doubt.
fn parts(shop: &Shop) -> ([Vec<String>; 3], Vec<String>) {
    let ids: Vec<String> = shop.worthwhile().map(|purchase| purchase.id.clone()).collect();
    let (failing, rest) = ids.split_at(FAILED + MENDED);
    let mut causes = [Vec::new(), Vec::new(), Vec::new()];
    for (at, id) in failing.iter().enumerate() {
        let percent = at % 100;
        let cause = if percent < CAUSES[0].2 { 0 } else { 1 + usize::from(percent >= CAUSES[0].2 + CAUSES[1].2) };
        causes[cause].push(id.clone());
    }
    (causes, rest[..IN_DOUBT].to_vec())
}

/// The ERP refuses each cause's purchases in its own words, each with another number in it.
fn refuse(shop: &Shop, causes: &[Vec<String>; 3], in_doubt: &[String]) -> Result<()> {
    let mut rules: Vec<Value> = causes
        .iter()
        .zip(CAUSES)
        .map(|(ids, (message, status, _))| json!({ "references": ids, "answer": status, "message": message }))
        .collect();
    rules.push(json!({ "references": in_doubt, "cut": "after" }));
    shop.faults(&rules.into())
}

fn verdicts(plan: &Value) -> BTreeMap<String, u64> {
    let all = plan["plan"]["verdicts"].as_object().into_iter().flatten();
    all.map(|(verdict, count)| (verdict.clone(), count.as_u64().unwrap_or_default())).collect()
}

fn groups(shop: &Shop, filter: &[&str]) -> Result<Vec<(u64, String, String)>> {
    let found = shop.json(&[&["failures", "--route", "cdnow"], filter].concat())?;
    let groups = found["failures"].as_array().with_context(|| format!("no groups: {found}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(groups
        .iter()
        .map(|group| (group["count"].as_u64().unwrap_or_default(), text(&group["code"]), text(&group["fingerprint"])))
        .collect())
}

#[test]
fn five_thousand_failures_of_three_causes() -> Result<()> {
    let shop = Shop::open(Lines::First(5_120))?;
    // Nothing tells whether a purchase in doubt was booked.
    for line in ["idempotency_header", "probe", "retry"] {
        shop.replace_line(line, "")?;
    }
    let (causes, in_doubt) = parts(&shop);
    refuse(&shop, &causes, &in_doubt)?;
    let run = shop.run_json()?.exits(5).json()?;
    assert_eq!(run["counts"]["failed"], FAILED + MENDED, "{}", run["counts"]);
    assert_eq!(run["counts"]["indeterminate"], IN_DOUBT, "{}", run["counts"]);
    shop.lift_faults()?;
    let requests = || Ok::<_, anyhow::Error>(shop.books()?.posts(None).len());
    let sent = requests()?;

    // Causes, the largest first; what differs in numbers only is one.
    let of_failed = groups(&shop, &["--status", "failed"])?;
    let counts: Vec<_> = of_failed.iter().map(|(count, code, _)| (*count, code.as_str())).collect();
    let sizes: Vec<u64> = causes.iter().map(|ids| ids.len() as u64).collect();
    assert_eq!(counts, [(sizes[0], "http-422"), (sizes[1], "http-409"), (sizes[2], "http-400")]);
    let cause = |at: usize| of_failed[at].2.as_str();

    // Forty are mended one by one, in the order of their ids.
    let mended: Vec<&str> = causes[2].iter().take(MENDED).map(String::as_str).collect();
    let records: Vec<&str> = [&["resync", "--route", "cdnow", "--yes", "--record"], mended.as_slice()].concat();
    let _ = shop.crossdock(&records)?.exits(0);
    assert_eq!(requests()?, sent + MENDED);

    // One cause is one filter. A plan that is not applied sends nothing, and goes stale when one of its records moves.
    let plan = shop.json(&["resync", "--fingerprint", cause(0), "--plan"])?;
    assert_eq!(verdicts(&plan), BTreeMap::from([("will-run".to_owned(), sizes[0])]));
    let stale = plan["plan"]["hash"].as_str().context("no hash")?.to_owned();
    let one = causes[0][7].clone();
    let _ = shop.crossdock(&["skip", "--record", &one, "--reason", "booked by hand"])?.exits(0);
    let _ = shop.crossdock(&["resync", "--apply", &stale])?.exits(2).says(&["resync-stale-plan", &one]);
    assert_eq!(requests()?, sent + MENDED);

    // Everything that changed since: a verdict for each.
    let statuses = "failed,indeterminate,ok,skipped";
    let plan = shop.json(&["resync", "--route", "cdnow", "--status", statuses, "--plan"])?;
    let found = verdicts(&plan);
    assert_eq!((found["will-run"], found["indeterminate"], found["skipped"]), (4_999, 10, 1), "{found:?}");
    let ok = shop.worthwhile().count() - FAILED - IN_DOUBT;
    assert!(found["already-ok"] >= MENDED as u64 && found["already-ok"] <= ok as u64, "{found:?}");
    let records = plan["plan"]["records"].as_array().context("no records")?;
    let verdict = |id: &str| records.iter().find(|record| record["id"] == id).map(|record| record["verdict"].clone());
    assert_eq!(verdict(mended[0]), Some(json!("already-ok")));
    assert_eq!(verdict(&in_doubt[0]), Some(json!("indeterminate")));

    // Applied: exactly those that will run are sent, each once.
    let hash = plan["plan"]["hash"].as_str().context("no hash")?;
    let _ = shop.crossdock(&["resync", "--apply", hash])?.exits(0);
    assert_eq!(requests()?, sent + MENDED + 4_999);
    let books = shop.books()?;
    let mut sent: HashMap<&str, usize> = HashMap::new();
    for post in books.posts(None) {
        *sent.entry(post["reference"].as_str().unwrap_or_default()).or_default() += 1;
    }
    for (id, times) in causes.iter().flatten().map(|id| (id, 2)).chain(in_doubt.iter().map(|id| (id, 1))) {
        let times = if *id == one { 1 } else { times };
        ensure!(sent.get(id.as_str()) == Some(&times), "{id} was sent {:?} times", sent.get(id.as_str()));
    }
    assert_eq!(shop.ids("failed")?, [""; 0]);
    assert_eq!(shop.ids("indeterminate")?.len(), IN_DOUBT);
    // What was booked without an answer is there as well; only what was skipped is not.
    books.hold(shop.worthwhile().filter(|purchase| purchase.id != one));
    let _ = shop.crossdock(&["verify"])?.exits(5).says(&["indeterminate"]);
    Ok(())
}

#[test]
fn one_record_with_new_content() -> Result<()> {
    let shop = Shop::open(Lines::First(30))?;
    let wrong = shop.worthwhile().nth(11).context("too few")?.clone();
    shop.faults(&json!([{ "references": [wrong.id], "answer": 422, "field": "/amount", "message": "Too much" }]))?;
    let _ = shop.run()?.exits(4);
    shop.lift_faults()?;
    let content =
        json!({ "customer": wrong.customer, "date": wrong.date, "quantity": wrong.quantity, "amount": "1.00" });
    shop.write("mended.json", content.to_string())?;
    let key = |n: usize| Ok::<_, anyhow::Error>(shop.books()?.posts(Some(&wrong.id))[n]["key"].clone());
    let plan = shop.json(&["resync", "--record", &wrong.id, "--edit", "mended.json", "--plan"])?;
    assert_eq!(verdicts(&plan), BTreeMap::from([("edited".to_owned(), 1)]));
    assert_eq!(shop.books()?.posts(Some(&wrong.id)).len(), 1, "a plan changes nothing");
    let hash = plan["plan"]["hash"].as_str().context("no hash")?;
    let _ = shop.crossdock(&["resync", "--apply", hash])?.exits(0);
    // Another content is another thing to do: it has another key.
    assert_ne!(key(0)?, key(1)?);
    let record = shop.json(&["record", &wrong.id])?;
    assert_eq!((&record["status"], &record["generation"]), (&json!("ok"), &json!(1)), "{record}");
    let _ = shop.crossdock(&["events", "--record", &wrong.id])?.exits(0).says(&["record-edited"]);
    let mut expected: Vec<_> = shop.worthwhile().cloned().collect();
    let edited = expected.iter_mut().find(|purchase| purchase.id == wrong.id).context("gone")?;
    "1.00".clone_into(&mut edited.amount);
    shop.books()?.hold(&expected);
    shop.verify()
}

#[test]
fn all_that_a_filter_finds_as_csv() -> Result<()> {
    let mut shop = Shop::open(Lines::First(30))?;
    let strange = shop.rename_customer(4, "=1+2")?;
    let mut ids: Vec<String> = shop.worthwhile().take(3).map(|purchase| purchase.id.clone()).collect();
    ids.push(strange.id.clone());
    shop.faults(&json!([{ "references": ids, "answer": 422, "message": "No, \"never\"\nagain" }]))?;
    let _ = shop.run()?.exits(4);
    let _ = shop.crossdock(&["records", "--status", "failed", "--csv", "failed.csv"])?.exits(0);
    let text = shop.text("failed.csv")?;
    for id in &ids[..3] {
        ensure!(text.contains(id.as_str()), "{id} is not in\n{text}");
    }
    ensure!(text.contains("\"\"never\"\""), "quotes are doubled:\n{text}");
    ensure!(text.contains("'=1+2"), "no spreadsheet takes it for a formula:\n{text}");
    ensure!(!text.contains(",=") && !text.contains("\n="), "a formula:\n{text}");
    Ok(())
}
