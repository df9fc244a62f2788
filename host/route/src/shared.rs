//! Grants and limits: what both sources and steps may have, and projects too.

use crate::codes;
use crate::egress::{HttpEntry, HttpFile, HttpGrant};
use crate::formats;
use crate::mistake::Mistake;
use crate::read::{At, Fields, Node, Notes, duration, flag, list, number, shown, size, text};
use crate::units::show_ms;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// Bounds of what a route or project may set as a plugin's memory.
const MEMORY_MIN_BYTES: u64 = 1 << 20;
const MEMORY_MAX_BYTES: u64 = 4 << 30;
/// Bounds of what a project may set as the memory of all plugins together.
const MEMORY_TOTAL_MIN_BYTES: u64 = 64 << 20;
const MEMORY_TOTAL_MAX_BYTES: u64 = 1 << 40;
/// Bounds of what a project may set for compiling a plugin.
const COMPILE_MEMORY_MIN_BYTES: u64 = 256 << 20;
const COMPILE_MEMORY_MAX_BYTES: u64 = 64 << 30;
const COMPILE_TIME_MIN_MS: u64 = 1_000;
/// Bounds of what a route or project may set as the time of a call.
const TIME_MIN_MS: u64 = 10;
const TIME_MAX_MS: u64 = 3_600_000;

/// Bounds and defaults of what a plugin may write to a directory in one run.
const BYTES_MAX: u64 = 1 << 46;
const BYTES_DEFAULT: u64 = 16 << 30;
const FILES_MAX: u64 = 1_000_000_000;
const FILES_DEFAULT: u64 = 100_000;

/// What a plugin may use, as written.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Limits")]
pub(crate) struct LimitsFile {
    /// The most memory of one instance, all its memories and tables together. From "1MiB" to "4GiB".
    #[schemars(with = "Option<formats::Size>", extend("default" = "256MiB"))]
    memory: Option<At<u64>>,
    /// The longest time of one call, waiting included. From "10ms" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "30s"))]
    call_time: Option<At<u64>>,
    /// The most computing time of one call. From "10ms" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "10s"))]
    cpu_time: Option<At<u64>>,
    /// How long one call may wait for its turn to send requests, which `rate` decides about, before that counts as its
    /// own time. From "10ms" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "5m"))]
    http_wait: Option<At<u64>>,
}

/// What plugins may use, as a project says: what holds for each, and for all together.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "ProjectLimits")]
pub(crate) struct ProjectLimitsFile {
    /// The most memory of one instance, all its memories and tables together. From "1MiB" to "4GiB".
    #[schemars(with = "Option<formats::Size>", extend("default" = "256MiB"))]
    memory: Option<At<u64>>,
    /// The longest time of one call, waiting included. From "10ms" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "30s"))]
    call_time: Option<At<u64>>,
    /// The most computing time of one call. From "10ms" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "10s"))]
    cpu_time: Option<At<u64>>,
    /// How long one call may wait for its turn to send requests, which `rate` decides about, before that counts as its
    /// own time. From "10ms" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "5m"))]
    http_wait: Option<At<u64>>,
    /// The most memory of all instances of the process together. From "64MiB" to "1024GiB".
    #[schemars(with = "Option<formats::Size>", extend("default" = "2GiB"))]
    memory_total: Option<At<u64>>,
    /// What compiling one plugin may use, in the process that does it. A plugin is compiled once, then kept.
    #[schemars(with = "Option<CompileFile>")]
    compile: Option<At<CompileFile>>,
}

/// What compiling one plugin may use.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Compile")]
struct CompileFile {
    /// All addresses of the process that compiles. From "256MiB" to "64GiB".
    #[schemars(with = "Option<formats::Size>", extend("default" = "1536MiB"))]
    memory: Option<At<u64>>,
    /// The most computing time, in whole seconds. From "1s" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "60s"))]
    cpu_time: Option<At<u64>>,
    /// The longest time by the wall, in whole seconds. From "1s" to "1h".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "5m"))]
    time: Option<At<u64>>,
}

type TimeRead = Option<At<u64>>;

/// Reads the limits that routes and projects both know.
fn plugin_limits(fields: &mut Fields<'_, '_, '_, '_>) -> LimitsFile {
    let time = || duration(TIME_MIN_MS, TIME_MAX_MS);
    let [call_time, cpu_time, http_wait]: [TimeRead; 3] =
        ["call_time", "cpu_time", "http_wait"].map(|name| fields.optional(name, time()));
    let memory = fields.optional("memory", size(MEMORY_MIN_BYTES, MEMORY_MAX_BYTES));
    LimitsFile { memory, call_time, cpu_time, http_wait }
}

impl LimitsFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "limits = { memory = \"256MiB\", call_time = \"30s\" }")?;
        let mut fields = Fields::new("`limits`", table, Some(node.span()), notes);
        fields.elsewhere(
            &["memory_total", "compile"],
            "write it below [limits] in crossdock.toml: it holds for all plugins together",
        );
        let limits = plugin_limits(&mut fields);
        fields.finish();
        Some(limits)
    }

    pub(crate) fn check(&self) -> PluginLimits {
        PluginLimits {
            memory_max_bytes: self.memory.map(|at| at.value),
            call_time_max_ms: self.call_time.map(|at| at.value),
            cpu_time_max_ms: self.cpu_time.map(|at| at.value),
            http_wait_max_ms: self.http_wait.map(|at| at.value),
        }
    }
}

impl ProjectLimitsFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "[limits] with memory = \"256MiB\" or others")?;
        let mut fields = Fields::new("`limits`", table, Some(node.span()), notes);
        let LimitsFile { memory, call_time, cpu_time, http_wait } = plugin_limits(&mut fields);
        let limits = Self {
            memory,
            call_time,
            cpu_time,
            http_wait,
            memory_total: fields.optional("memory_total", size(MEMORY_TOTAL_MIN_BYTES, MEMORY_TOTAL_MAX_BYTES)),
            compile: fields.optional("compile", CompileFile::read),
        };
        fields.finish();
        Some(limits)
    }

    /// What holds for each plugin, and for all together.
    pub(crate) fn check(&self) -> (PluginLimits, TotalLimits) {
        let Self { memory, call_time, cpu_time, http_wait, .. } = *self;
        let compile = self.compile.as_ref().map(|at| &at.value);
        let seconds = |at: Option<At<u64>>| at.map(|at| at.value.div_ceil(1_000));
        let total = TotalLimits {
            memory_total_max_bytes: self.memory_total.map(|at| at.value),
            compile_memory_max_bytes: compile.and_then(|file| file.memory).map(|at| at.value),
            compile_cpu_time_max_s: seconds(compile.and_then(|file| file.cpu_time)),
            compile_time_max_s: seconds(compile.and_then(|file| file.time)),
        };
        (LimitsFile { memory, call_time, cpu_time, http_wait }.check(), total)
    }
}

impl CompileFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "compile = { memory = \"1536MiB\", cpu_time = \"60s\" }")?;
        let mut fields = Fields::new("`compile`", table, Some(node.span()), notes);
        let compile = Self {
            memory: fields.optional("memory", size(COMPILE_MEMORY_MIN_BYTES, COMPILE_MEMORY_MAX_BYTES)),
            cpu_time: fields.optional("cpu_time", duration(COMPILE_TIME_MIN_MS, TIME_MAX_MS)),
            time: fields.optional("time", duration(COMPILE_TIME_MIN_MS, TIME_MAX_MS)),
        };
        fields.finish();
        Some(compile)
    }
}

/// What a route or project says about the limits of plugins; what it does not say is decided above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PluginLimits {
    /// The most memory of one instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max_bytes: Option<u64>,
    /// The longest time of one call, waiting included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_time_max_ms: Option<u64>,
    /// The most computing time of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_time_max_ms: Option<u64>,
    /// How long one call may wait for its turn to send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_wait_max_ms: Option<u64>,
}

impl PluginLimits {
    /// The limits that hold for a plugin: what is said here, else in `project`, else the defaults.
    #[must_use]
    pub fn within(&self, project: &Self) -> Limits {
        let default = Limits::default();
        let pick = |own: Option<u64>, above: Option<u64>, default| own.or(above).unwrap_or(default);
        Limits {
            memory_max_bytes: pick(self.memory_max_bytes, project.memory_max_bytes, default.memory_max_bytes),
            call_time_max_ms: pick(self.call_time_max_ms, project.call_time_max_ms, default.call_time_max_ms),
            cpu_time_max_ms: pick(self.cpu_time_max_ms, project.cpu_time_max_ms, default.cpu_time_max_ms),
            http_wait_max_ms: pick(self.http_wait_max_ms, project.http_wait_max_ms, default.http_wait_max_ms),
        }
    }
}

/// The limits that hold for a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// The most memory of one instance, all its memories and tables together.
    pub memory_max_bytes: u64,
    /// The longest time of one call, waiting included.
    pub call_time_max_ms: u64,
    /// The most computing time of one call.
    pub cpu_time_max_ms: u64,
    /// How long one call may wait for its turn to send before that counts as its own time.
    pub http_wait_max_ms: u64,
}

impl Default for Limits {
    /// 256 MiB, 30 s, 10 s, 5 min.
    fn default() -> Self {
        Self {
            memory_max_bytes: 256 << 20,
            call_time_max_ms: 30_000,
            cpu_time_max_ms: 10_000,
            http_wait_max_ms: 300_000,
        }
    }
}

/// What a project says about the limits of all plugins together; `None` is the sandbox's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TotalLimits {
    /// The most memory of all instances together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total_max_bytes: Option<u64>,
    /// All addresses of the process that compiles a plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_memory_max_bytes: Option<u64>,
    /// How long it may compute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_cpu_time_max_s: Option<u64>,
    /// How long it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compile_time_max_s: Option<u64>,
}

/// What a plugin may reach, as written. What is not granted cannot be reached.
#[derive(Debug, Default, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Grants")]
pub(crate) struct GrantsFile {
    /// Directories of this machine.
    #[schemars(with = "Option<Vec<DirFile>>")]
    dirs: Option<At<Vec<At<DirFile>>>>,
    /// Addresses that may be asked over HTTP: scheme, host and, if it is not the usual one, port, for example
    /// "https://erp.example.com" or "http://127.0.0.1:8080". A name may have public addresses only, unless its ranges
    /// are granted with it: { origin = "https://erp.corp.example", addresses = ["10.1.0.0/16"] }.
    #[schemars(with = "Option<Vec<HttpEntry>>")]
    http: Option<At<Vec<At<HttpFile>>>>,
    /// Names of secrets of the project that the plugin may have put on the wire, without seeing them. Beside several
    /// addresses the project must say where each may be sent, with `to`.
    #[schemars(with = "Option<Vec<formats::SecretName>>")]
    secrets: Option<At<Vec<At<String>>>>,
    /// Names of granted secrets that the plugin may also see. Most plugins need none. What a plugin has seen it can
    /// send anywhere that it may send requests to, whatever the project says with `to`.
    #[schemars(with = "Option<Vec<formats::SecretName>>")]
    reveal: Option<At<Vec<At<String>>>>,
}

/// A directory, as written.
#[derive(Debug, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    rename = "Directory",
    extend("dependentRequired" = { "bytes": ["write"], "files": ["write"] })
)]
pub(crate) struct DirFile {
    /// The directory on this machine; if it is relative, within the project's folder.
    #[schemars(with = "String", length(min = 1))]
    host: Option<At<String>>,
    /// The name under which the plugin sees it, for example "/in".
    #[schemars(with = "String", regex(pattern = r"^(/[^/\\]+)+$"))]
    guest: Option<At<String>>,
    /// Whether the plugin may write to it.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    write: Option<At<bool>>,
    /// With write: the most bytes that the plugin may write to it in one run, counted as often as they are written.
    /// From "1B" to "65536GiB".
    #[schemars(with = "Option<formats::Size>", extend("default" = "16GiB"))]
    bytes: Option<At<u64>>,
    /// With write: the most files and folders that the plugin may make in it in one run, also if it removes them
    /// again. With 0 it can only change what is there.
    #[schemars(with = "Option<u64>", range(min = 0, max = FILES_MAX), extend("default" = FILES_DEFAULT))]
    files: Option<At<u64>>,
}

impl GrantsFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "grants = { http = [\"https://erp.example.com\"] }")?;
        let mut fields = Fields::new("`grants`", table, Some(node.span()), notes);
        let dirs = "[{ host = \"data\", guest = \"/in\" }]";
        let grants = Self {
            dirs: fields.optional("dirs", |node, notes| list(node, notes, dirs, DirFile::read)),
            http: fields
                .optional("http", |node, notes| list(node, notes, "[\"https://erp.example.com\"]", HttpFile::read)),
            secrets: fields.optional("secrets", |node, notes| list(node, notes, "[\"ERP_TOKEN\"]", secret_name)),
            reveal: fields.optional("reveal", |node, notes| list(node, notes, "[\"ERP_TOKEN\"]", secret_name)),
        };
        fields.finish();
        Some(grants)
    }

    pub(crate) fn check(&self, notes: &mut Notes<'_>) -> Grants {
        let secrets = self.secrets.as_ref().map(|at| at.value.as_slice()).unwrap_or_default();
        let reveal = self.reveal.as_ref().map(|at| at.value.as_slice()).unwrap_or_default();
        for name in reveal.iter().filter(|name| !secrets.iter().any(|secret| secret.value == name.value)) {
            let message = format!("secret `{}` is to be revealed and is not granted", name.value);
            notes.add(
                Mistake::new(codes::BAD_VALUE, message)
                    .at(name.span, "not among `secrets`")
                    .with_fix("name it in `secrets` as well, or leave it out here"),
            );
        }
        let dirs = self.dirs.as_ref().map(|at| at.value.as_slice()).unwrap_or_default();
        let guests = dirs.iter().filter_map(|dir| dir.value.guest.as_ref());
        refuse_repeated(guests, "guest directory", notes);
        let http = self.http.as_ref().map(|at| at.value.as_slice()).unwrap_or_default();
        refuse_repeated(http.iter().filter_map(|grant| grant.value.origin()), "address", notes);
        let values = |list: &[At<String>]| list.iter().map(|at| at.value.clone()).collect();
        Grants {
            dirs: dirs.iter().filter_map(|dir| dir.value.check(notes)).collect(),
            http: http.iter().filter_map(|grant| grant.value.check(notes)).collect(),
            secrets: values(secrets),
            reveal: values(reveal),
        }
    }
}

/// Notes each name that was there before.
pub(crate) fn refuse_repeated<'w, N: AsRef<str> + 'w>(
    names: impl Iterator<Item = &'w At<N>>,
    what: &str,
    notes: &mut Notes<'_>,
) {
    let mut first = BTreeMap::new();
    for name in names {
        if let Some(earlier) = first.get(name.value.as_ref()) {
            let message = format!("{what} `{}` is there twice", shown(name.value.as_ref()));
            notes.add(
                Mistake::new(codes::DUPLICATE, message)
                    .at(name.span, "the second time")
                    .with_related(*earlier, "the first time")
                    .with_fix("give each its own name"),
            );
        } else {
            first.insert(name.value.as_ref(), name.span);
        }
    }
}

/// Notes each duration that is longer than the next one that is written.
pub(crate) fn refuse_unordered(durations: &[(&str, Option<At<u64>>)], notes: &mut Notes<'_>) {
    let written: Vec<_> = durations.iter().filter_map(|(name, at)| Some((*name, (*at)?))).collect();
    let names: Vec<String> = durations.iter().map(|(name, _)| format!("`{name}`")).collect();
    for ((small, low), (large, high)) in written.iter().zip(written.iter().skip(1)) {
        if low.value > high.value {
            notes.add(
                Mistake::new(codes::BAD_VALUE, format!("`{small}` is longer than `{large}`"))
                    .at(low.span, format!("longer than {}", show_ms(high.value)))
                    .with_related(high.span, format!("shorter than {}", show_ms(low.value)))
                    .with_fix(format!("write them so that {}", names.join(" ≤ "))),
            );
        }
    }
}

impl DirFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "{ host = \"data\", guest = \"/in\" }")?;
        let mut fields = Fields::new("a directory", table, Some(node.span()), notes);
        let dir = Self {
            host: fields.required("host", "host = \"data\", the directory on this machine", text),
            guest: fields.required("guest", "guest = \"/in\", the name under which the plugin sees it", guest_path),
            write: fields.optional("write", flag),
            bytes: fields.optional("bytes", size(1, BYTES_MAX)),
            files: fields.optional("files", number(0, FILES_MAX)),
        };
        fields.finish();
        Some(dir)
    }

    fn check(&self, notes: &mut Notes<'_>) -> Option<DirGrant> {
        let write = self.write.is_some_and(|at| at.value);
        let limits = [("bytes", self.bytes), ("files", self.files)];
        for (key, at) in limits.iter().filter_map(|(key, at)| Some((key, (*at)?))).filter(|_| !write) {
            let message = format!("`{key}` limits what is written, and this directory is granted for reading only");
            notes.add(
                Mistake::new(codes::BAD_VALUE, message)
                    .at(at.span, "without `write = true`")
                    .with_fix(format!("add write = true, or leave `{key}` out")),
            );
        }
        let value = |at: Option<At<u64>>, default| at.map_or(default, |at| at.value);
        Some(DirGrant {
            host: self.host.as_ref()?.value.clone(),
            guest: self.guest.as_ref()?.value.clone(),
            write,
            budget: write.then(|| WriteBudget {
                max_bytes: value(self.bytes, BYTES_DEFAULT),
                max_files: value(self.files, FILES_DEFAULT),
            }),
        })
    }
}

/// An absolute path without empty, `.` or `..` parts.
fn guest_path(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let path = text(node, notes)?;
    let parts = path.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>());
    let fits = |part: &&str| !matches!(*part, "" | "." | "..") && !part.contains('\\');
    if parts.is_some_and(|parts| parts.iter().all(fits)) {
        return Some(path);
    }
    let fix = "write a path that starts with / and has no empty, `.` or `..` parts, for example \"/in\"";
    node.bad_value(notes, format!("`{}` is not a name for a directory", shown(&path)), "", fix);
    None
}

/// The name of a secret.
pub(crate) fn secret_name(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let name = text(node, notes)?;
    check_secret_name(At { value: &name, span: node.span() }, notes).then_some(name)
}

/// Whether this can be the name of a secret; notes it if not.
pub(crate) fn check_secret_name(name: At<&str>, notes: &mut Notes<'_>) -> bool {
    let text = name.value;
    let fits = is_secret_name(text);
    if !fits {
        notes.add(
            Mistake::new(codes::BAD_VALUE, format!("{:?} cannot be a secret's name", shown(text)))
                .at(name.span, "not a name")
                .with_fix("use 1 to 64 letters, digits, _ and -, starting with a letter, for example ERP_TOKEN"),
        );
    }
    fits
}

/// Whether a text can be the name of a secret.
pub(crate) fn is_secret_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// What a plugin may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Grants {
    /// Directories.
    pub dirs: Vec<DirGrant>,
    /// Where its HTTP requests may go.
    pub http: Vec<HttpGrant>,
    /// Names of secrets that it may have put on the wire.
    pub secrets: Vec<String>,
    /// Those of them that it may see.
    pub reveal: Vec<String>,
}

/// A directory that a plugin may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DirGrant {
    /// The directory on this machine, as written; if it is relative, within the project's folder.
    pub host: String,
    /// The absolute path under which the plugin sees it.
    pub guest: String,
    /// Whether the plugin may write to it.
    pub write: bool,
    /// How much, if it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<WriteBudget>,
}

/// How much a plugin at one place may write to a directory in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WriteBudget {
    /// The most bytes, counted as often as they are written.
    pub max_bytes: u64,
    /// The most files and folders that it may make, also if it removes them again.
    pub max_files: u64,
}
