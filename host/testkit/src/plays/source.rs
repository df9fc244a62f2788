//! Plays about sources: read on elsewhere, in other pages, again, from where nobody was, and over systems that fail.

use super::trial::{Played, Sample, Stop, Trial, not_tried, of_error};
use crate::case::{Case, Refused, Refusing};
use crate::compare;
use crate::diff::shown;
use crate::finding::{
    CHECKPOINT_REPEATS, CHECKPOINT_SKIPS, CHECKPOINT_STUCK, CHECKPOINT_TAKEN, CHECKPOINT_TRAPS, Finding, Kind,
    OUT_OF_TIME, RE_READ_DIFFERS, STATE_IN_GLOBALS,
};
use crate::live::{Ground, Live};
use crate::request::Reply;
use crate::run::page_limits;
use crate::world::{Failing, World};
use crossdock_engine::ports::{CallError, CallResult, More, Page, PageLimits, RefusalKind};
use crossdock_model::{Checkpoint, FaultKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How many pages are read at most.
const PAGES_MAX: usize = 200;
/// Checkpoints that no source wrote.
const SENSELESS: [&[u8]; 4] = [b"no checkpoint of yours", b"{\"version\":0,\"unheard\":\"of\"}", b"", b"-1"];
/// The time of a call in which the other system says nothing.
const SILENT_CALL_MS: u64 = 1_000;

/// What was read: each record's id and payload.
type Read = Vec<(String, Vec<u8>)>;

/// All that was read, page by page.
#[derive(Default)]
struct Whole {
    records: Read,
    /// What each page was read from, and what it gave.
    pages: Vec<(Option<Checkpoint>, Read)>,
    stuck: bool,
    error: Option<CallError>,
}

fn records(page: &Page) -> Read {
    let batch = &page.batch;
    (0..batch.len())
        .map(|at| (batch.ids.text(at).into_owned(), batch.payloads.get(at).unwrap_or_default().to_vec()))
        .collect()
}

fn ids(read: &Read) -> String {
    let ids: Vec<_> = read.iter().take(12).map(|(id, _)| id.as_str()).collect();
    format!("{} records: {}", read.len(), ids.join(", "))
}

struct Reader<'r, 'a> {
    trial: &'r Trial<'a>,
    case: &'r Case,
    limits: PageLimits,
    /// A fresh instance for each page.
    restarts: bool,
}

impl Reader<'_, '_> {
    /// Reads from a checkpoint until there is no more.
    async fn whole(&self, ground: &mut Ground, from: Option<Checkpoint>) -> Whole {
        let mut whole = Whole::default();
        let mut known = BTreeSet::new();
        let mut checkpoint = from;
        let mut live: Option<Live> = None;
        while whole.pages.len() < PAGES_MAX {
            if self.restarts {
                live = None;
            }
            let now = match live.take() {
                Some(live) => live,
                None => match self.trial.fresh(ground).await {
                    Ok(live) => live,
                    Err(error) => return Whole { error: Some(error), ..whole },
                },
            };
            let CallResult { answer, trace } = now.read(checkpoint.clone(), self.limits).await;
            ground.keep(&trace);
            live = Some(now);
            match answer {
                Ok(page) => {
                    let read = records(&page);
                    whole.records.extend(read.iter().cloned());
                    let none = read.is_empty();
                    whole.pages.push((checkpoint, read));
                    // Idle or at its end: what is behind is asked for again by a later run.
                    if page.more != More::More {
                        return whole;
                    }
                    if !known.insert(page.checkpoint.0.clone()) && none {
                        whole.stuck = true;
                        return whole;
                    }
                    checkpoint = Some(page.checkpoint);
                }
                Err(error) => return Whole { error: Some(error), ..whole },
            }
        }
        whole.stuck = true;
        whole
    }
}

/// What the case's own pages give, read by one instance.
async fn plain(trial: &Trial<'_>, sample: &Sample<'_>) -> Result<(Whole, Arc<World>), Stop> {
    let world = trial.world(sample, Failing::Never);
    let reader = Reader { trial, case: sample.case, limits: page_limits(sample.case, trial.plugin), restarts: false };
    let mut ground = trial.ground(sample.case)?;
    let whole = reader.whole(&mut ground, from(sample.case)).await;
    Ok((whole, world))
}

fn from(case: &Case) -> Option<Checkpoint> {
    case.call.checkpoint.clone().map(|text| Checkpoint(text.into_bytes()))
}

fn known(world: &World) -> Result<(), Stop> {
    match world.unknown() {
        Some(unknown) => not_tried(format!("no exchange of the case is like {}", shown(&unknown))),
        None => Ok(()),
    }
}

/// How what was read differs from what is there.
fn wrong(expected: &Read, whole: &Whole) -> Option<(Kind, String)> {
    if let Some(CallError::Fault(fault)) = &whole.error {
        return Some((crate::finding::of_fault(fault), shown(&fault.message)));
    }
    let found = &whole.records;
    let missing = expected.iter().find(|record| !found.contains(record));
    if whole.stuck {
        return Some((CHECKPOINT_STUCK, format!("it gives the same checkpoint again and again; {}", ids(found))));
    }
    if let Some(error) = &whole.error {
        return Some((CHECKPOINT_SKIPS, compare::error(error)));
    }
    if let Some((id, _)) = missing {
        return Some((CHECKPOINT_SKIPS, format!("record {id} is missing; {}", ids(found))));
    }
    (found != expected).then(|| (CHECKPOINT_REPEATS, ids(found)))
}

/// Each page by a fresh instance, from the checkpoint of the page before.
pub(super) async fn restarted(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let limits = page_limits(sample.case, trial.plugin);
    let (expected, world) = plain(trial, sample).await?;
    known(&world)?;
    let done = "read each page with a fresh instance, from the checkpoint of the page before";
    if let Some((kind, seen)) = wrong(&expected.records, &expected) {
        return Ok(vec![Finding::new(kind, sample.case, "read page after page", "all records", seen)]);
    }
    trial.world(sample, Failing::Never);
    let reader = Reader { trial, case: sample.case, limits, restarts: true };
    let whole = reader.whole(&mut trial.ground(sample.case)?, from(sample.case)).await;
    let found = wrong(&expected.records, &whole);
    Ok(found
        .map(|(kind, seen)| Finding::new(globals(kind), sample.case, done, ids(&expected.records), seen))
        .into_iter()
        .collect())
}

/// A source that reads on rightly by itself and not elsewhere keeps its place in globals.
fn globals(kind: Kind) -> Kind {
    if kind == CHECKPOINT_SKIPS || kind == CHECKPOINT_REPEATS || kind == CHECKPOINT_STUCK {
        STATE_IN_GLOBALS
    } else {
        kind
    }
}

/// Pages of one record give what large ones give.
pub(super) async fn small_pages(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let (expected, world) = plain(trial, sample).await?;
    known(&world)?;
    let world = trial.world(sample, Failing::Never);
    let limits = PageLimits { max_records: 1, ..page_limits(sample.case, trial.plugin) };
    let reader = Reader { trial, case: sample.case, limits, restarts: false };
    let whole = reader.whole(&mut trial.ground(sample.case)?, from(sample.case)).await;
    let known_requests = known(&world);
    let other_requests =
        |log: &[crate::request::Seen]| log.iter().map(|seen| seen.url.clone()).collect::<BTreeSet<_>>();
    let found = wrong(&expected.records, &whole);
    if found.is_some() && !sample.case.exchanges.is_empty() {
        known_requests?;
        let mut scripted =
            sample.case.exchanges.iter().map(|exchange| exchange.request.url.clone()).collect::<Vec<_>>();
        scripted.sort();
        if other_requests(&world.log())
            .iter()
            .any(|url| !scripted.iter().any(|known| crate::request::text_fits(known, url)))
        {
            return not_tried("it asks for smaller pages then, and the case does not know how they are answered");
        }
    }
    let done = "read pages of one record";
    Ok(found
        .map(|(kind, seen)| Finding::new(kind, sample.case, done, ids(&expected.records), seen))
        .into_iter()
        .collect())
}

/// From each checkpoint a second time.
pub(super) async fn read_again(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let ground = trial.ground(sample.case)?;
    match trial.fresh(&ground).await {
        Ok(live) if live.abilities().re_reads => {}
        Ok(_) => return not_tried("it says that it cannot read again"),
        Err(error) => return not_tried(compare::error(&error)),
    }
    let (expected, world) = plain(trial, sample).await?;
    known(&world)?;
    let limits = page_limits(sample.case, trial.plugin);
    let expected_again = "the same records with the same ids";
    let (once_more, _) = plain(trial, sample).await?;
    if once_more.records != expected.records {
        let seen = format!("at first {}; then {}", ids(&expected.records), ids(&once_more.records));
        let done = "read everything with two fresh instances";
        return Ok(vec![Finding::new(RE_READ_DIFFERS, sample.case, done, expected_again, seen)]);
    }
    for (checkpoint, first) in &expected.pages {
        for restarts in [false, true] {
            trial.world(sample, Failing::Never);
            let ground = trial.ground(sample.case)?;
            let Ok(live) = trial.fresh(&ground).await else { continue };
            let mut read = Vec::new();
            if !restarts {
                let _ = live.read(checkpoint.clone(), limits).await;
            }
            if let Ok(page) = live.read(checkpoint.clone(), limits).await.answer {
                read = records(&page);
            }
            if read != *first {
                let where_to = if restarts { "a fresh instance" } else { "the same instance" };
                let done = format!("read again from the same checkpoint, with {where_to}");
                let seen = format!("at first {}; then {}", ids(first), ids(&read));
                return Ok(vec![Finding::new(STATE_IN_GLOBALS, sample.case, done, expected_again, seen)]);
            }
        }
    }
    Ok(Vec::new())
}

/// From checkpoints that the source did not write.
pub(super) async fn senseless(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let limits = page_limits(sample.case, trial.plugin);
    for checkpoint in SENSELESS {
        trial.world(sample, Failing::Never);
        let ground = trial.ground(sample.case)?;
        let live = match trial.fresh(&ground).await {
            Ok(live) => live,
            Err(error) => return not_tried(compare::error(&error)),
        };
        let text = String::from_utf8_lossy(checkpoint).into_owned();
        let done = format!("read from a checkpoint that makes no sense: {text:?}");
        let expected = "a refusal with `checkpoint-refused`";
        let (kind, seen) = match live.read(Some(Checkpoint(checkpoint.to_vec())), limits).await.answer {
            Err(CallError::Fault(fault)) => (CHECKPOINT_TRAPS, shown(&fault.message)),
            // An empty one, or a number, may be one of its own.
            Ok(page) if checkpoint.len() > 2 => (CHECKPOINT_TAKEN, format!("it read {}", ids(&records(&page)))),
            _ => continue,
        };
        let mut case = sample.case.clone();
        case.pages.clear();
        case.call.checkpoint = Some(text);
        let kind_of_refusal = Some(RefusalKind::CheckpointRefused);
        case.refused = Some(Refused { call: Refusing::Read, kind: kind_of_refusal, ..Refused::default() });
        return Ok(vec![Finding::new(kind, &case, done, expected, seen)]);
    }
    Ok(Vec::new())
}

/// Each request in turn fails; what is read after that is whole all the same.
pub(super) async fn failing(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let (expected, world) = plain(trial, sample).await?;
    known(&world)?;
    let requests = world.log().len();
    if requests == 0 {
        return not_tried("it sends no requests");
    }
    let limits = page_limits(sample.case, trial.plugin);
    let busy =
        Reply::Answer { status: 429, headers: vec![("retry-after".to_owned(), "7".to_owned())], body: Vec::new() };
    for (reply, what) in [
        (Reply::NoAnswer, "lost the answer to"),
        (busy, "answered with 429"),
        (Reply::status(500), "answered with 500"),
        (Reply::status(401), "answered with 401"),
    ] {
        for number in 0..requests.min(6) {
            trial.world(sample, Failing::At(number, reply.clone()));
            let mut ground = trial.ground(sample.case)?;
            let reader = Reader { trial, case: sample.case, limits, restarts: false };
            let mut whole = reader.whole(&mut ground, from(sample.case)).await;
            let done = format!("{what} request {}, and read on from the last checkpoint", number + 1);
            if let Some(CallError::Fault(_)) = &whole.error {
                let error = whole.error.take();
                let found = error.and_then(|error| of_error(reader.case, &done, &error));
                return Ok(found.into_iter().collect());
            }
            if let Some(_refused) = whole.error.take() {
                // It said so: the host comes again with the checkpoint that it has.
                let last = next_checkpoint(&expected, whole.pages.len());
                trial.world(sample, Failing::Never);
                let rest = reader.whole(&mut ground, last.or_else(|| from(sample.case))).await;
                whole.records.extend(rest.records);
                whole.error = rest.error;
            }
            if let Some((kind, seen)) = wrong(&expected.records, &whole) {
                return Ok(vec![Finding::new(kind, sample.case, done, ids(&expected.records), seen)]);
            }
        }
    }
    Ok(Vec::new())
}

/// What page number so many is read from.
fn next_checkpoint(expected: &Whole, pages: usize) -> Option<Checkpoint> {
    expected.pages.get(pages).and_then(|(checkpoint, _)| checkpoint.clone())
}

/// The other system says nothing until the time of the call is nearly over.
pub(super) async fn silent(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let (_, world) = plain(trial, sample).await?;
    if world.log().is_empty() {
        return not_tried("it sends no requests");
    }
    for last in [false, false, true] {
        trial.world(sample, Failing::Always(Reply::Silence));
        let mut ground = trial.ground(sample.case)?;
        ground.limits.call_time_max_ms = SILENT_CALL_MS;
        let Ok(live) = trial.fresh(&ground).await else { return not_tried("it does not start") };
        let answer = live.read(from(sample.case), page_limits(sample.case, trial.plugin)).await.answer;
        match answer {
            Err(CallError::Fault(fault)) if fault.kind == FaultKind::OutOfTime && !last => {}
            Err(CallError::Fault(fault)) => {
                let kind =
                    if fault.kind == FaultKind::OutOfTime { OUT_OF_TIME } else { crate::finding::of_fault(&fault) };
                let done = "let the other system say nothing until the call's time was nearly over";
                return Ok(vec![Finding::new(kind, sample.case, done, "a refusal in time", shown(&fault.message))]);
            }
            _ => return Ok(Vec::new()),
        }
    }
    Ok(Vec::new())
}
