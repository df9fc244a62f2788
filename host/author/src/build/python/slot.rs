//! The place in an engine that a plugin's source is written into.

/// What stands in front of it: the kit's `engine/crossdock_engine.py` makes it.
const MARK: &[u8] = b"crossdock:plugin-source-slot";
/// What an empty one is filled with.
const FILL: u8 = 0xa5;
/// How much it takes, behind four bytes of length.
const MAX_BYTES: usize = 1 << 20;

/// The engine with the plugin's source in its slot.
///
/// # Errors
/// It does not fit, or the engine has no such place; the text says so.
pub(super) fn fill(mut engine: Vec<u8>, payload: &[u8]) -> Result<Vec<u8>, String> {
    if payload.len() > MAX_BYTES {
        let len = payload.len();
        return Err(format!(
            "the plugin's modules have {len} bytes together with those of its libraries; there is room for {MAX_BYTES}"
        ));
    }
    let size = 4 + MAX_BYTES;
    let is_slot = |at: usize| engine.get(at..at + size).is_some_and(|slot| slot.iter().all(|byte| *byte == FILL));
    let marks = memmem(&engine).map(|at| at + MARK.len());
    let slots: Vec<usize> = marks.filter(|at| is_slot(*at)).collect();
    let &[at] = slots.as_slice() else {
        return Err(format!("the engine has {} places for a plugin, not one", slots.len()));
    };
    let length = (payload.len() as u32).to_le_bytes();
    // The rest is left as it is: it is never read.
    for (to, from) in engine.iter_mut().skip(at).zip(length.iter().chain(payload)) {
        *to = *from;
    }
    Ok(engine)
}

/// Where the mark stands, each time.
fn memmem(engine: &[u8]) -> impl Iterator<Item = usize> {
    engine.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn engine(slots: usize) -> Vec<u8> {
        let slot = [b"before", MARK, &vec![FILL; 4 + MAX_BYTES], b"behind"].concat();
        [&slot.repeat(slots), MARK].concat()
    }

    #[test]
    fn the_payload_is_written_and_nothing_else() {
        let filled = fill(engine(1), b"{}").unwrap();
        let wanted = [b"before", MARK, &[2, 0, 0, 0], b"{}", &vec![FILL; MAX_BYTES - 2], b"behind", MARK].concat();
        assert!(filled == wanted);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(fill(engine(1), &vec![b' '; MAX_BYTES]).is_ok());
        assert!(fill(engine(1), &vec![b' '; MAX_BYTES + 1]).unwrap_err().contains("there is room for 1048576"));
        assert_eq!(fill(engine(0), b"{}").unwrap_err(), "the engine has 0 places for a plugin, not one");
        assert_eq!(fill(engine(2), b"{}").unwrap_err(), "the engine has 2 places for a plugin, not one");
    }
}
