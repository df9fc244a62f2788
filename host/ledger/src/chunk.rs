//! Ok and dropped records of a batch as one compressed block of columns, and a Bloom filter over their ids.

use crate::codec::{Reader, Writer};
use crate::error::LedgerError;
use crossdock_engine::ports::{Chunk, ChunkColumn};
use crossdock_model::Status;

const FORM: u64 = 1;

fn bad(why: &str) -> LedgerError {
    LedgerError::BadCommit { why: format!("the chunk of a batch contradicts itself: {why}") }
}

fn damaged() -> LedgerError {
    LedgerError::Damaged { what: "a chunk is not in the form it was written in".to_owned() }
}

/// Refuses a chunk whose columns differ in length or whose records are neither ok nor dropped.
pub(crate) fn validate(chunk: &Chunk) -> Result<(), LedgerError> {
    let count = chunk.ids.len();
    let columns = chunk.columns.iter().flat_map(|c| [c.target_ids.as_ref(), c.receipts.as_ref()]).flatten();
    if chunk.statuses.len() != count || chunk.steps.len() != count {
        return Err(bad("it does not have one status and one step a record"));
    }
    if columns.chain(chunk.payloads.as_ref()).any(|column| column.len() != count) {
        return Err(bad("a column does not have one value a record"));
    }
    if chunk.statuses.iter().any(|status| !matches!(status, Status::Ok | Status::Dropped)) {
        return Err(bad("a record is neither ok nor dropped"));
    }
    if chunk.ids.iter().any(|id| std::str::from_utf8(id).is_err()) {
        return Err(bad("an id is not UTF-8"));
    }
    Ok(())
}

/// The chunk as bytes, not yet compressed.
pub(crate) fn encode(chunk: &Chunk) -> Vec<u8> {
    let columns = chunk.columns.iter().flat_map(|c| [c.target_ids.as_ref(), c.receipts.as_ref()]).flatten();
    let bytes: usize = columns.chain(chunk.payloads.as_ref()).chain([&chunk.ids]).map(|c| c.data().len()).sum();
    // Two numbers a value and column, and one for the step.
    let mut writer = Writer(Vec::with_capacity(bytes + chunk.ids.len() * (4 + 4 * chunk.columns.len()) + 64));
    writer.number(FORM);
    writer.column(&chunk.ids);
    let statuses: Vec<u8> = chunk.statuses.iter().map(|&s| u8::from(s == Status::Dropped)).collect();
    writer.bytes(&statuses);
    for &step in &chunk.steps {
        writer.number(u64::from(step));
    }
    writer.number(chunk.columns.len() as u64);
    for column in &chunk.columns {
        writer.bytes(column.step.as_str().as_bytes());
        writer.maybe_column(column.target_ids.as_ref());
        writer.maybe_column(column.receipts.as_ref());
    }
    writer.maybe_column(chunk.payloads.as_ref());
    writer.0
}

/// The chunk from bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Chunk, LedgerError> {
    let mut reader = Reader::new(bytes);
    if reader.number()? != FORM {
        return Err(damaged());
    }
    let ids = reader.column()?;
    let statuses: Vec<Status> =
        reader.bytes()?.iter().map(|&b| if b == 0 { Status::Ok } else { Status::Dropped }).collect();
    let mut steps = Vec::with_capacity(ids.len());
    for _ in 0..ids.len() {
        steps.push(u16::try_from(reader.number()?).map_err(|_| damaged())?);
    }
    let mut columns = Vec::new();
    for _ in 0..reader.length()? {
        columns.push(ChunkColumn {
            step: reader.step()?,
            target_ids: reader.maybe_column()?,
            receipts: reader.maybe_column()?,
        });
    }
    let payloads = reader.maybe_column()?;
    reader.end()?;
    let chunk = Chunk { ids, statuses, steps, columns, payloads };
    validate(&chunk).map_err(|_| damaged())?;
    Ok(chunk)
}

/// Where a record is in the chunk from bytes, if it is there; reads no more of it than the ids.
pub(crate) fn position(bytes: &[u8], id: &[u8]) -> Result<Option<usize>, LedgerError> {
    let mut reader = Reader::new(bytes);
    if reader.number()? != FORM {
        return Err(damaged());
    }
    Ok(reader.column()?.iter().position(|one| one == id))
}

const BITS_A_RECORD: usize = 10;
const PROBES: u64 = 7;

fn hash(id: &[u8]) -> (u64, u64) {
    // FNV-1a, then mixed: the two halves must not depend on each other. Stored, so never to be changed.
    let mut value = 0xcbf2_9ce4_8422_2325u64;
    for &byte in id {
        value = (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut mixed = value ^ (value >> 33);
    mixed = mixed.wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^= mixed >> 33;
    (mixed, (mixed >> 32) | 1)
}

fn positions(id: &[u8], bits: u64) -> impl Iterator<Item = (usize, u8)> {
    let (start, stride) = hash(id);
    (0..PROBES).map(move |probe| {
        let position = start.wrapping_add(probe.wrapping_mul(stride)) % bits;
        (usize::try_from(position / 8).unwrap_or(0), 1u8 << (position % 8))
    })
}

/// A filter that says of an id "certainly not in this chunk" or "perhaps".
pub(crate) fn bloom(chunk: &Chunk) -> Vec<u8> {
    let mut filter = vec![0u8; (chunk.ids.len() * BITS_A_RECORD).div_ceil(8).max(1)];
    let bits = filter.len() as u64 * 8;
    for id in chunk.ids.iter() {
        for (byte, bit) in positions(id, bits) {
            filter[byte] |= bit;
        }
    }
    filter
}

/// Whether the chunk with this filter may hold the id.
pub(crate) fn may_hold(filter: &[u8], id: &[u8]) -> bool {
    !filter.is_empty()
        && positions(id, filter.len() as u64 * 8).all(|(byte, bit)| filter.get(byte).is_some_and(|b| b & bit != 0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crossdock_model::{Column, StepName};

    fn chunk(count: usize) -> Chunk {
        let values = |prefix: &str| -> Column { (0..count).map(|i| format!("{prefix}{i}")).collect() };
        Chunk {
            ids: values("order-"),
            statuses: (0..count).map(|i| if i % 7 == 3 { Status::Dropped } else { Status::Ok }).collect(),
            steps: (0..count).map(|i| u16::try_from(i % 3).unwrap()).collect(),
            columns: vec![
                ChunkColumn { step: StepName::new("erp").unwrap(), target_ids: Some(values("T")), receipts: None },
                ChunkColumn { step: StepName::new("crm").unwrap(), target_ids: None, receipts: Some(values("R")) },
            ],
            payloads: Some(values("{}")),
        }
    }

    fn check(count: usize) {
        let chunk = chunk(count);
        validate(&chunk).unwrap();
        let bytes = encode(&chunk);
        assert_eq!(decode(&bytes).unwrap(), chunk);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err());
        }
        let filter = bloom(&chunk);
        assert!(chunk.ids.iter().all(|id| may_hold(&filter, id)));
        for (index, id) in chunk.ids.iter().enumerate() {
            assert_eq!(position(&bytes, id).unwrap(), Some(index));
        }
        assert_eq!(position(&bytes, b"order").unwrap(), None);
    }

    #[test]
    fn chunks_come_back() {
        check(0);
        check(1);
        check(100);
    }

    #[test]
    fn the_filter_is_seldom_wrong() {
        let filter = bloom(&chunk(1000));
        let wrong = (0..10_000).filter(|i| may_hold(&filter, format!("other-{i}").as_bytes())).count();
        assert!(wrong < 200, "{wrong} of 10000");
    }

    #[test]
    fn contradictions_are_refused() {
        let mut short = chunk(3);
        short.statuses.pop();
        assert!(validate(&short).is_err());
        let mut failed = chunk(3);
        failed.statuses[0] = Status::Failed;
        assert!(validate(&failed).is_err());
        let mut column = chunk(3);
        column.columns[0].target_ids = Some(Column::new());
        assert!(validate(&column).is_err());
    }
}
