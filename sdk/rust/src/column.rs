//! Packed columns, seen and made.

use crate::bindings::base::crossdock::plugin::types as wit;

/// The values of a column, borrowed from a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    data: &'a [u8],
    offsets: &'a [u32],
}

impl<'a> Values<'a> {
    pub(crate) const NONE: Values<'static> = Values { data: &[], offsets: &[0] };

    pub(crate) fn new(column: &'a wit::Column) -> Self {
        Self { data: &column.data, offsets: &column.offsets }
    }

    /// Value `index`; empty where there is none.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> &'a [u8] {
        match self.offsets.get(index..) {
            Some([start, end, ..]) => self.data.get(*start as usize..*end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The column's bytes, and how many values it has.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.data.len(), self.offsets.len().saturating_sub(1))
    }
}

/// A column that grows at its end: values are written straight into one buffer.
#[derive(Debug, Clone)]
pub(crate) struct ColumnBuilder {
    pub(crate) data: Vec<u8>,
    offsets: Vec<u32>,
}

impl ColumnBuilder {
    pub(crate) fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        Self { data: Vec::with_capacity(bytes), offsets }
    }

    /// How many values are complete.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Ends a value: everything written to `data` since the end of the one before.
    ///
    /// wasm32 cannot hold 4 GiB of data, so the cut never loses anything there.
    #[inline]
    pub(crate) fn end_value(&mut self) {
        self.offsets.push(self.data.len() as u32);
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.data.extend_from_slice(value);
        self.end_value();
    }

    /// Ends empty values until there are `len`.
    pub(crate) fn pad_to(&mut self, len: usize) {
        let end = self.data.len() as u32;
        if self.len() < len {
            self.offsets.resize(len + 1, end);
        }
    }

    /// Forgets everything behind the first `len` values, complete or not.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.data.truncate(self.offsets.last().copied().unwrap_or(0) as usize);
    }

    /// Where the last complete value ends.
    pub(crate) fn end(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0) as usize
    }

    pub(crate) fn finish(self) -> wit::Column {
        wit::Column { data: self.data, offsets: self.offsets }
    }
}

/// A column of which any value may be set, in any order, most of them usually in the order of the records.
#[derive(Debug, Default)]
pub(crate) struct SparseColumn {
    data: Vec<u8>,
    spans: Vec<(u32, u32)>,
    next: usize,
    shuffled: bool,
}

impl SparseColumn {
    /// Sets a value of a column that will have at least `len` of them. Nothing is kept for empty values.
    pub(crate) fn set(&mut self, index: usize, len: usize, value: &[u8]) {
        if value.is_empty() && self.spans.get(index).is_none_or(|span| span.0 == span.1) {
            return;
        }
        if self.spans.len() < len {
            self.spans.resize(len, (0, 0));
        }
        if let Some(span) = self.spans.get_mut(index) {
            let start = self.data.len() as u32;
            self.data.extend_from_slice(value);
            *span = (start, self.data.len() as u32);
            self.shuffled |= index < self.next;
            self.next = index + 1;
        }
    }

    /// The column with exactly `len` values.
    pub(crate) fn finish_len(mut self, len: usize) -> wit::Column {
        self.spans.resize(len, (0, 0));
        self.finish()
    }

    /// The column: of no values if none was ever set.
    pub(crate) fn finish(self) -> wit::Column {
        let mut offsets = Vec::with_capacity(self.spans.len() + 1);
        offsets.push(0);
        if !self.shuffled {
            let mut end = 0;
            offsets.extend(self.spans.iter().map(|span| {
                end = end.max(span.1);
                end
            }));
            return wit::Column { data: self.data, offsets };
        }
        let mut column = ColumnBuilder::with_capacity(self.spans.len(), self.data.len());
        for (start, end) in self.spans {
            column.push(self.data.get(start as usize..end as usize).unwrap_or_default());
        }
        column.finish()
    }
}
