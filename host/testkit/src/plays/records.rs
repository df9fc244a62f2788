//! Plays about records and batches: repeated, turned round, cut, and records that make no sense.

use super::trial::{Played, Sample, Stop, Trial, not_tried, of_error, smallest, texts};
use crate::compare::{self, Call};
use crate::diff::shown;
use crate::finding::{BATCH_MATTERS, Finding, NOT_THE_SAME, ORDER_MATTERS, STATE_IN_GLOBALS};
use crate::live::{Answer, Given, Live};
use crate::world::Failing;
use crossdock_model::Outcome;
use crossdock_sandbox::Role;

/// How many records are tried by themselves.
const ALONE_MAX: usize = 8;
/// Payloads that no plugin expects.
const SENSELESS: [&[u8]; 9] = [
    b"",
    b"not JSON",
    b"{}",
    b"[]",
    b"null",
    b"-1e999",
    b"{\"a\":",
    b"\xff\xfe\x00",
    b"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
];

/// What became of a record, for comparing: outcome, outputs, and of a failure code and pointer, not the texts for people.
type Essence<'a> = (Outcome, Vec<&'a [u8]>, Option<(&'a str, Option<&'a str>)>);

fn essence(answer: &Answer) -> Essence<'_> {
    let failure = answer.failure.as_ref().map(|failure| (failure.code.as_str(), failure.pointer.as_deref()));
    (answer.outcome, answer.outputs.iter().map(|output| output.payload.as_slice()).collect(), failure)
}

fn same(a: &Answer, b: &Answer) -> bool {
    essence(a) == essence(b)
}

fn told(answer: &Answer) -> String {
    let outputs: Vec<_> = answer.outputs.iter().map(|o| String::from_utf8_lossy(&o.payload).into_owned()).collect();
    format!("{} {}", compare::told(Call::Pass, answer), shown(&outputs.join(" | ")))
}

/// The first record that came to something else, with both.
fn different(records: &[Given], a: &[Answer], b: &[Answer]) -> Option<String> {
    let mut all = records.iter().zip(a.iter().zip(b));
    let (record, (a, b)) = all.find(|(_, (a, b))| !same(a, b))?;
    Some(format!("record {}: {} at first, {} then", record.id, told(a), told(b)))
}

async fn pure(trial: &Trial<'_>, sample: &Sample<'_>) -> Result<Live, Stop> {
    let ground = trial.ground(sample.case)?;
    match trial.fresh(&ground).await {
        Ok(live) if live.abilities().pure => Ok(live),
        Ok(_) => not_tried("it says that it is not pure"),
        Err(error) => not_tried(compare::error(&error)),
    }
}

/// The same batch twice in one instance, and once in another.
pub(super) async fn again(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    pure(trial, sample).await?;
    let twice = async |records: &[Given]| {
        let ground = trial.ground(sample.case).ok()?;
        let live = trial.fresh(&ground).await.ok()?;
        let first = live.pass(records, false).await.answers.ok()?;
        let second = live.pass(records, false).await.answers.ok()?;
        let other = trial.fresh(&ground).await.ok()?.pass(records, false).await.answers.ok()?;
        Some((first, second, other))
    };
    trial.world(sample, Failing::Never);
    let Some((first, second, other)) = twice(&sample.records).await else {
        return not_tried("the batch has no answer");
    };
    if let Some(seen) = different(&sample.records, &first, &other) {
        let done = "gave the same batch to two fresh instances";
        return Ok(vec![Finding::new(NOT_THE_SAME, sample.case, done, "the same answers", seen)]);
    }
    if different(&sample.records, &first, &second).is_none() {
        return Ok(Vec::new());
    }
    let shows = async |records: &[Given]| {
        twice(records).await.is_some_and(|(first, second, _)| different(records, &first, &second).is_some())
    };
    let records = smallest(&sample.records, shows).await;
    let seen = twice(&records).await.and_then(|(first, second, _)| different(&records, &first, &second));
    let done = "gave the same batch to one instance twice; another instance answers as at first";
    let seen = seen.unwrap_or_default();
    Ok(vec![Finding::new(STATE_IN_GLOBALS, &sample.only(&records), done, "the same answers", seen)])
}

/// The batch from its end to its beginning.
pub(super) async fn turned_round(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    if sample.records.len() < 2 {
        return not_tried("no case has two records");
    }
    pure(trial, sample).await?;
    trial.world(sample, Failing::Never);
    let both = async |records: &[Given]| {
        let straight = trial.pass_alone(sample, records).await.ok()?.answers.ok()?;
        let turned: Vec<_> = records.iter().rev().cloned().collect();
        let mut turned = trial.pass_alone(sample, &turned).await.ok()?.answers.ok()?;
        turned.reverse();
        different(records, &straight, &turned)
    };
    if both(&sample.records).await.is_none() {
        return Ok(Vec::new());
    }
    let records = smallest(&sample.records, async |records| both(records).await.is_some()).await;
    let seen = both(&records).await.unwrap_or_default();
    let done = "gave the batch in its order, and turned round to a fresh instance";
    Ok(vec![Finding::new(ORDER_MATTERS, &sample.only(&records), done, "the same answer for each record", seen)])
}

/// Each record by itself.
pub(super) async fn alone(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    pure(trial, sample).await?;
    trial.world(sample, Failing::Never);
    let Ok(together) = trial.pass_alone(sample, &sample.records).await?.answers else {
        return not_tried("the batch has no answer");
    };
    for (given, expected) in sample.records.iter().zip(&together).take(ALONE_MAX) {
        let done = "gave the record by itself to a fresh instance";
        match trial.pass_alone(sample, std::slice::from_ref(given)).await?.answers {
            Ok(answers) => {
                let Some(found) = answers.first().filter(|found| !same(expected, found)) else { continue };
                let seen =
                    format!("record {}: {} among the others, {} by itself", given.id, told(expected), told(found));
                let whole = sample.only(&sample.records);
                return Ok(vec![Finding::new(BATCH_MATTERS, &whole, done, "the same answer", seen)]);
            }
            Err(error) => {
                let case = sample.only(std::slice::from_ref(given));
                return Ok(of_error(&case, done, &error).into_iter().collect());
            }
        }
    }
    Ok(Vec::new())
}

/// Records whose payload no plugin expects: each is answered, whatever the answer is.
pub(super) async fn senseless(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    trial.world(sample, Failing::Never);
    let mut findings = Vec::new();
    let made = |(number, payload): (usize, &&[u8])| Given {
        id: format!("senseless-{number}"),
        payload: payload.to_vec(),
        attributes: Default::default(),
        generation: 0,
    };
    let records: Vec<Given> = SENSELESS.iter().enumerate().map(made).collect();
    let done = "gave it records whose payloads make no sense";
    match trial.pass_alone(sample, &records).await?.answers {
        Ok(answers) => findings.extend(texts(sample, &records, &answers, done)),
        Err(all) => {
            for record in &records {
                let one = std::slice::from_ref(record);
                let Err(error) = trial.pass_alone(sample, one).await?.answers else { continue };
                findings.extend(of_error(&sample.only(one), done, &error));
                break;
            }
            if findings.is_empty() {
                findings.extend(of_error(&sample.only(&records), done, &all));
            }
        }
    }
    if trial.plugin.description().role == Role::Destination && findings.is_empty() && sample.records.is_empty() {
        return not_tried("no case gives records");
    }
    Ok(findings)
}
