//! The table: what was measured beside what is wanted.

use crossdock_bench::{Spread, Usage};

/// What something took once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
}

impl Took {
    pub(crate) fn since(begun: Usage) -> Self {
        let (wall, cpu) = begun.end();
        Self { wall_s: wall.as_secs_f64(), cpu_s: cpu.as_secs_f64() }
    }

    /// The same for each of so many.
    pub(crate) fn each(self, of: f64) -> Self {
        Self { wall_s: self.wall_s / of, cpu_s: self.cpu_s / of }
    }
}

/// What something took each time.
pub(crate) type Samples = Vec<Took>;

/// A line of the table.
pub(crate) struct Row {
    what: String,
    target: String,
    measured: String,
    spread: String,
}

impl Row {
    /// How fast the first is beside the second: above 1 is faster. The median of the ratios within a round.
    pub(crate) fn rate(what: &str, target: &str, ours: &Samples, theirs: &Samples, value: fn(&Took) -> f64) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| value(theirs) / value(ours)).collect();
        let (least, most) = spread(&ratios);
        Self {
            what: what.to_owned(),
            target: target.to_owned(),
            measured: format!("{:.2}", median(ratios)),
            spread: format!("{least:.2} to {most:.2}"),
        }
    }

    /// Microseconds a piece.
    pub(crate) fn each(what: &str, samples: &Samples, pieces: f64) -> Self {
        let us =
            |value: fn(&Took) -> f64| -> Vec<f64> { samples.iter().map(|took| value(took) * 1e6 / pieces).collect() };
        let (walls, cpus) = (us(|took| took.wall_s), us(|took| took.cpu_s));
        let (least, most) = spread(&walls);
        Self {
            what: what.to_owned(),
            target: String::new(),
            measured: format!("{:.2} µs, CPU {:.2} µs", median(walls), median(cpus)),
            spread: format!("{least:.2} to {most:.2} µs"),
        }
    }

    /// Something that is not timed.
    pub(crate) fn note(what: &str, measured: &str) -> Self {
        let none = String::new;
        Self { what: what.to_owned(), target: none(), measured: measured.to_owned(), spread: none() }
    }

    /// Milliseconds to answer.
    pub(crate) fn answer(what: &str, target: &str, samples: &Samples) -> Self {
        let ms = |value: fn(&Took) -> f64| -> Vec<f64> { samples.iter().map(|took| value(took) * 1e3).collect() };
        let (walls, cpus) = (ms(|took| took.wall_s), ms(|took| took.cpu_s));
        let (least, most) = spread(&walls);
        Self {
            what: what.to_owned(),
            target: target.to_owned(),
            measured: format!("{:.2} ms, CPU {:.2} ms", median(walls), median(cpus)),
            spread: format!("{least:.2} to {most:.2} ms"),
        }
    }
}

/// All lines as Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | target | measured (median) | fastest to slowest |\n|---|---|---|---|");
    for Row { what, target, measured, spread } in rows {
        text.push_str(&format!("\n| {what} | {target} | {measured} | {spread} |"));
    }
    text
}

fn spread(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(least, most), &value| (least.min(value), most.max(value)))
}

fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).median
}
