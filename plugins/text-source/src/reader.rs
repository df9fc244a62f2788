//! Reads one file: lines become records with ids.

use crate::checkpoint::{Known, Progress};
use crate::fields::Fields;
use crate::files::{Found, unreadable};
use crate::ids::{self, Occurrences};
use crate::json::{self, FieldPath, Keys};
use crate::lines::{Frame, Framing, Kind, Lines};
use crate::settings::{Plan, Shape, check_names};
use crossdock_sdk::json::Value;
use crossdock_sdk::{CallError, Failure, Page};
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::PathBuf;
use std::rc::Rc;
use std::str::Utf8Error;
use twox_hash::XxHash64;

/// A file that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    plan: Rc<Plan>,
    pub(crate) name: String,
    /// The name as it stands in ids.
    id_name: String,
    path: PathBuf,
    lines: Lines<Take<File>>,
    parser: Parser,
    occurrences: Occurrences,
}

/// How a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// The next record does not fit.
    Full,
    /// The file has no more at the moment.
    AtEnd,
}

impl Reader {
    /// Opens a file to read it from its beginning.
    pub(crate) fn open(plan: &Rc<Plan>, found: &Found) -> Result<Self, CallError> {
        let file = File::open(&found.path).map_err(|error| unreadable(&found.path, &error))?;
        Self::new(plan, found, file.take(u64::MAX))
    }

    /// Opens a file to go on where it was left, if it still begins with what was read of it.
    pub(crate) fn resume(plan: &Rc<Plan>, found: &Found, known: &Known) -> Result<Self, CallError> {
        let mut file = File::open(&found.path).map_err(|error| unreadable(&found.path, &error))?;
        let hasher = verify(&mut file, found, known)?;
        let io = |error| unreadable(&found.path, &error);
        file.rewind().map_err(io)?;
        let mut reader = Self::new(plan, found, file.take(known.position))?;
        // The position may be in the middle of what is a line by now.
        reader.lines.set_wait_for_line_end(false);
        reader.read_header()?;
        if plan.id.is_empty() {
            reader.lines.jump(hasher, known.position, known.line);
            reader.lines.set_mid_line(known.progress == Progress::MidLine);
        } else {
            reader.count_ids()?;
        }
        reader.lines.set_wait_for_line_end(plan.wait_for_line_end);
        reader.go_on(known.position)?;
        Ok(reader)
    }

    /// Goes on with a file that has grown since its end was reached, if it still begins with what was read of it.
    pub(crate) fn go_on_at_end(&mut self, found: &Found, known: &Known) -> Result<(), CallError> {
        let mut file = File::open(&found.path).map_err(|error| unreadable(&found.path, &error))?;
        verify(&mut file, found, known)?;
        self.go_on(self.lines.read_position())
    }

    fn new(plan: &Rc<Plan>, found: &Found, file: Take<File>) -> Result<Self, CallError> {
        let framing = match plan.shape {
            Shape::Csv { delimiter, .. } => Framing::Quoted { delimiter },
            Shape::Ndjson | Shape::Columns { .. } => Framing::Line,
        };
        let mut lines = Lines::new(file, framing, plan.max_line_bytes, plan.wait_for_line_end);
        lines.skip_byte_order_mark().map_err(|error| unreadable(&found.path, &error))?;
        Ok(Self {
            plan: Rc::clone(plan),
            name: found.name.clone(),
            id_name: ids::of_file(&found.name),
            path: found.path.clone(),
            lines,
            parser: Parser::new(plan),
            occurrences: Occurrences::default(),
        })
    }

    /// Reads on in the file, opened anew.
    fn go_on(&mut self, from: u64) -> Result<(), CallError> {
        let mut file = File::open(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        file.seek(SeekFrom::Start(from)).map_err(|error| unreadable(&self.path, &error))?;
        self.lines.go_on_with(file.take(u64::MAX));
        if self.lines.mid_line() && !self.lines.take_line_end().map_err(|error| unreadable(&self.path, &error))? {
            return Err(grown_line(&self.name, self.lines.line()));
        }
        Ok(())
    }

    /// How far the file was read.
    pub(crate) fn known(&mut self, progress: Progress, modified: Option<u64>) -> Known {
        let progress = if self.lines.mid_line() { Progress::MidLine } else { progress };
        Known {
            position: self.lines.position(),
            line: self.lines.line(),
            digest: self.lines.digest(),
            progress,
            modified,
            seen: self.lines.read_position(),
        }
    }

    /// How many bytes were taken.
    pub(crate) fn position(&self) -> u64 {
        self.lines.position()
    }

    /// Adds records to a page until it is full or the file has no more.
    pub(crate) fn fill(&mut self, page: &mut Page) -> Result<Filled, CallError> {
        // Half of a line end stands there: the other half has to come first.
        if self.lines.mid_line() || !self.read_header()? {
            return Ok(Filled::AtEnd);
        }
        while let Some(frame) = self.peek()? {
            let parsed = self.parse(&frame, true);
            let Parser { id, payload, .. } = &mut self.parser;
            let payload = match parsed {
                Parsed::Record { .. } if self.plan.shape == Shape::Ndjson => self.lines.bytes(&frame),
                _ => payload.as_slice(),
            };
            if !matches!(parsed, Parsed::Blank) {
                if !page.fits(id.len() + ids::NUMBER_BYTES + payload.len()) {
                    return Ok(Filled::Full);
                }
                if matches!(parsed, Parsed::Record { by_fields: true }) {
                    count(&self.plan, &self.name, &mut self.occurrences, id)?;
                }
                let id = std::str::from_utf8(id).map_err(|_| CallError::internal("an id is not UTF-8"))?;
                let record = page.push(id, payload);
                if let Parsed::Unreadable(failure) = parsed {
                    let _ = record.unreadable(failure);
                }
            }
            self.take(&frame)?;
        }
        Ok(Filled::AtEnd)
    }

    /// Counts the ids of everything in front of the position.
    fn count_ids(&mut self) -> Result<(), CallError> {
        while let Some(frame) = self.peek()? {
            if let Parsed::Record { by_fields: true } = self.parse(&frame, false) {
                count(&self.plan, &self.name, &mut self.occurrences, &mut self.parser.id)?;
            }
            self.take(&frame)?;
        }
        Ok(())
    }

    /// Learns the names of the columns, if it is the file's header that has them. False if it is not there yet.
    fn read_header(&mut self) -> Result<bool, CallError> {
        if self.parser.has_names(&self.plan) {
            return Ok(true);
        }
        let frame = loop {
            let Some(frame) = self.peek()? else { return Ok(false) };
            if frame.kind != Kind::Whole || !self.is_blank(self.lines.bytes(&frame)) {
                break frame;
            }
            self.take(&frame)?;
        };
        let bad = |why: String| {
            let message = format!("the first line of `{}` does not name the columns: {why}", self.name);
            CallError::invalid_settings(Failure::new("bad-header", message).pointer("/header"))
        };
        let line = match (frame.kind, std::str::from_utf8(self.lines.bytes(&frame))) {
            (Kind::Whole, Ok(line)) => line,
            (Kind::Whole, Err(_)) => return Err(bad("it is not UTF-8".to_owned())),
            (Kind::TooLong, _) => return Err(bad("it is longer than `max_line_bytes`".to_owned())),
            (Kind::QuoteNotClosed, _) => return Err(bad("a quote is not closed".to_owned())),
        };
        self.parser.cut(&self.plan, line.as_bytes());
        let names: Vec<_> =
            self.parser.fields.iter(line.as_bytes()).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        check_names(&names, &self.plan.id).map_err(bad)?;
        self.parser.set_names(&self.plan, &names);
        self.take(&frame)?;
        Ok(true)
    }

    /// Whether a line says nothing at all. In `csv` blanks are content, and may even be the delimiter.
    fn is_blank(&self, line: &[u8]) -> bool {
        match self.plan.shape {
            Shape::Csv { .. } => line.is_empty(),
            Shape::Ndjson | Shape::Columns { .. } => line.trim_ascii().is_empty(),
        }
    }

    fn peek(&mut self) -> Result<Option<Frame>, CallError> {
        self.lines.peek().map_err(|error| unreadable(&self.path, &error))
    }

    fn take(&mut self, frame: &Frame) -> Result<(), CallError> {
        self.lines.take(frame).map_err(|error| unreadable(&self.path, &error))
    }

    fn parse(&mut self, frame: &Frame, with_payload: bool) -> Parsed {
        let bytes = self.lines.bytes(frame);
        let line = self.lines.line() + 1;
        let refused = match frame.kind {
            Kind::Whole if self.is_blank(bytes) => return Parsed::Blank,
            Kind::Whole => match self.parser.parse(&self.plan, &self.id_name, bytes, with_payload) {
                Ok(by_fields) => {
                    if !by_fields {
                        ids::of_line(&mut self.parser.id, &self.id_name, line);
                    }
                    return Parsed::Record { by_fields };
                }
                Err(refused) => refused,
            },
            Kind::TooLong => {
                let max = self.plan.max_line_bytes;
                (
                    "line-too-long",
                    format!("it is longer than {max} bytes (`max_line_bytes`); only its beginning is kept"),
                )
            }
            Kind::QuoteNotClosed => ("quote-not-closed", "a quote is opened and not closed".to_owned()),
        };
        let (code, why) = refused;
        ids::of_line(&mut self.parser.id, &self.id_name, line);
        self.parser.payload.clear();
        self.parser.payload.extend_from_slice(String::from_utf8_lossy(bytes).as_bytes());
        Parsed::Unreadable(Failure::new(code, format!("{} line {line} cannot be read: {why}", self.name)))
    }
}

/// What a line is.
#[derive(Debug)]
enum Parsed {
    Blank,
    /// The id is with the parser, and has no number of its occurrence yet. So is the payload, unless it is the line.
    Record {
        by_fields: bool,
    },
    Unreadable(Failure),
}

/// Turns lines into ids and payloads. Its buffers are used again and again.
#[derive(Debug)]
struct Parser {
    fields: Fields,
    keys: Keys,
    columns: usize,
    /// Which columns make the id.
    id_columns: Vec<usize>,
    id_paths: Vec<FieldPath>,
    id: Vec<u8>,
    payload: Vec<u8>,
}

/// A code, and why a line cannot be read.
type Refused = (&'static str, String);

impl Parser {
    fn new(plan: &Plan) -> Self {
        let mut parser = Self {
            fields: Fields::new(),
            keys: Keys::new(&[]),
            columns: 0,
            id_columns: Vec::new(),
            id_paths: Vec::new(),
            id: Vec::new(),
            payload: Vec::new(),
        };
        match &plan.shape {
            Shape::Ndjson => parser.id_paths = plan.id.iter().map(|path| FieldPath::new(path)).collect(),
            Shape::Csv { names, .. } | Shape::Columns { names } => parser.set_names(plan, names),
        }
        parser
    }

    fn has_names(&self, plan: &Plan) -> bool {
        self.columns > 0 || plan.shape == Shape::Ndjson
    }

    fn set_names(&mut self, plan: &Plan, names: &[String]) {
        self.keys = Keys::new(names);
        self.columns = names.len();
        self.id_columns = plan.id.iter().filter_map(|field| names.iter().position(|name| name == field)).collect();
    }

    fn cut(&mut self, plan: &Plan, line: &[u8]) {
        match plan.shape {
            Shape::Csv { delimiter, .. } => self.fields.cut_csv(line, delimiter),
            Shape::Ndjson | Shape::Columns { .. } => self.fields.cut_at_blanks(line),
        }
    }

    /// Id and payload of a line; JSON is its own payload. False if the id is that of the line.
    fn parse(&mut self, plan: &Plan, file: &str, line: &[u8], with_payload: bool) -> Result<bool, Refused> {
        self.id.clear();
        self.payload.clear();
        if plan.many && !plan.id.is_empty() {
            self.id.extend_from_slice(file.as_bytes());
        }
        if plan.shape == Shape::Ndjson {
            self.parse_json(plan, line)?;
        } else {
            utf8(line)?;
            self.parse_fields(plan, line, with_payload)?;
        }
        if plan.id.is_empty() {
            return Ok(false);
        }
        if !plan.many {
            ids::set_apart(&mut self.id, file);
        }
        if self.id.len() + ids::NUMBER_BYTES > ids::MAX_BYTES {
            let most = ids::MAX_BYTES - ids::NUMBER_BYTES;
            return Err((
                "id-too-long",
                format!("its id would have {} bytes, at most {most} are allowed", self.id.len()),
            ));
        }
        Ok(true)
    }

    fn parse_fields(&mut self, plan: &Plan, line: &[u8], with_payload: bool) -> Result<(), Refused> {
        self.cut(plan, line);
        if self.fields.len() != self.columns {
            let (found, expected) = (self.fields.len(), self.columns);
            return Err(("wrong-number-of-fields", format!("it has {found} fields, not {expected}")));
        }
        for (index, column) in self.id_columns.iter().enumerate() {
            let value = self.fields.get(line, *column);
            if value.is_empty() {
                return Err(no_id(plan, index));
            }
            add_value(plan, &mut self.id, index, value);
        }
        if with_payload {
            self.keys.write(&mut self.payload, self.fields.iter(line));
        }
        Ok(())
    }

    fn parse_json(&mut self, plan: &Plan, line: &[u8]) -> Result<(), Refused> {
        let found = json::look_into(line, &self.id_paths).map_err(|why| not_json(line, &why))?;
        for (index, value) in found.into_iter().enumerate() {
            let value = value.and_then(Value::plain).filter(|value| !value.is_empty());
            let Some(value) = value else { return Err(no_id(plan, index)) };
            add_value(plan, &mut self.id, index, value.as_bytes());
        }
        Ok(())
    }
}

fn utf8(line: &[u8]) -> Result<(), Refused> {
    let not_utf8 = |error: Utf8Error| ("not-utf-8", format!("byte {} is not UTF-8", error.valid_up_to() + 1));
    std::str::from_utf8(line).map(|_| ()).map_err(not_utf8)
}

/// What is not UTF-8 is not JSON either, and the former is what has to be mended.
#[cold]
fn not_json(line: &[u8], why: &str) -> Refused {
    utf8(line).err().unwrap_or_else(|| ("not-json", format!("it is not a JSON object: {why}")))
}

fn add_value(plan: &Plan, id: &mut Vec<u8>, index: usize, value: &[u8]) {
    if index > 0 || plan.many {
        id.push(b'/');
    }
    ids::push_value(id, value);
}

#[cold]
fn no_id(plan: &Plan, index: usize) -> Refused {
    let field = plan.id.get(index).map_or("", String::as_str);
    ("id-missing", format!("it has no value for `{field}`, which is part of the id"))
}

fn count(plan: &Plan, file: &str, occurrences: &mut Occurrences, id: &mut Vec<u8>) -> Result<(), CallError> {
    if occurrences.len() >= plan.max_ids {
        let max = plan.max_ids;
        let message = format!(
            "`{file}` has more than {max} different ids (`max_ids`): raise it and the plugin's memory, split the file, or \
             leave out `id`, which makes ids of file and line"
        );
        return Err(CallError::invalid_settings(Failure::new("too-many-ids", message).pointer("/max_ids")));
    }
    occurrences.number(id);
    Ok(())
}

/// Checks that a file still begins with what was read of it, and gives the digest's state at that place.
pub(crate) fn verify(file: &mut File, found: &Found, known: &Known) -> Result<XxHash64, CallError> {
    let mut hasher = XxHash64::with_seed(0);
    let mut chunk = vec![0; 64 * 1024];
    let mut left = known.position;
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        let room = chunk.get_mut(..want).unwrap_or_default();
        let got = match file.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            got => got.map_err(|error| unreadable(&found.path, &error))?,
        };
        if got == 0 {
            return Err(truncated(&found.name, known, known.position - left));
        }
        hasher.write(room.get(..got).unwrap_or_default());
        left -= got as u64;
    }
    if hasher.finish() != known.digest {
        let why = format!("its first {} bytes ({} lines) are not what was read", known.position, known.line);
        return Err(refuse(&found.name, &why));
    }
    Ok(hasher)
}

/// What is said of a file that is shorter than what was read of it.
#[cold]
pub(crate) fn truncated(name: &str, known: &Known, size: u64) -> CallError {
    refuse(name, &format!("{} bytes of it were read, and it has only {size} now", known.position))
}

/// What is said of a file that was read in part and is not there any more.
#[cold]
pub(crate) fn vanished(name: &str, known: &Known) -> CallError {
    refuse(name, &format!("only its first {} lines were read, and it is not there any more", known.line))
}

#[cold]
fn grown_line(name: &str, line: u64) -> CallError {
    let why = format!(
        "line {line} had no line end when it was read, and has grown since; for files that are still being written \
         set unfinished_line = \"wait\""
    );
    refuse(name, &why)
}

#[cold]
fn refuse(name: &str, why: &str) -> CallError {
    let message = format!(
        "the file `{name}` has changed since it was read: {why}. Put it back as it was, or give the new file another \
         name, then it is read from its beginning"
    );
    CallError::checkpoint_refused(Failure::new("checkpoint-refused", message))
}
