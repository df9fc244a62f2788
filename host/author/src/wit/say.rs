//! A comparison as text for people.

use super::{Comparison, Difference, Verdict};
use std::fmt::{self, Display, Formatter};

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "without a version".to_owned());
        let (old, new) = (version(&self.old.version), version(&self.new.version));
        write!(f, "{} {old} → ", self.old.package)?;
        if self.old.package != self.new.package {
            write!(f, "{} ", self.new.package)?;
        }
        let refused = self.differences.iter().filter(|it| it.verdict == Verdict::Refused).count();
        match refused {
            0 => writeln!(f, "{new}: plugins that were built for {old} go on with a host that speaks {new}")?,
            1 => writeln!(f, "{new}: plugins that were built for {old} do not all go on: 1 difference breaks some")?,
            n => writeln!(f, "{new}: plugins that were built for {old} do not all go on: {n} differences break some")?,
        }
        if self.differences.is_empty() {
            return writeln!(f, "\nThere is no difference.");
        }
        for difference in self.differences.iter().filter(|it| it.verdict == Verdict::Refused) {
            write!(f, "\n{difference}")?;
        }
        if self.differences.len() > refused {
            writeln!(f, "\nallowed")?;
        }
        for difference in self.differences.iter().filter(|it| it.verdict == Verdict::Allowed) {
            write!(f, "{difference}")?;
        }
        Ok(())
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { verdict, place, item, what, was, is, why, instead } = self;
        let item = item.as_ref().map(|item| format!(", {item}")).unwrap_or_default();
        if *verdict == Verdict::Allowed {
            writeln!(f, "  {place}{item}: {what}")?;
            return is.iter().filter(|_| was.is_none()).try_for_each(|is| writeln!(f, "    {is}"));
        }
        writeln!(f, "refused  {place}{item}: {what}")?;
        let lines = [("was", was), ("is", is), ("because", &Some(why.clone())), ("instead", instead)];
        for (word, text) in lines {
            if let Some(text) = text {
                writeln!(f, "  {word:<8} {text}")?;
            }
        }
        Ok(())
    }
}
