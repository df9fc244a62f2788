//! Fields of a record, without a copy of each.

/// Cuts records into fields, and keeps where they are. Made once, used for all records.
#[derive(Debug)]
pub(crate) struct Fields {
    /// Where the fields are, in the record or in `unquoted`.
    places: Vec<(usize, usize)>,
    /// The fields of a record with quotes, one after the other.
    unquoted: Vec<u8>,
    ends: Vec<usize>,
    in_unquoted: bool,
}

impl Fields {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), unquoted: Vec::new(), ends: vec![0; 32], in_unquoted: false }
    }

    /// How many fields the record has.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The fields in order. `record` is what was cut last.
    pub(crate) fn iter<'a>(&'a self, record: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let from = if self.in_unquoted { &self.unquoted } else { record };
        self.places.iter().map(|(start, end)| from.get(*start..*end).unwrap_or_default())
    }

    /// One field. `record` is what was cut last.
    pub(crate) fn get<'a>(&'a self, record: &'a [u8], index: usize) -> &'a [u8] {
        let from = if self.in_unquoted { &self.unquoted } else { record };
        self.places.get(index).and_then(|(start, end)| from.get(*start..*end)).unwrap_or_default()
    }

    /// Cuts at blanks; those at both ends do not count.
    pub(crate) fn cut_at_blanks(&mut self, record: &[u8]) {
        self.in_unquoted = false;
        self.places.clear();
        let mut start = None;
        for (at, byte) in record.iter().enumerate() {
            match (matches!(byte, b' ' | b'\t'), start) {
                (false, None) => start = Some(at),
                (true, Some(from)) => {
                    self.places.push((from, at));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            self.places.push((from, record.len()));
        }
    }

    /// Cuts at delimiters that are not within quotes.
    pub(crate) fn cut_csv(&mut self, record: &[u8], delimiter: u8) {
        self.places.clear();
        self.in_unquoted = memchr::memchr(b'"', record).is_some();
        if self.in_unquoted {
            return self.unquote(record, delimiter);
        }
        let mut start = 0;
        for at in memchr::memchr_iter(delimiter, record) {
            self.places.push((start, at));
            start = at + 1;
        }
        self.places.push((start, record.len()));
    }

    fn unquote(&mut self, record: &[u8], delimiter: u8) {
        // The record's own line end is not part of it, and a lone carriage return is content.
        let mut reader =
            csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(csv_core::Terminator::Any(b'\n')).build();
        self.unquoted.resize(record.len().max(1), 0);
        let (mut taken, mut written, mut fields) = (0, 0, 0);
        loop {
            let input = record.get(taken..).unwrap_or_default();
            let output = self.unquoted.get_mut(written..).unwrap_or_default();
            let ends = self.ends.get_mut(fields..).unwrap_or_default();
            let (result, nin, nout, nend) = reader.read_record(input, output, ends);
            (taken, written, fields) = (taken + nin, written + nout, fields + nend);
            match result {
                csv_core::ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                csv_core::ReadRecordResult::OutputFull => self.unquoted.resize(self.unquoted.len() * 2, 0),
                // Asked again without input: that is how it learns of the end.
                csv_core::ReadRecordResult::InputEmpty => {}
                csv_core::ReadRecordResult::Record | csv_core::ReadRecordResult::End => break,
            }
        }
        let mut start = 0;
        for end in self.ends.get(..fields).unwrap_or_default() {
            self.places.push((start, *end));
            start = *end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(delimiter: Option<u8>, record: &str, expected: &[&str]) {
        let mut fields = Fields::new();
        match delimiter {
            Some(delimiter) => fields.cut_csv(record.as_bytes(), delimiter),
            None => fields.cut_at_blanks(record.as_bytes()),
        }
        let found: Vec<_> = fields.iter(record.as_bytes()).map(String::from_utf8_lossy).collect();
        assert_eq!(found, expected, "{record:?}");
        for (index, field) in expected.iter().enumerate() {
            assert_eq!(fields.get(record.as_bytes(), index), field.as_bytes());
        }
        assert_eq!(fields.len(), expected.len());
    }

    #[test]
    fn blanks() {
        check(None, " 00004 0001 19970101  2   29.33", &["00004", "0001", "19970101", "2", "29.33"]);
        check(None, "a\t b \t", &["a", "b"]);
        check(None, "", &[]);
    }

    #[test]
    fn delimiters_and_quotes() {
        check(Some(b','), "a,,b,", &["a", "", "b", ""]);
        check(Some(b';'), "\"a;\"\"b\"\"\";\"c\nd\";e", &["a;\"b\"", "c\nd", "e"]);
        check(Some(b','), "5\" pipe,x", &["5\" pipe", "x"]);
        check(Some(b','), "\"\",\"a\r\"", &["", "a\r"]);
        let many = vec!["\"x\""; 100].join("\t");
        check(Some(b'\t'), &many, &["x"; 100]);
    }
}
