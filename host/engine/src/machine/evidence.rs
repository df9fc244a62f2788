//! Which requests went out for what: written down with records that are not well, and told with calls that have no
//! answer.

use crate::ports::Exchange;
use serde_json::{Value, json};

/// The most requests that are written down with one attempt: the first and the last of them.
const KEPT_MAX: usize = 40;
/// How many of them may have been made for the batch as a whole.
const SHARED_KEPT_MAX: usize = 4;
/// The most requests that an event tells of: the first and the last of them.
const TOLD_MAX: usize = 20;

/// The first and the last of a list, so many together.
fn ends<T>(mut list: Vec<T>, most: usize) -> Vec<T> {
    if list.len() > most {
        list.drain(most / 2..list.len() - most.div_ceil(2));
    }
    list
}

/// What was sent for the record at this position of a call's batch, and for the batch as a whole.
pub(crate) fn of_record(exchanges: &[Exchange], index: usize) -> Vec<Exchange> {
    let own = u32::try_from(index).ok();
    let shared = ends(exchanges.iter().filter(|exchange| exchange.record.is_none()).collect(), SHARED_KEPT_MAX);
    let own: Vec<_> = exchanges.iter().filter(|exchange| exchange.record.is_some() && exchange.record == own).collect();
    let mut kept: Vec<Exchange> = shared.into_iter().chain(ends(own, KEPT_MAX - SHARED_KEPT_MAX)).cloned().collect();
    kept.sort_by_key(|exchange| exchange.at);
    kept
}

/// What several calls of one attempt sent.
pub(super) fn together(earlier: Vec<Exchange>, more: Vec<Exchange>) -> Vec<Exchange> {
    ends(earlier.into_iter().chain(more).collect(), KEPT_MAX)
}

/// What an event tells of the requests of a call; nothing if there were none.
pub(super) fn told(exchanges: &[Exchange]) -> Value {
    if exchanges.is_empty() {
        return Value::Null;
    }
    json!({ "sent": exchanges.len(), "exchanges": ends(exchanges.iter().collect(), TOLD_MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossdock_model::Timestamp;

    fn exchange(at: i64, record: Option<u32>) -> Exchange {
        let (method, url) = ("POST".to_owned(), "https://erp.example/orders".to_owned());
        Exchange { at: Timestamp(at), record, method, url, status: None, error: None, took_ms: 0, bytes: 0 }
    }

    #[test]
    fn a_record_has_its_own_and_those_of_all() {
        let check = |sent: &[(i64, Option<u32>)], expected: &[i64]| {
            let sent: Vec<_> = sent.iter().map(|&(at, record)| exchange(at, record)).collect();
            let kept: Vec<_> = of_record(&sent, 1).into_iter().map(|exchange| exchange.at.0).collect();
            assert_eq!(kept, expected);
        };
        check(&[], &[]);
        check(&[(1, Some(0)), (2, Some(1)), (3, None), (4, Some(2)), (5, Some(1))], &[2, 3, 5]);
        let shared: Vec<_> = (0..10).map(|at| (at, None)).collect();
        check(&shared, &[0, 1, 8, 9]);
        let many: Vec<_> = (0..100).map(|at| (at, Some(1))).collect();
        check(&many, &(0..18).chain(82..100).collect::<Vec<_>>());
    }

    #[test]
    fn an_event_tells_how_many_there_were() {
        assert_eq!(told(&[]), Value::Null);
        let sent: Vec<_> = (0..50).map(|at| exchange(at, None)).collect();
        let told = told(&sent);
        assert_eq!((&told["sent"], told["exchanges"].as_array().map(Vec::len)), (&json!(50), Some(TOLD_MAX)));
    }
}
