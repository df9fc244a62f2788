//! Versions of the plugin contract, and which of them a host loads.

use std::fmt;

/// The version of the plugin contract that this version of Crossdock speaks: what `wit/` says.
pub const CONTRACT_VERSION: &str = "0.1.0";
/// The custom section in which a plugin says which version of the contract it was built for: three numbers, as
/// [`ContractVersion`] reads them.
pub const CONTRACT_SECTION: &str = "crossdock:contract";

/// A version of the plugin contract: three numbers, no more.
///
/// Versions that have the same first number go together, and below 1.0 those that have the same first two: of these a
/// later one only adds what the host offers, and what plugins may export. So a host loads the plugins of its own version and of
/// those before it that go together with it. It loads none of a later version: they may ask for what it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractVersion {
    major: u64,
    minor: u64,
    patch: u64,
}

/// Whether a host loads the plugins of a version of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Loads,
    /// The plugin's version is older, and the two do not go together any more.
    TooOld,
    /// The plugin's version is newer than the host's.
    TooNew,
}

impl ContractVersion {
    /// The version of this Crossdock: [`CONTRACT_VERSION`].
    pub const OURS: Self = Self { major: 0, minor: 1, patch: 0 };

    /// Reads `0.1.0`: numbers without leading zeros, and nothing before, between or after them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(number);
        let version = Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(version)
    }

    /// Whether a host that speaks this version loads plugins that were built for the other one.
    #[must_use]
    pub fn fit(self, plugin: Self) -> Fit {
        match (plugin > self, plugin.line() == self.line()) {
            (true, _) => Fit::TooNew,
            (false, true) => Fit::Loads,
            (false, false) => Fit::TooOld,
        }
    }

    /// What versions that go together have in common.
    fn line(self) -> (u64, u64) {
        (self.major, if self.major == 0 { self.minor } else { 0 })
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_and_nothing_else() {
        let check = |text: &str, read: bool| {
            let found = ContractVersion::parse(text);
            assert_eq!(found.map(|version| version.to_string()).as_deref(), read.then_some(text), "{text}");
        };
        for text in ["0.1.0", "0.0.0", "1.0.0", "10.20.30", "18446744073709551615.0.1"] {
            check(text, true);
        }
        for text in
            ["", "0", "0.1", "0.1.", ".1.0", "0..0", "0.1.0.0", "01.1.0", "0.1.00", "v0.1.0", " 0.1.0", "0.1.0 "]
        {
            check(text, false);
        }
        for text in ["0.1.0-rc.1", "0.1.0+1", "0.1.x", "0.-1.0", "18446744073709551616.0.0", "0.1.0\0", "٠.1.0"] {
            check(text, false);
        }
        assert_eq!(ContractVersion::OURS.to_string(), CONTRACT_VERSION);
    }

    #[test]
    fn what_a_host_loads() {
        let check = |host: &str, plugin: &str, fit: Fit| {
            let version = |text| ContractVersion::parse(text).unwrap();
            assert_eq!(version(host).fit(version(plugin)), fit, "a plugin of {plugin} on a host of {host}");
        };
        use Fit::{Loads, TooNew, TooOld};
        check("0.1.0", "0.1.0", Loads);
        check("0.1.1", "0.1.0", Loads);
        check("0.1.12", "0.1.9", Loads);
        check("0.1.0", "0.1.1", TooNew);
        check("0.1.0", "0.2.0", TooNew);
        check("0.2.0", "0.1.0", TooOld);
        check("0.2.0", "0.1.9", TooOld);
        check("0.2.3", "0.2.0", Loads);
        check("1.0.0", "0.9.9", TooOld);
        check("1.4.2", "1.0.0", Loads);
        check("1.4.2", "1.4.3", TooNew);
        check("1.4.2", "1.5.0", TooNew);
        check("2.0.0", "1.9.9", TooOld);
        check("1.9.9", "2.0.0", TooNew);
        check("0.1.0", "0.0.9", TooOld);
    }
}
