//! Orders to move: about 400 bytes of JSON each, the same for the same seed.

use std::io::{self, Write};

const NAMES: [&str; 8] = [
    "Ana Sofía Restrepo",
    "Mateo Hernández",
    "Greta Lindqvist",
    "Tomasz Zieliński",
    "Ines \"Nessie\" Duarte",
    "Oluwaseun Adeyemi",
    "Marie-Claire Dubois",
    "Haruto Tanaka",
];
const CITIES: [&str; 6] = ["Medellín", "Bogotá", "Göteborg", "Kraków", "Coimbra", "Lagos"];
const CURRENCIES: [&str; 4] = ["EUR", "USD", "COP", "SEK"];
const THINGS: [&str; 6] =
    ["steel bracket 40 mm", "oak shelf", "cable tie, black", "desk lamp", "hinge \u{2300}8 mm", "paint, white"];

/// How many of a thousand orders are cancelled.
const CANCELLED_PER_MILLE: u64 = 100;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Orders in all.
    pub orders: u64,
    /// Those of them that are cancelled.
    pub cancelled: u64,
    /// Bytes, line ends included.
    pub bytes: u64,
}

/// An endless row of orders.
#[derive(Debug, Clone)]
pub struct Orders {
    random: u64,
    number: u64,
    lines_max: u64,
}

/// How many lines an order has at most, unless it is asked otherwise.
const LINES_MAX: u64 = 5;

impl Orders {
    /// The orders of this seed, from the first one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: seed, number: 0, lines_max: LINES_MAX }
    }

    /// The same with 1 to so many lines an order, which is what makes it longer: 400 bytes are 1 to 5.
    #[must_use]
    pub fn with_lines(self, lines_max: u64) -> Self {
        Self { lines_max, ..self }
    }

    /// Writes the next orders, one a line.
    ///
    /// # Errors
    /// As the writer.
    pub fn write(&mut self, out: &mut impl Write, orders: u64) -> io::Result<Written> {
        let mut written = Written { orders, ..Written::default() };
        for _ in 0..orders {
            let (line, cancelled) = self.next_order();
            out.write_all(line.as_bytes())?;
            out.write_all(b"\n")?;
            written.bytes += line.len() as u64 + 1;
            written.cancelled += u64::from(cancelled);
        }
        Ok(written)
    }

    /// The next order as one line of JSON, and whether it is cancelled.
    pub fn next_order(&mut self) -> (String, bool) {
        self.number += 1;
        let cancelled = self.below(1000) < CANCELLED_PER_MILLE;
        let status = if cancelled { "cancelled" } else { "paid" };
        let (name, city) = (self.one_of(&NAMES).replace('"', "\\\""), self.one_of(&CITIES));
        let (customer, currency) = (self.below(100_000), self.one_of(&CURRENCIES));
        let (month, day, hour) = (1 + self.below(12), 1 + self.below(28), self.below(24));
        let mut lines = String::new();
        let mut total = 0;
        for line in 0..=self.below(self.lines_max) {
            let (sku, thing) = (self.below(10_000), self.one_of(&THINGS));
            let (quantity, cents) = (1 + self.below(9), 99 + self.below(20_000));
            total += quantity * cents;
            let comma = if line == 0 { "" } else { "," };
            let price = amount(cents);
            lines.push_str(&format!(
                r#"{comma}{{"sku":"KX-{sku:04}","name":"{thing}","quantity":{quantity},"price":{price}}}"#
            ));
        }
        let line = format!(
            r#"{{"order":"SO-{:08}","placed":"2026-{month:02}-{day:02}T{hour:02}:30:00Z","customer":{{"id":"C-{customer:05}","name":"{name}","city":"{city}"}},"currency":"{currency}","status":"{status}","lines":[{lines}],"total":{}}}"#,
            self.number,
            amount(total),
        );
        (line, cancelled)
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }

    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64. The remainder prefers small numbers by less than one in 10^14.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Cents as a JSON number, as a shop writes it: without zeros at its end.
fn amount(cents: u64) -> String {
    let (whole, rest) = (cents / 100, cents % 100);
    match rest {
        0 => format!("{whole}"),
        _ if rest.is_multiple_of(10) => format!("{whole}.{}", rest / 10),
        _ => format!("{whole}.{rest:02}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let write = |seed| {
            let mut text = Vec::new();
            let written = Orders::new(seed).write(&mut text, 2_000).unwrap();
            (text, written)
        };
        let (text, written) = write(7);
        assert_eq!((&text, written), (&write(7).0, write(7).1));
        assert_ne!(text, write(8).0);
        assert_eq!(written.bytes, text.len() as u64);
        let bytes_an_order = written.bytes / written.orders;
        assert!((360..440).contains(&bytes_an_order), "{bytes_an_order} bytes an order");
        assert!((150..250).contains(&written.cancelled), "{} cancelled", written.cancelled);
    }

    #[test]
    fn lines_make_orders_long() {
        let bytes_an_order = |lines_max| {
            let mut text = Vec::new();
            let written = Orders::new(7).with_lines(lines_max).write(&mut text, 2_000).unwrap();
            written.bytes / written.orders
        };
        assert_eq!(bytes_an_order(LINES_MAX), Orders::new(7).write(&mut Vec::new(), 2_000).unwrap().bytes / 2_000);
        assert!((3_600..4_400).contains(&bytes_an_order(106)), "{} bytes an order", bytes_an_order(106));
    }

    #[test]
    fn amounts() {
        let check = |cents, expected: &str| assert_eq!(amount(cents), expected);
        check(0, "0");
        check(1, "0.01");
        check(120, "1.2");
        check(1_900, "19");
        check(12_345, "123.45");
    }
}
