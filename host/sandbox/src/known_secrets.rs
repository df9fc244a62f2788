//! The secrets that a process has read: known wherever texts enter and leave it.

use crate::redact::{Redactor, SECRET_MIN_BYTES};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use zeroize::Zeroizing;

/// How many values of one secret are still looked for in texts, the newest among them.
const VALUES_KNOWN_MAX: usize = 16;

/// The secrets that were read, whoever may use them. Cheap to clone; all clones know the same.
///
/// Whoever reads a secret tells it here before it is used, so that it is found wherever it comes back: what one plugin
/// sends to another system may return through a second one. A value that was replaced stays known, up to sixteen of a
/// name.
#[derive(Clone, Default)]
pub struct KnownSecrets(Arc<Known>);

type Value = Zeroizing<Vec<u8>>;

#[derive(Default)]
struct Known {
    values: Mutex<Vec<(String, Vec<Value>)>>,
    redactor: RwLock<Arc<Redactor>>,
}

impl fmt::Debug for KnownSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownSecrets({:?})", self.redactor())
    }
}

impl KnownSecrets {
    /// Remembers values: name and value. Those of less than [`SECRET_MIN_BYTES`] are not.
    pub fn learn<'a>(&self, secrets: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let mut values = self.0.values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for (name, value) in secrets.into_iter().filter(|(_, value)| value.len() >= SECRET_MIN_BYTES) {
            let place = values.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                values.push((name.to_owned(), Vec::new()));
                values.len() - 1
            });
            let of_name = &mut values[place].1;
            match of_name.iter().position(|known| ***known == *value) {
                // Used last, forgotten last; it is known all the same.
                Some(known) => of_name[known..].rotate_left(1),
                None => {
                    of_name.push(Zeroizing::new(value.to_vec()));
                    let too_many = of_name.len().saturating_sub(VALUES_KNOWN_MAX);
                    of_name.drain(..too_many);
                    changed = true;
                }
            }
        }
        if changed {
            let all = values.iter().flat_map(|(name, values)| values.iter().map(|v| (name.as_str(), v.as_slice())));
            let redactor = Arc::new(Redactor::new(all));
            // While the values are held, so that an older redactor never takes the place of a newer one.
            *self.0.redactor.write().unwrap_or_else(PoisonError::into_inner) = redactor;
        }
    }

    /// Knows all that was learnt up to now.
    #[must_use]
    pub fn redactor(&self) -> Arc<Redactor> {
        self.0.redactor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learnt_is_known_to_all_clones() {
        let known = KnownSecrets::default();
        let clone = known.clone();
        assert_eq!(clone.redactor().redact("one-1 two-2"), "one-1 two-2");
        known.learn([("A", &b"one-1"[..]), ("B", &b"two-2"[..]), ("C", &b"abc"[..]), ("D", &b""[..])]);
        assert_eq!(clone.redactor().redact("one-1 two-2 abc"), "[secret A] [secret B] abc");
        assert!(!format!("{known:?}").contains("one-1"));
    }

    #[test]
    fn old_values_are_known_up_to_a_limit() {
        let known = KnownSecrets::default();
        for number in 0..VALUES_KNOWN_MAX {
            known.learn([("A", format!("value-number-{number:03}").as_bytes())]);
        }
        // In use again, so that another one is the oldest.
        known.learn([("A", &b"value-number-000"[..])]);
        known.learn([("A", &b"value-number-new"[..])]);
        let is_known = |value: &str| known.redactor().redact(value) == "[secret A]";
        assert!(is_known("value-number-000") && is_known("value-number-002") && is_known("value-number-new"));
        assert!(!is_known("value-number-001"));
    }
}
