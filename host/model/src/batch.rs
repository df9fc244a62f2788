//! Records packed into columns.

use thiserror::Error;

/// Why two lists of numbers and bytes are not a column.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// There is no first offset, or it is not 0.
    #[error("a column's first offset must be 0")]
    FirstOffset,
    /// An offset is smaller than the one before it.
    #[error("offset {index} of a column is smaller than the one before it")]
    Descending {
        /// Its position in the list of offsets.
        index: usize,
    },
    /// The last offset is not the length of the data.
    #[error("a column's last offset is {last}, its data has {len} bytes")]
    LastOffset {
        /// What the last offset says.
        last: u32,
        /// How long the data is.
        len: usize,
    },
    /// More bytes than 32-bit offsets can address.
    #[error("a column can hold at most 4 GiB")]
    TooLarge,
}

/// A column of byte strings: Arrow's variable-size binary layout.
///
/// Value `i` is `data[offsets[i]..offsets[i + 1]]`; n values have n + 1 offsets.
///
/// ```
/// use crossdock_model::Column;
/// let names: Column = ["ann", "", "bob"].into_iter().collect();
/// assert_eq!(names.len(), 3);
/// assert_eq!(names.get(2), Some(&b"bob"[..]));
/// assert_eq!(names.offsets(), &[0, 3, 3, 6]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    data: Vec<u8>,
    offsets: Vec<u32>,
}

impl Default for Column {
    fn default() -> Self {
        Self::new()
    }
}

impl Column {
    /// A column of no values.
    #[must_use]
    pub fn new() -> Self {
        Self { data: Vec::new(), offsets: vec![0] }
    }

    /// A column of no values with room for some.
    #[must_use]
    pub fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        Self { data: Vec::with_capacity(bytes), offsets }
    }

    /// A column from its two parts, which may come from a stranger.
    ///
    /// # Errors
    /// When the parts do not follow the layout.
    pub fn from_parts(data: Vec<u8>, offsets: Vec<u32>) -> Result<Self, ColumnError> {
        if offsets.first() != Some(&0) {
            return Err(ColumnError::FirstOffset);
        }
        if let Some(index) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
            return Err(ColumnError::Descending { index: index + 1 });
        }
        let last = offsets.last().copied().unwrap_or(0);
        if last as usize != data.len() {
            return Err(ColumnError::LastOffset { last, len: data.len() });
        }
        Ok(Self { data, offsets })
    }

    /// The two parts: data, and n + 1 offsets.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u32>) {
        (self.data, self.offsets)
    }

    /// All values one after the other.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Where the values begin and end: n + 1 numbers for n values.
    #[must_use]
    pub fn offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Value `index`, if there is one.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let start = *self.offsets.get(index)? as usize;
        let end = *self.offsets.get(index + 1)? as usize;
        self.data.get(start..end)
    }

    /// Value `index` as text, with bytes that are not UTF-8 replaced; empty if there is none.
    #[must_use]
    pub fn text(&self, index: usize) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.get(index).unwrap_or_default())
    }

    /// Appends a value.
    ///
    /// # Errors
    /// When the column would pass 4 GiB.
    pub fn try_push(&mut self, value: &[u8]) -> Result<(), ColumnError> {
        let end = u32::try_from(self.data.len() + value.len()).map_err(|_| ColumnError::TooLarge)?;
        self.data.extend_from_slice(value);
        self.offsets.push(end);
        Ok(())
    }

    /// Appends all values of another column.
    ///
    /// # Errors
    /// When the column would pass 4 GiB; it is unchanged then.
    pub fn try_extend(&mut self, other: &Self) -> Result<(), ColumnError> {
        let start = u32::try_from(self.data.len()).map_err(|_| ColumnError::TooLarge)?;
        u32::try_from(self.data.len() + other.data.len()).map_err(|_| ColumnError::TooLarge)?;
        self.data.extend_from_slice(&other.data);
        self.offsets.extend(other.offsets[1..].iter().map(|offset| start + offset));
        Ok(())
    }

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        (0..self.len()).map(|i| &self.data[self.offsets[i] as usize..self.offsets[i + 1] as usize])
    }

    /// The values at these positions, in this order. Positions that do not exist are left out.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        let bytes = indices.iter().filter_map(|&i| self.get(i)).map(<[u8]>::len).sum();
        let mut column = Self::with_capacity(indices.len(), bytes);
        for value in indices.iter().filter_map(|&i| self.get(i)) {
            // Cannot pass 4 GiB unless positions repeat; then the rest is left out.
            if column.try_push(value).is_err() {
                break;
            }
        }
        column
    }
}

impl<V: AsRef<[u8]>> FromIterator<V> for Column {
    /// # Panics
    /// Never; values beyond 4 GiB are left out.
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        let mut column = Self::new();
        for value in values {
            if column.try_push(value.as_ref()).is_err() {
                break;
            }
        }
        column
    }
}

/// A named value a record; empty where the record does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// At most 128 bytes, for example `steps.reserve.target_id`.
    pub name: String,
    /// One value a record.
    pub values: Column,
}

/// Records handed over together: columns of equal length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The stable identity of each record at its origin.
    pub ids: Column,
    /// The content of each record.
    pub payloads: Column,
    /// Further values a record.
    pub attributes: Vec<Attribute>,
}

impl Batch {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The records at these positions, in this order.
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        Self {
            ids: self.ids.select(indices),
            payloads: self.payloads.select(indices),
            attributes: self
                .attributes
                .iter()
                .map(|a| Attribute { name: a.name.clone(), values: a.values.select(indices) })
                .collect(),
        }
    }

    /// Appends the records of another batch. An attribute that only one of the two has is empty for the
    /// records of the other.
    ///
    /// # Errors
    /// When a column would pass 4 GiB.
    pub fn try_extend(&mut self, other: &Self) -> Result<(), ColumnError> {
        let before = self.len();
        self.ids.try_extend(&other.ids)?;
        self.payloads.try_extend(&other.payloads)?;
        for theirs in &other.attributes {
            if !self.attributes.iter().any(|mine| mine.name == theirs.name) {
                let values = std::iter::repeat_n("", before).collect();
                self.attributes.push(Attribute { name: theirs.name.clone(), values });
            }
        }
        let nothing: Column = std::iter::repeat_n("", other.len()).collect();
        for mine in &mut self.attributes {
            let theirs = other.attributes.iter().find(|theirs| theirs.name == mine.name);
            mine.values.try_extend(theirs.map_or(&nothing, |theirs| &theirs.values))?;
        }
        Ok(())
    }

    /// The attributes of one record that are not empty, in order.
    #[must_use]
    pub fn attributes_of(&self, index: usize) -> Vec<(String, Vec<u8>)> {
        self.attributes
            .iter()
            .filter_map(|a| {
                let value = a.values.get(index)?;
                (!value.is_empty()).then(|| (a.name.clone(), value.to_vec()))
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn check(data: &str, offsets: &[u32], expected: Result<&[&str], ColumnError>) {
        let column = Column::from_parts(data.as_bytes().to_vec(), offsets.to_vec());
        match (column, expected) {
            (Ok(column), Ok(values)) => {
                assert_eq!(column, values.iter().collect::<Column>());
            }
            (Err(found), Err(expected)) => assert_eq!(found, expected),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn columns_from_strangers() {
        check("", &[0], Ok(&[]));
        check("abc", &[0, 1, 1, 3], Ok(&["a", "", "bc"]));
        check("abc", &[], Err(ColumnError::FirstOffset));
        check("abc", &[1, 3], Err(ColumnError::FirstOffset));
        check("abc", &[0, 2, 1, 3], Err(ColumnError::Descending { index: 2 }));
        check("abc", &[0, 2], Err(ColumnError::LastOffset { last: 2, len: 3 }));
        check("abc", &[0, 4], Err(ColumnError::LastOffset { last: 4, len: 3 }));
    }

    #[test]
    fn selecting_keeps_order_and_attributes() {
        let batch = Batch {
            ids: ["a", "b", "c"].into_iter().collect(),
            payloads: ["1", "2", "3"].into_iter().collect(),
            attributes: vec![Attribute { name: "x".into(), values: ["", "q", "r"].into_iter().collect() }],
        };
        let picked = batch.select(&[2, 0]);
        assert_eq!(picked.ids, ["c", "a"].into_iter().collect());
        assert_eq!(picked.attributes_of(0), vec![("x".to_owned(), b"r".to_vec())]);
        assert_eq!(picked.attributes_of(1), vec![]);
        let mut joined = picked.clone();
        let other =
            Batch { ids: ["d"].into_iter().collect(), payloads: ["4"].into_iter().collect(), attributes: vec![] };
        joined.try_extend(&other).unwrap();
        assert_eq!(joined.ids, ["c", "a", "d"].into_iter().collect());
        assert_eq!(joined.attributes_of(2), vec![]);
        assert_eq!(joined.select(&[0, 1]), picked);
    }
}
