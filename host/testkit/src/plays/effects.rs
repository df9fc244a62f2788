//! Plays about what destinations do: once where once is promised, nothing where nothing is, the same however it is cut.

use super::trial::{Played, Sample, Stop, Trial, about, not_tried, of_error, smallest};
use crate::compare::{self, Call};
use crate::diff::shown;
use crate::finding::{BATCH_MATTERS, DOUBLE_APPLY, Finding, ORDER_MATTERS, PROBE_CHANGES, STATE_IN_GLOBALS, UNTOUCHED};
use crate::live::{Answer, Given, Ground};
use crate::request::{Reply, Seen};
use crate::run::is_good;
use crate::world::Failing;
use crossdock_engine::ports::{CallError, Idempotency};
use crossdock_model::Outcome;
use std::collections::BTreeMap;

/// How many records are tried by themselves.
const ALONE_MAX: usize = 4;

fn bad(records: &[Given], answers: &[Answer]) -> Option<String> {
    let (record, answer) = records.iter().zip(answers).find(|(_, answer)| !is_good(answer))?;
    Some(format!("record {}: {}", record.id, compare::told(Call::Pass, answer)))
}

/// The same batch twice in one instance, and once in another: each is a system that never saw the records.
pub(super) async fn again(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let done = "gave the same batch to one instance twice, and to another instance";
    let thrice = async |records: &[Given]| -> Result<[Option<String>; 3], CallError> {
        let ground = trial.ground(sample.case).map_err(|_| CallError::Host(own()))?;
        trial.world(sample, Failing::Never);
        let live = trial.fresh(&ground).await?;
        let first = bad(records, &live.pass(records, false).await.answers?);
        trial.world(sample, Failing::Never);
        let second = bad(records, &live.pass(records, false).await.answers?);
        trial.world(sample, Failing::Never);
        let other = trial.fresh(&ground).await?.pass(records, false).await.answers?;
        Ok([first, second, bad(records, &other)])
    };
    let records = sample.good();
    match thrice(&records).await {
        Ok([None, Some(_), None]) => {
            let shows = async |records: &[Given]| matches!(thrice(records).await, Ok([None, Some(_), None]));
            let records = smallest(&records, shows).await;
            let seen = match thrice(&records).await {
                Ok([_, Some(seen), _]) => format!("{seen} at the second time"),
                _ => String::new(),
            };
            Ok(vec![Finding::new(STATE_IN_GLOBALS, &sample.only(&records), done, "the same outcomes", seen)])
        }
        Ok(_) => Ok(Vec::new()),
        Err(error) => Ok(of_error(&sample.only(&records), done, &error).into_iter().collect()),
    }
}

fn own() -> crossdock_engine::ports::PortError {
    crossdock_engine::ports::PortError {
        code: "kit-files",
        class: crossdock_model::ErrorClass::Environment,
        message: "the folders of the case could not be made".to_owned(),
        fix: None,
    }
}

/// What one attempt did: its requests, and why it has no answer.
struct Attempt {
    requests: Vec<Seen>,
    error: Option<CallError>,
}

async fn attempt(
    trial: &Trial<'_>,
    sample: &Sample<'_>,
    ground: &Ground,
    given: &Given,
    failing: Failing,
) -> Result<Attempt, Stop> {
    let world = trial.world(sample, failing);
    let heard = match trial.fresh(ground).await {
        Ok(live) => live.pass(std::slice::from_ref(given), false).await.answers,
        Err(error) => Err(error),
    };
    if let Some(unknown) = world.unknown() {
        return not_tried(format!("no exchange of the case is like {}", shown(&unknown)));
    }
    Ok(Attempt { requests: world.log(), error: heard.err() })
}

/// Written again under the same key: after an answer was lost, and after the plugin was killed with the answer in hand.
pub(super) async fn retried(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let ground = trial.ground(sample.case)?;
    let abilities = match trial.fresh(&ground).await {
        Ok(live) => live.abilities(),
        Err(error) => return not_tried(compare::error(&error)),
    };
    let mut findings = Vec::new();
    for given in sample.good().iter().take(ALONE_MAX) {
        let quiet = attempt(trial, sample, &trial.ground(sample.case)?, given, Failing::Never).await?;
        let changes: Vec<_> = quiet.requests.iter().enumerate().filter(|(_, request)| request.is_change()).collect();
        if changes.is_empty() {
            findings.extend(files_twice(trial, sample, given, abilities.idempotency).await?);
        }
        for (number, _) in changes {
            let ground = trial.ground(sample.case)?;
            let lost = attempt(trial, sample, &ground, given, Failing::At(number, Reply::NoAnswer)).await?;
            if let Some(error) = &lost.error {
                let done = format!("lost the answer to request {}", number + 1);
                findings.extend(of_error(&sample.only(std::slice::from_ref(given)), &done, error));
                continue;
            }
            match abilities.idempotency {
                Idempotency::NativeKey | Idempotency::Upsert => {
                    let again = attempt(trial, sample, &ground, given, Failing::Never).await?;
                    let other = Given { generation: given.generation + 1, ..given.clone() };
                    let other = attempt(trial, sample, &trial.ground(sample.case)?, &other, Failing::Never).await?;
                    findings.extend(double(sample, given, number, &lost, &again, &other, abilities.idempotency));
                }
                Idempotency::Probe => findings.extend(asked(trial, sample, &ground, given).await?),
                Idempotency::None => {}
            }
        }
    }
    if findings.is_empty() && abilities.idempotency == Idempotency::None {
        return not_tried("with `idempotency: none` a write whose answer was lost is settled by a person");
    }
    Ok(findings)
}

/// Whether a second attempt may take effect a second time.
fn double(
    sample: &Sample<'_>,
    given: &Given,
    number: usize,
    first: &Attempt,
    second: &Attempt,
    other: &Attempt,
    idempotency: Idempotency,
) -> Option<Finding> {
    let sent = first.requests.get(number)?;
    let like = |attempt: &Attempt| {
        attempt.requests.iter().find(|seen| seen.is_change() && seen.method == sent.method).cloned()
    };
    // Not sent again: it looked first.
    let again = like(second)?;
    let other = like(other);
    let (a, b) = (sent.places(), again.places());
    let of_key =
        |place: &String, value: &String| other.as_ref().is_none_or(|other| other.places().get(place) != Some(value));
    let holds_key = a.iter().any(|(place, value)| of_key(place, value) && b.get(place) == Some(value));
    let same_place = sent.url == again.url && (sent.method != "POST" || sent.body == again.body);
    let is_once = match idempotency {
        Idempotency::Upsert => same_place || holds_key,
        _ => holds_key,
    };
    if is_once {
        return None;
    }
    let done = format!("lost the answer to request {}, and wrote the record again under the same key", number + 1);
    let expected = match idempotency {
        Idempotency::Upsert => "the same request to the same place, or one that holds the record's key",
        _ => "a request that holds the record's key, the same in both attempts",
    };
    let seen = format!("first {}; then {}{}", sent.shown(), again.shown(), moved(&a, &b));
    Some(about(DOUBLE_APPLY, sample, given, done, expected, seen))
}

/// Which places of a request are not the same.
fn moved(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> String {
    let places: Vec<_> =
        a.iter().filter(|(place, value)| b.get(*place) != Some(value)).map(|(place, _)| place.as_str()).collect();
    if places.is_empty() {
        "; nothing in them comes of the key".to_owned()
    } else {
        format!("; different: {}", places.join(", "))
    }
}

/// Files after a second attempt under the same key are as after the first.
async fn files_twice(trial: &Trial<'_>, sample: &Sample<'_>, given: &Given, idempotency: Idempotency) -> Played {
    if !matches!(idempotency, Idempotency::NativeKey | Idempotency::Upsert) {
        return Ok(Vec::new());
    }
    let ground = trial.ground(sample.case)?;
    let files = || ground.files().map_err(|error| Stop::Kit(crate::error::KitError::files(&sample.case.name, error)));
    attempt(trial, sample, &ground, given, Failing::Never).await?;
    let first: Vec<_> = files()?.into_iter().map(|(_, files)| files).collect();
    attempt(trial, sample, &ground, given, Failing::Never).await?;
    let second: Vec<_> = files()?.into_iter().map(|(_, files)| files).collect();
    if first == second {
        return Ok(Vec::new());
    }
    let done = "killed it after it had written, and wrote the record again under the same key in a fresh instance";
    let seen =
        format!("after the first {}; after the second {}", shown(&format!("{first:?}")), shown(&format!("{second:?}")));
    Ok(vec![about(DOUBLE_APPLY, sample, given, done, "the same files", seen)])
}

/// After a lost answer it is asked: that must not change anything.
async fn asked(trial: &Trial<'_>, sample: &Sample<'_>, ground: &Ground, given: &Given) -> Played {
    let world = trial.world(sample, Failing::Never);
    let Ok(live) = trial.fresh(ground).await else { return Ok(Vec::new()) };
    let heard = live.probe(std::slice::from_ref(given)).await;
    if let Some(unknown) = world.unknown() {
        return not_tried(format!("no exchange of the case is like {}", shown(&unknown)));
    }
    let done = "lost the answer to a write, and asked a fresh instance about the record";
    if let Err(error) = &heard.answers {
        return Ok(of_error(&sample.only(std::slice::from_ref(given)), done, error).into_iter().collect());
    }
    let changing = world.log().into_iter().find(|seen| matches!(seen.method.as_str(), "PUT" | "PATCH" | "DELETE"));
    let found = changing.map(|seen| about(PROBE_CHANGES, sample, given, done, "requests that only read", seen.shown()));
    Ok(found.into_iter().collect())
}

/// The records one by one, and the batch turned round: the outcomes are the same.
pub(super) async fn cut(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let records = sample.good();
    if records.len() < 2 {
        return not_tried("no case has two records that go through");
    }
    let world = trial.world(sample, Failing::Never);
    let turned: Vec<_> = records.iter().rev().cloned().collect();
    let done = "gave the batch turned round to a fresh instance";
    let answers = trial.pass_alone(sample, &turned).await?.answers;
    if let Some(unknown) = world.unknown() {
        return not_tried(format!("no exchange of the case is like {}", shown(&unknown)));
    }
    match answers {
        Ok(answers) => {
            if let Some(seen) = bad(&turned, &answers) {
                return Ok(vec![Finding::new(ORDER_MATTERS, &sample.only(&records), done, "all go through", seen)]);
            }
        }
        Err(error) => return Ok(of_error(&sample.only(&turned), done, &error).into_iter().collect()),
    }
    for given in records.iter().take(ALONE_MAX) {
        let one = std::slice::from_ref(given);
        let done = "gave the record by itself to a fresh instance";
        match trial.pass_alone(sample, one).await?.answers {
            Ok(answers) => {
                if let Some(seen) = bad(one, &answers) {
                    return Ok(vec![about(
                        BATCH_MATTERS,
                        sample,
                        given,
                        done,
                        "it goes through, as among the others",
                        seen,
                    )]);
                }
            }
            Err(error) => return Ok(of_error(&sample.only(one), done, &error).into_iter().collect()),
        }
    }
    Ok(Vec::new())
}

/// The first record is refused: nothing may be sent for those behind it.
pub(super) async fn stopped(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let records = sample.good();
    let (Some(first), true) = (records.first(), records.len() > 1) else {
        return not_tried("no case has two records that go through");
    };
    let quiet = attempt(trial, sample, &trial.ground(sample.case)?, first, Failing::Never).await?;
    let Some(at) = quiet.requests.iter().position(Seen::is_change) else {
        return not_tried("it sends nothing for a record that could be refused");
    };
    let world = trial.world(sample, Failing::At(at, Reply::status(422)));
    let ground = trial.ground(sample.case)?;
    let done = "asked it to stop at the first failure, and refused the first record with 422";
    let answers = match trial.fresh(&ground).await {
        Ok(live) => live.pass(&records, true).await.answers,
        Err(error) => Err(error),
    };
    let sent = world.log();
    match answers {
        Err(error) => Ok(of_error(&sample.only(&records), done, &error).into_iter().collect()),
        Ok(answers) => {
            let failed = answers.first().is_some_and(|answer| !is_good(answer));
            let touched = records.iter().zip(&answers).skip(1).find(|(_, answer)| answer.outcome != Outcome::Untouched);
            let changes = sent.iter().skip(at + 1).find(|seen| seen.is_change());
            let seen = match (failed, touched, changes) {
                (true, Some((record, answer)), _) => {
                    format!("record {}: {}", record.id, compare::told(Call::Pass, answer))
                }
                (true, None, Some(request)) => format!("it sent {}", request.shown()),
                _ => return Ok(Vec::new()),
            };
            let expected = "`untouched` for all records behind it, and no further request";
            Ok(vec![Finding::new(UNTOUCHED, &sample.only(&records), done, expected, seen)])
        }
    }
}
