//! What all live instances of a sandbox hold together: many that each keep to their own limit can still be too many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many holders are named when there is nothing left.
const NAMED_MAX: usize = 3;

/// The memory of all live stores, counted in bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    max_bytes: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    sum_bytes: u64,
    next: u64,
    shares: BTreeMap<u64, (Arc<str>, u64)>,
}

impl Budget {
    pub(crate) fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { max_bytes, held: Mutex::default() })
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// A share for a store, empty at first, under a name for people.
    pub(crate) fn share(self: &Arc<Self>, who: String) -> Share {
        let mut held = self.held();
        let number = held.next;
        held.next += 1;
        held.shares.insert(number, (who.into(), 0));
        Share { budget: self.clone(), number }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one store holds; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    number: u64,
}

impl Share {
    /// Another share of the same holder, empty at first.
    pub(crate) fn another(&self) -> Self {
        let who = self.budget.held().shares.get(&self.number).map(|(who, _)| who.clone());
        self.budget.share(who.as_deref().unwrap_or_default().to_owned())
    }

    /// Takes more; answers whether there was enough left.
    pub(crate) fn take(&mut self, bytes: u64) -> bool {
        let mut held = self.budget.held();
        let sum = held.sum_bytes.saturating_add(bytes);
        if sum > self.budget.max_bytes {
            return false;
        }
        held.sum_bytes = sum;
        if let Some((_, mine)) = held.shares.get_mut(&self.number) {
            *mine += bytes;
        }
        true
    }

    /// Gives some of it back.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        let mut held = self.budget.held();
        let Some((_, mine)) = held.shares.get_mut(&self.number) else { return };
        let bytes = bytes.min(*mine);
        *mine -= bytes;
        held.sum_bytes = held.sum_bytes.saturating_sub(bytes);
    }

    pub(crate) fn max_bytes(&self) -> u64 {
        self.budget.max_bytes()
    }

    /// Who holds most at the moment, in words.
    pub(crate) fn holders(&self) -> String {
        let held = self.budget.held();
        let mut shares: Vec<_> = held.shares.values().collect();
        shares.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let named: Vec<_> =
            shares.iter().take(NAMED_MAX).map(|(who, bytes)| format!("{who} {} MiB", bytes >> 20)).collect();
        let others = shares.len().saturating_sub(NAMED_MAX);
        let rest = if others == 0 { String::new() } else { format!(", and {others} others") };
        format!("{}{rest}", named.join(", "))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.budget.held();
        if let Some((_, bytes)) = held.shares.remove(&self.number) {
            held.sum_bytes = held.sum_bytes.saturating_sub(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_out_of_one_budget_and_go_back() {
        let budget = Budget::new(100 << 20);
        let mut shares: Vec<_> = ["a", "b", "c", "d", "e"].map(|who| budget.share(who.to_owned())).into();
        for (share, mib) in shares.iter_mut().zip([10, 40, 20, 30, 0]) {
            assert!(share.take(mib << 20));
        }
        assert!(!shares[4].take(1));
        assert_eq!(shares[4].holders(), "b 40 MiB, d 30 MiB, c 20 MiB, and 2 others");
        shares[1].give_back(5 << 20);
        assert!(shares[4].take(5 << 20));
        assert!(!shares[4].take(1));
        // Never more than is held.
        shares[4].give_back(u64::MAX);
        shares.remove(1);
        assert_eq!(shares[0].holders(), "d 30 MiB, c 20 MiB, a 10 MiB, and 1 others");
        assert!(shares[0].take(40 << 20));
        assert!(!shares[0].take(1));
        assert!(!shares[0].take(u64::MAX));
    }
}
