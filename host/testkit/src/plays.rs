//! The hostile host: does to a plugin what hosts, other systems and time do to it, and looks whether its promises hold.

mod answers;
mod effects;
mod limits;
mod records;
mod settings;
mod source;
mod trial;
mod undo;

use crate::bench::Bench;
use crate::case::Case;
use crate::error::KitError;
use crate::finding::{Finding, Tried, Verdict};
use crate::run::CaseOutcome;
use crossdock_sandbox::{Plugin, Role};
use trial::{Sample, Stop, Trial};

/// How many cases are played with: more take longer and seldom show more.
const SAMPLES_MAX: usize = 6;

/// What was found, and what was tried.
pub(crate) struct Plays {
    pub(crate) findings: Vec<Finding>,
    pub(crate) tried: Vec<Tried>,
}

impl Plays {
    /// Takes down what a play came to with one case after the other.
    fn note(&mut self, what: &'static str, found: Vec<Result<Vec<Finding>, Stop>>) -> Result<(), KitError> {
        let mut verdict = None;
        for one in found {
            match one {
                Ok(findings) if findings.is_empty() => {
                    if verdict != Some(Verdict::Found) {
                        verdict = Some(Verdict::Held);
                    }
                }
                Ok(findings) => {
                    self.findings.extend(findings);
                    verdict = Some(Verdict::Found);
                }
                Err(Stop::NotTried(why)) => drop(verdict.get_or_insert(Verdict::NotTried(why))),
                Err(Stop::Kit(error)) => return Err(error),
            }
        }
        let nothing = || Verdict::NotTried("no case that holds gives what it takes".to_owned());
        self.tried.push(Tried { what, verdict: verdict.unwrap_or_else(nothing) });
        Ok(())
    }
}

/// Plays one play with each sample.
macro_rules! play {
    ($plays:ident, $samples:ident, $what:literal, |$sample:ident| $played:expr) => {{
        let mut found = Vec::new();
        for $sample in &$samples {
            found.push($played.await);
        }
        $plays.note($what, found)?;
    }};
}

/// Plays everything that the cases give something for.
pub(crate) async fn play(bench: &Bench, plugin: &Plugin, cases: &[(Case, CaseOutcome)]) -> Result<Plays, KitError> {
    let mut plays = Plays { findings: Vec::new(), tried: Vec::new() };
    let trial = Trial { bench, plugin };
    for (case, outcome) in cases {
        for found in trial::found_by_case(case, outcome) {
            plays.findings.push(trial::made_small(&trial, case, outcome, found).await);
        }
    }
    let sound =
        |(case, outcome): &&(Case, CaseOutcome)| outcome.holds() && case.refused.is_none() && !case.call.cancelled;
    let all: Vec<Sample<'_>> = cases.iter().filter(sound).map(|(case, outcome)| Sample::new(case, outcome)).collect();
    let configured: Vec<_> = cases.iter().filter(sound).map(|(case, _)| case).take(1).collect();
    play!(plays, configured, "settings that make no sense", |case| settings::wrong(&trial, case));
    match plugin.description().role {
        Role::Source => sources(&trial, all, &mut plays).await?,
        Role::Transformer => transformers(&trial, all, &mut plays).await?,
        Role::Destination => destinations(&trial, all, cases, &mut plays).await?,
    }
    settle(&mut plays.findings);
    Ok(plays)
}

async fn transformers(trial: &Trial<'_>, all: Vec<Sample<'_>>, plays: &mut Plays) -> Result<(), KitError> {
    let samples: Vec<_> = all.into_iter().filter(|sample| !sample.records.is_empty()).take(SAMPLES_MAX).collect();
    play!(plays, samples, "the same batch twice, and in a fresh instance", |sample| records::again(trial, sample));
    if !plays.findings.iter().any(|found| found.code == crate::finding::STATE_IN_GLOBALS.code) {
        play!(plays, samples, "the batch turned round", |sample| records::turned_round(trial, sample));
        play!(plays, samples, "batches of one", |sample| records::alone(trial, sample));
    }
    play!(plays, samples, "records that make no sense", |sample| records::senseless(trial, sample));
    play!(plays, samples, "the largest batch", |sample| limits::largest(trial, sample));
    play!(plays, samples, "the run was asked to stop", |sample| limits::cancelled(trial, sample));
    play!(plays, samples, "no room left for state", |sample| limits::quota(trial, sample));
    let first: Vec<_> = samples.into_iter().take(1).collect();
    play!(plays, first, "memory over many batches", |sample| limits::memory(trial, sample));
    Ok(())
}

async fn destinations(
    trial: &Trial<'_>,
    all: Vec<Sample<'_>>,
    cases: &[(Case, CaseOutcome)],
    plays: &mut Plays,
) -> Result<(), KitError> {
    let samples: Vec<_> = all.into_iter().filter(|sample| !sample.good().is_empty()).take(SAMPLES_MAX).collect();
    play!(plays, samples, "the same batch twice, and in a fresh instance", |sample| effects::again(trial, sample));
    play!(plays, samples, "written again after a lost answer, and after being killed", |sample| effects::retried(
        trial, sample
    ));
    play!(plays, samples, "batches of one, and turned round", |sample| effects::cut(trial, sample));
    play!(plays, samples, "stop at the first failure", |sample| effects::stopped(trial, sample));
    play!(plays, samples, "429, 5xx, 401, 422 at each request", |sample| answers::statuses(trial, sample, cases));
    play!(plays, samples, "the answer lost at each request", |sample| answers::lost(trial, sample));
    play!(plays, samples, "no network", |sample| answers::no_network(trial, sample));
    play!(plays, samples, "undone in a fresh instance hours later", |sample| undo::hours_later(trial, sample));
    play!(plays, samples, "undone twice", |sample| undo::twice(trial, sample));
    play!(plays, samples, "asked twice", |sample| undo::asked_twice(trial, sample));
    play!(plays, samples, "records that make no sense", |sample| records::senseless(trial, sample));
    play!(plays, samples, "the largest batch", |sample| limits::largest(trial, sample));
    play!(plays, samples, "the run was asked to stop", |sample| limits::cancelled(trial, sample));
    play!(plays, samples, "no room left for state", |sample| limits::quota(trial, sample));
    let first: Vec<_> = samples.into_iter().take(1).collect();
    play!(plays, first, "the other system is silent until the time is over", |sample| limits::silent(trial, sample));
    play!(plays, first, "memory over many batches", |sample| limits::memory(trial, sample));
    Ok(())
}

async fn sources(trial: &Trial<'_>, all: Vec<Sample<'_>>, plays: &mut Plays) -> Result<(), KitError> {
    let samples: Vec<_> = all.into_iter().filter(|sample| sample.has_records()).take(SAMPLES_MAX).collect();
    play!(plays, samples, "a checkpoint read again", |sample| source::read_again(trial, sample));
    // Else everything that is read twice is different.
    if !plays.findings.iter().any(|found| found.code == crate::finding::RE_READ_DIFFERS.code) {
        play!(plays, samples, "each page in a fresh instance", |sample| source::restarted(trial, sample));
        play!(plays, samples, "pages of one record", |sample| source::small_pages(trial, sample));
    }
    play!(plays, samples, "checkpoints that make no sense", |sample| source::senseless(trial, sample));
    play!(plays, samples, "429, 5xx and lost answers at each request", |sample| source::failing(trial, sample));
    let first: Vec<_> = samples.into_iter().take(1).collect();
    play!(plays, first, "the other system is silent until the time is over", |sample| source::silent(trial, sample));
    play!(plays, first, "memory over many pages", |sample| limits::memory(trial, sample));
    Ok(())
}

/// Of each kind the finding with the smallest input stays.
fn settle(findings: &mut Vec<Finding>) {
    findings.sort_by_key(|finding| finding.smallest.records.len() + finding.smallest.exchanges.len());
    let mut known = std::collections::BTreeSet::new();
    findings.retain(|finding| known.insert(finding.code));
    findings.sort_by_key(|finding| finding.code);
}
