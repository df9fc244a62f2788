//! The settings as written in a route, and as they are meant.

use crossdock_sdk::{CallError, Failure};
use schemars::JsonSchema;
use serde::Deserialize;

/// Which files are read, and how a line becomes a record.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The files, as the plugin sees them: an absolute path within a granted directory, for example
    /// `/in/orders.csv`, or a pattern with `*`, `?`, `[…]` in its names or `**` for any depth of directories.
    /// Names that begin with a dot match only a pattern that says so.
    pub files: String,
    /// What a line is.
    pub format: Format,
    /// The names of the columns, in their order. For `csv` and `columns`, unless a header names them.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Whether the first line of each file names the columns. By default it does, if `columns` is not given.
    #[serde(default)]
    pub header: Option<bool>,
    /// What stands between two fields of `csv`: one ASCII character. A comma unless told.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// The fields whose values make a record's id. For `ndjson` also RFC 6901 pointers such as `/order/id`. Without
    /// them a record's id is its file and line.
    #[serde(default)]
    pub id: Vec<String>,
    /// What becomes of a last line that has no line end yet.
    #[serde(default)]
    pub unfinished_line: UnfinishedLine,
    /// The longest line, or quoted record of several lines, that is read, in bytes. A longer one is unreadable.
    #[serde(default = "default_max_line_bytes")]
    #[schemars(range(min = 64, max = 8_388_608))]
    pub max_line_bytes: u32,
    /// The most different ids in one file, for those that are made of fields: each costs about 20 bytes of memory.
    #[serde(default = "default_max_ids")]
    #[schemars(range(min = 1))]
    pub max_ids: u32,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Fields between delimiters, quoted where needed; a quoted field may hold line ends.
    Csv,
    /// Fields between blanks (spaces, tabs); blanks at both ends of the line do not count.
    Columns,
}

/// What becomes of a last line that has no line end yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnfinishedLine {
    /// It is read as it is. For files that are complete when they are read.
    #[default]
    Read,
    /// It is left until its line end has been written. For files that are still being written.
    Wait,
}

fn default_max_line_bytes() -> u32 {
    1024 * 1024
}

fn default_max_ids() -> u32 {
    5_000_000
}

/// Settings that make sense together.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) pattern: glob::Pattern,
    /// The pattern as written.
    pub(crate) files: String,
    /// The part of the pattern in front of the first name with a wildcard, or of the file's name.
    pub(crate) base: String,
    /// Whether the pattern can match more than one file. Then the file's name is part of each id.
    pub(crate) many: bool,
    pub(crate) shape: Shape,
    pub(crate) id: Vec<String>,
    pub(crate) wait_for_line_end: bool,
    pub(crate) max_line_bytes: usize,
    pub(crate) max_ids: usize,
}

/// How bytes become fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    Ndjson,
    /// `names` is empty where the header of each file has them.
    Csv {
        delimiter: u8,
        names: Vec<String>,
    },
    Columns {
        names: Vec<String>,
    },
}

impl Settings {
    /// Checks what a schema cannot say.
    pub(crate) fn plan(self) -> Result<Plan, CallError> {
        let pattern = glob::Pattern::new(&self.files).map_err(|error| {
            wrong(
                "files",
                format!("`files` is not a pattern: {} at character {} of `{}`", error.msg, error.pos, self.files),
            )
        })?;
        if !self.files.starts_with('/') || self.files.ends_with('/') {
            let text = format!(
                "`files` must be the absolute path of files as the route grants them, for example /in/*.txt, not `{}`",
                self.files
            );
            return Err(wrong("files", text));
        }
        let (base, many) = base_of(&self.files);
        if !(64..=8 * 1024 * 1024).contains(&self.max_line_bytes) {
            return Err(wrong("max_line_bytes", "`max_line_bytes` must be 64 to 8388608".to_owned()));
        }
        let shape = self.shape()?;
        if let Shape::Csv { names, .. } | Shape::Columns { names } = &shape
            && !names.is_empty()
        {
            check_names(names, &self.id).map_err(|text| wrong("columns", text))?;
        }
        if let Some((index, name)) = self.id.iter().enumerate().find(|(index, name)| self.id[..*index].contains(name)) {
            return Err(wrong(&format!("id/{index}"), format!("`id` names `{name}` twice")));
        }
        Ok(Plan {
            pattern,
            base,
            many,
            shape,
            id: self.id,
            wait_for_line_end: self.unfinished_line == UnfinishedLine::Wait,
            max_line_bytes: self.max_line_bytes as usize,
            max_ids: self.max_ids.max(1) as usize,
            files: self.files,
        })
    }

    fn shape(&self) -> Result<Shape, CallError> {
        if self.format != Format::Csv && self.delimiter.is_some() {
            return Err(wrong("delimiter", "`delimiter` is for the format csv only".to_owned()));
        }
        if self.format == Format::Ndjson {
            if !self.columns.is_empty() || self.header.is_some() {
                let text = "`columns` and `header` are for csv and columns: the fields of ndjson have their own names";
                return Err(wrong("columns", text.to_owned()));
            }
            return Ok(Shape::Ndjson);
        }
        match (self.header, self.columns.is_empty()) {
            (Some(true), false) => {
                let text = "either `columns` or `header = true`: the names can come from one place only";
                return Err(wrong("columns", text.to_owned()));
            }
            (Some(false), true) => {
                return Err(wrong("columns", "`columns` must name the columns where there is no header".to_owned()));
            }
            _ => {}
        }
        let names = self.columns.clone();
        if self.format == Format::Columns {
            return Ok(Shape::Columns { names });
        }
        let delimiter = self.delimiter.unwrap_or(',');
        match u8::try_from(delimiter) {
            Ok(byte) if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => {
                Ok(Shape::Csv { delimiter: byte, names })
            }
            _ => Err(wrong(
                "delimiter",
                format!("`delimiter` must be one ASCII character that is no quote and no line end, not {delimiter:?}"),
            )),
        }
    }
}

/// Checks names of columns against each other and against the fields of the id. The error is one sentence.
pub(crate) fn check_names(names: &[String], id: &[String]) -> Result<(), String> {
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("column {} has no name", index + 1));
        }
        if names[..index].contains(name) {
            return Err(format!("two columns are called `{name}`"));
        }
    }
    match id.iter().find(|name| !names.contains(name)) {
        Some(name) => Err(format!("there is no column `{name}` for the id; there are {}", names.join(", "))),
        None => Ok(()),
    }
}

/// The directory in front of the first name with a wildcard, and whether there is one.
fn base_of(files: &str) -> (String, bool) {
    let wild = files.find(['*', '?', '[']);
    let fixed = &files[..wild.unwrap_or(files.len())];
    let base = &fixed[..fixed.rfind('/').unwrap_or(0)];
    (if base.is_empty() { "/".to_owned() } else { base.to_owned() }, wild.is_some())
}

#[cold]
fn wrong(setting: &str, text: String) -> CallError {
    CallError::invalid_settings(Failure::new("invalid-settings", text).pointer(format!("/{setting}")))
}
