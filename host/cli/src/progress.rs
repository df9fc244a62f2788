//! How a run is getting on, in one line.

use crate::out::{Out, ProgressStyle};
use crate::text::{clean, number, span};
use crossdock::{Progress, Status, Timestamp};
use indicatif::{ProgressBar, ProgressStyle as BarStyle};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// The rate is that of the last so many seconds.
const RATE_OVER: Duration = Duration::from_secs(5);
/// Between turns of the sign that says that something is still going on.
const TURN_EVERY: Duration = Duration::from_millis(120);

/// The most characters that are shown of why a connector cannot be used.
const WHY_SHOWN: usize = 80;

/// Shows the progress of a run on stderr.
pub(crate) struct Display<'a> {
    out: &'a Out,
    /// How many records the run was given.
    of: Option<u64>,
    bar: Option<ProgressBar>,
    rate: Rate,
    said_at: Instant,
    said: String,
}

impl<'a> Display<'a> {
    /// `of` is how many records the run was given, if it does not take what it finds.
    pub(crate) fn new(out: &'a Out, of: Option<u64>, now: Instant) -> Self {
        let bar = (out.progress == ProgressStyle::Bar).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = BarStyle::with_template("{spinner} {elapsed}  {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TURN_EVERY);
            bar
        });
        Self { out, of, bar, rate: Rate::default(), said_at: now, said: String::new() }
    }

    /// Shows how it is getting on, if it is time to.
    pub(crate) fn show(&mut self, progress: &Progress, now: Instant) {
        let rate = self.rate.per_second(progress.read + progress.resumed, now);
        let line = || line(progress, self.of, rate, wall_clock());
        match (&self.bar, self.out.progress) {
            (Some(bar), _) => bar.set_message(line()),
            (None, ProgressStyle::Lines) if now.duration_since(self.said_at) >= LINE_EVERY => {
                let line = line();
                if line != self.said {
                    self.out.note(&line);
                    self.said = line;
                }
                self.said_at = now;
            }
            _ => {}
        }
    }

    /// A line of its own, above the progress.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.out.note(text)),
            None => self.out.note(text),
        }
    }
}

impl Drop for Display<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn wall_clock() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

/// Records a second over the last seconds.
#[derive(Debug, Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn per_second(&mut self, records: u64, now: Instant) -> u64 {
        self.0.push_back((now, records));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= RATE_OVER) {
            self.0.pop_front();
        }
        let Some(&(since, before)) = self.0.front() else { return 0 };
        let ms = now.duration_since(since).as_millis().max(1);
        u64::try_from(u128::from(records.saturating_sub(before)) * 1_000 / ms).unwrap_or(u64::MAX)
    }
}

fn line(progress: &Progress, of: Option<u64>, rate: u64, now: Timestamp) -> String {
    let mut parts = match of {
        Some(of) => vec![format!("{} of {}", number(progress.resumed), number(of))],
        None => vec![format!("read {}", number(progress.read))],
    };
    if progress.resumed > 0 && of.is_none() {
        parts.push(format!("taken up {}", number(progress.resumed)));
    }
    parts.push(format!("{}/s", number(rate)));
    parts.push(format!("ok {}", number(progress.counts.get(Status::Ok))));
    // Those that wait are said apart, those that are on their way too.
    let elsewhere = [Status::Ok, Status::New, Status::Processing, Status::Pending];
    for (status, n) in progress.counts.iter().filter(|(status, _)| !elsewhere.contains(status)) {
        parts.push(format!("{status} {}", number(n)));
    }
    if progress.under_way > 0 {
        parts.push(format!("{} under way", number(progress.under_way)));
    }
    if progress.rolling_back > 0 {
        parts.push(format!("{} to be undone", number(progress.rolling_back)));
    }
    for (step, down) in &progress.down {
        let why = format!("{} {}", clean(&down.failure.code), clean(&down.failure.message));
        let why: String = why.chars().take(WHY_SHOWN).collect();
        parts.push(format!("waits for connector {step}: {}, asks again in {}", why.trim_end(), wait(down.until, now)));
    }
    match (progress.waiting, progress.next_due) {
        (0, None) => {}
        (0, Some(due)) => parts.push(format!("next attempt in {}", wait(due, now))),
        (n, due) => {
            let verb = if n == 1 { "waits" } else { "wait" };
            let next = due.map(|due| format!(", next in {}", wait(due, now))).unwrap_or_default();
            parts.push(format!("{} {verb} for another attempt{next}", number(n)));
        }
    }
    parts.join(" · ")
}

/// Whole seconds, so that the line does not flicker.
fn wait(due: Timestamp, now: Timestamp) -> String {
    match due.ms_since(now).div_ceil(1_000) {
        0 => "a moment".to_owned(),
        s @ 1..60 => format!("{s} s"),
        s => span(s * 1_000),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crossdock::{ConnectorDown, Counts, Failure, StepName};

    fn check(progress: Progress, expected: &str) {
        assert_eq!(line(&progress, None, 812, Timestamp(0)), expected);
    }

    #[test]
    fn one_line_says_it_all() {
        check(Progress::default(), "read 0 · 812/s · ok 0");
        let mut counts = Counts::default();
        counts.add(Status::Ok, 3_100);
        counts.add(Status::Failed, 1);
        counts.add(Status::Pending, 3);
        let progress = Progress { read: 3_200, counts, under_way: 64, ..Progress::default() };
        check(progress.clone(), "read 3,200 · 812/s · ok 3,100 · failed 1 · 64 under way");
        let waiting = Progress { waiting: 3, next_due: Some(Timestamp(11_500)), ..progress.clone() };
        check(
            waiting,
            "read 3,200 · 812/s · ok 3,100 · failed 1 · 64 under way · 3 wait for another attempt, next in 12 s",
        );
        let failure = Failure::new("http-503", "answered 503");
        let down = ConnectorDown { until: Timestamp(7_001), since: Timestamp(0), unauthorized: false, failure };
        let charge = StepName::new("charge").unwrap();
        let down = Progress { resumed: 40, rolling_back: 2, down: vec![(charge, down)], ..Progress::default() };
        assert_eq!(
            line(&down, Some(5_000), 9, Timestamp(0)),
            "40 of 5,000 · 9/s · ok 0 · 2 to be undone · waits for connector charge: http-503 answered 503, asks \
             again in 8 s"
        );
        let held = Progress { under_way: 0, next_due: Some(Timestamp(-5)), resumed: 2, ..progress };
        check(held, "read 3,200 · taken up 2 · 812/s · ok 3,100 · failed 1 · next attempt in a moment");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(0, at(0)), 0);
        assert_eq!(rate.per_second(100, at(1)), 100);
        for s in 2..10 {
            rate.per_second(100, at(s));
        }
        assert_eq!(rate.per_second(100, at(10)), 0);
    }
}
