//! The purchases of the example, read here once more by other code than the plugins': what should come out.

use anyhow::{Context, Result, ensure};
use crossdock_devkit::workspace_root;
use std::collections::HashMap;

/// How much of the example's data a test takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// So many from the beginning, then one purchase of nothing, and a customer who bought twice on one day.
    First(usize),
    /// All 6,919.
    All,
}

/// One line of the data, as the ERP should hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// The record's id: customer and date, with a number where that is not enough.
    pub id: String,
    /// Five digits.
    pub customer: String,
    /// `YYYY-MM-DD`.
    pub date: String,
    /// How many.
    pub quantity: u64,
    /// What it cost, with two decimal places.
    pub amount: String,
}

impl Purchase {
    /// Whether the route drops it: it is worth nothing.
    #[must_use]
    pub fn is_dropped(&self) -> bool {
        self.amount.bytes().all(|byte| matches!(byte, b'0' | b'.'))
    }
}

impl Lines {
    /// The lines as they stand in the file, with their line ends.
    pub(crate) fn text(self) -> Result<String> {
        let path = workspace_root().join("examples/cdnow/data/CDNOW_sample.txt");
        let all = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let Self::First(count) = self else { return Ok(all) };
        let (first, rest): (Vec<_>, Vec<_>) = all.split_inclusive('\n').enumerate().partition(|(at, _)| *at < count);
        let rest: Vec<&str> = rest.into_iter().map(|(_, line)| line).collect();
        let nothing = rest.iter().position(|line| line.trim_end().ends_with(" 0.00"));
        let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let twice = rest.windows(2).position(|pair| {
            let (one, other) = (fields(pair[0]), fields(pair[1]));
            one[0] == other[0] && one[2] == other[2]
        });
        let nothing = nothing.context("the data has no further purchase of nothing")?;
        let twice = twice.context("the data has no further customer who bought twice on one day")?;
        let first = first.into_iter().map(|(_, line)| line);
        Ok(first.chain([rest[nothing], rest[twice], rest[twice + 1]]).collect())
    }
}

/// Reads purchases from lines like those of the example.
///
/// # Errors
/// When a line does not have its five fields.
pub fn purchases(text: &str) -> Result<Vec<Purchase>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut all = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        ensure!(fields.len() == 5 && fields[2].len() == 8, "not a purchase: {line:?}");
        let (customer, day) = (fields[0], fields[2]);
        let times = seen.entry(format!("{customer}/{day}")).or_default();
        *times += 1;
        let number = if *times > 1 { format!("#{times}") } else { String::new() };
        all.push(Purchase {
            id: format!("{customer}/{day}{number}"),
            customer: customer.to_owned(),
            date: format!("{}-{}-{}", &day[..4], &day[4..6], &day[6..]),
            quantity: fields[3].parse().with_context(|| format!("the quantity of {line:?}"))?,
            amount: fields[4].to_owned(),
        });
    }
    Ok(all)
}
