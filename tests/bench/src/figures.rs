//! From what each round took to figures: medians, and ratios within a round.

use crate::Spent;
use serde::Serialize;

/// The middle of some values, and how far they reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one, or between the two in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of these values; all three are NaN if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (values.first(), values.last()) else {
            return Self { median: f64::NAN, least: f64::NAN, most: f64::NAN };
        };
        let (upper, lower) = (values.len() / 2, (values.len() - 1) / 2);
        Self { median: f64::midpoint(values[lower], values[upper]), least, most }
    }
}

/// What one who did the work took, in each round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Who, as people read it.
    pub name: String,
    /// Records that were moved in a round.
    pub records: u64,
    /// By round.
    pub rounds: Vec<Spent>,
}

impl Measured {
    /// Of what it took in each round, a record, in millionths of what `value` gives.
    #[must_use]
    pub fn a_record(&self, value: fn(&Spent) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(|spent| value(spent) * 1e6 / self.records as f64))
    }

    /// How many times what the other took a record, in the same rounds.
    #[must_use]
    pub fn times(&self, other: &Self, value: fn(&Spent) -> f64) -> Spread {
        let each = |measured: &Self, spent| value(spent) / measured.records as f64;
        Spread::of(self.rounds.iter().zip(&other.rounds).map(|(ours, theirs)| each(self, ours) / each(other, theirs)))
    }
}

/// A Markdown table of all, beside the one to which the others are compared.
#[must_use]
pub fn table(measured: &[Measured], base: &Measured) -> String {
    let mut lines = vec![
        format!(
            "| | CPU, µs a record | × {base} (least to most) | time, µs a record | × {base} (least to most) | records a second | peak memory, MiB |",
            base = base.name
        ),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for who in measured {
        let (cpu, wall) = (who.a_record(|spent| spent.cpu_s), who.a_record(|spent| spent.wall_s));
        let times = |value| {
            let Spread { median, least, most } = who.times(base, value);
            format!("{median:.2} ({least:.2} to {most:.2})")
        };
        let peak = who.rounds.iter().map(|spent| spent.peak_kib).max().unwrap_or(0);
        lines.push(format!(
            "| {} | {:.2} | {} | {:.2} | {} | {:.0} | {} |",
            who.name,
            cpu.median,
            times(|spent| spent.cpu_s),
            wall.median,
            times(|spent| spent.wall_s),
            1e6 / wall.median,
            peak.div_ceil(1024),
        ));
    }
    lines.join("\n")
}

/// The order in which those who work come in a round: whoever comes first finds the disk as the round before left it, so
/// they take turns at that too.
#[must_use]
pub fn order(of: usize, round: usize) -> Vec<usize> {
    (0..of).map(|at| (at + round) % of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_reach() {
        let check = |values: &[f64], median, least, most| {
            assert_eq!(Spread::of(values.iter().copied()), Spread { median, least, most });
        };
        check(&[3.0], 3.0, 3.0, 3.0);
        check(&[9.0, 1.0, 2.0], 2.0, 1.0, 9.0);
        check(&[4.0, 1.0, 2.0, 9.0], 3.0, 1.0, 9.0);
        assert!(Spread::of([]).median.is_nan());
    }

    fn measured(name: &str, records: u64, seconds: &[f64]) -> Measured {
        let rounds = seconds.iter().map(|&s| Spent { wall_s: 2.0 * s, cpu_s: s, peak_kib: 2_049 }).collect();
        Measured { name: name.to_owned(), records, rounds }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let check = |ours: &[f64], theirs: &[f64], median| {
            let times = measured("a", 10, ours).times(&measured("b", 10, theirs), |spent| spent.cpu_s);
            assert_eq!(times.median, median, "{ours:?} and {theirs:?}");
        };
        check(&[2.0], &[1.0], 2.0);
        // The second round was slow for both.
        check(&[2.0, 20.0, 2.0], &[1.0, 10.0, 1.0], 2.0);
        check(&[1.0, 1.0, 4.0], &[2.0, 1.0, 2.0], 1.0);
        // Ten times the records in ten times the time is the same.
        assert_eq!(measured("a", 100, &[10.0]).times(&measured("b", 10, &[1.0]), |spent| spent.cpu_s).median, 1.0);
    }

    #[test]
    fn a_table_has_a_line_each() {
        let (base, other) = (measured("native", 1_000_000, &[1.0, 1.0]), measured("route", 1_000_000, &[2.0, 4.0]));
        let text = table(&[base.clone(), other], &base);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2], "| native | 1.00 | 1.00 (1.00 to 1.00) | 2.00 | 1.00 (1.00 to 1.00) | 500000 | 3 |");
        assert_eq!(lines[3], "| route | 3.00 | 3.00 (2.00 to 4.00) | 6.00 | 3.00 (2.00 to 4.00) | 166667 | 3 |");
    }

    #[test]
    fn everyone_comes_first_once() {
        let firsts: Vec<usize> = (0..3).map(|round| order(3, round)[0]).collect();
        assert_eq!(firsts, [0, 1, 2]);
        assert_eq!(order(3, 1), [1, 2, 0]);
        assert!(order(0, 5).is_empty());
    }
}
