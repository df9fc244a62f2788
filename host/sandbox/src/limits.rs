//! What one instance of a plugin may use. Every limit has a name and a default.
//!
//! What plugins can make the host hold altogether, at worst: `memory_total_max_bytes` for their memories; for each live
//! instance [`Limits::STRUCTURES_MAX_BYTES`] and 6 MiB (its state, with the keys, and what it printed); for each call
//! under way three times `boundary_max_bytes`, its batch, and the answers to its requests; for each operation on a file
//! [`Limits::FILE_CHUNK_MAX_BYTES`], or [`Limits::FILE_READ_MAX_BYTES`] while the plugin waits for it; for each
//! plugin that is being compiled, of which there are [`CompileLimits::AT_ONCE_MAX`], twice `code_max_bytes`.
//!
//! What cannot be interrupted is one instruction that fills or copies memory: between 240 and 910 ms for all of 248 MiB,
//! measured on a machine with much else to do, and less for less memory.

/// What one instance of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All linear memories and tables of the instance together. Default 256 MiB.
    pub memory_max_bytes: u64,
    /// How long one call may take by the wall, with everything it waits for but its turn to send. Default 30,000.
    pub call_time_max_ms: u64,
    /// How long one call may compute, without the time it waits; looked at every [`Limits::TICK_MS`].
    /// Default 10,000.
    pub cpu_time_max_ms: u64,
    /// How many bytes one call may hand to the host, in an answer or as arguments of one import, each value counted
    /// with what it takes on the host's side. Default 8 MiB, which holds the answer to the largest batch that a route
    /// may ask for, twice over. Many small texts cost more than they are counted for: a call makes the host hold three
    /// times this at most (measured: 2.1 times, for columns of one byte).
    pub boundary_max_bytes: usize,
    /// How much of what one call writes to stdout and stderr is kept. Default 64 KiB.
    pub stderr_max_bytes: usize,
    /// HTTP requests of one call that are on their way at the same time. Default 64.
    pub http_in_flight_max: u32,
    /// HTTP requests of one call altogether. Default 20,000.
    pub http_requests_max: u32,
    /// What the answers to requests that are sent together may hold in the host's memory, until the last one is there
    /// and the plugin is given all of them: bodies and headers. It counts toward what all instances hold together.
    /// Requests that have not begun when it is used up are not sent. Default 64 MiB.
    pub http_answers_max_bytes: usize,
    /// How long one call may wait altogether for its turn to send requests before that counts as its own time.
    /// Default 300,000.
    pub http_wait_max_ms: u64,
}

impl Limits {
    /// How often a computing plugin gives way to others and has its time checked.
    pub const TICK_MS: u64 = 10;
    /// The largest plugin file that is looked at: 128 MiB.
    pub const PLUGIN_MAX_BYTES: u64 = 128 << 20;
    /// How deep components and modules may stand within each other in a plugin's file: 8.
    pub const NESTING_MAX: usize = 8;
    /// How many components and modules a plugin's file may hold: 256.
    pub const DEFINITIONS_MAX: usize = 256;
    /// How many instances, of modules and of components, come to be when a plugin is started, those within others
    /// counted as often as they are made: 1,000.
    pub const INSTANCES_MAX: u64 = 1_000;
    /// What the host keeps beside the memory of one instance: of its functions, imports, globals, tables and their
    /// entries, all modules together, those that are instantiated several times counted as often. 32 MiB.
    pub const STRUCTURES_MAX_BYTES: u64 = 32 << 20;
    /// How many memories one module of a plugin may have: 1.
    pub const MODULE_MEMORIES_MAX: usize = 1;
    /// The longest name of a function in a plugin's file: 64 KiB. They are shown where a plugin trapped.
    pub const FUNCTION_NAME_MAX_BYTES: usize = 64 << 10;
    /// How many imports and exports a plugin may have together: 1,000.
    pub const NAMES_MAX: usize = 1_000;
    /// The largest HTTP body that is handed to a plugin, after decompression: 4 MiB.
    pub const HTTP_BODY_MAX_BYTES: usize = 4 << 20;
    /// The head of an answer, its status line and headers together: 64 KiB.
    pub const HTTP_HEAD_MAX_BYTES: usize = 64 << 10;
    /// The most headers of an answer: 100.
    pub const HTTP_HEADERS_MAX: usize = 100;
    /// The most connections of a sandbox at the same time, those that wait for another request too: 512.
    pub const HTTP_SOCKETS_MAX: usize = 512;
    /// The most connections that wait for another request of one instance: 64. They wait for a minute.
    pub const HTTP_IDLE_MAX: usize = 64;
    /// The most connections that wait for another request of any instance: 256.
    pub const HTTP_IDLE_TOTAL_MAX: usize = 256;
    /// The most bytes of WebAssembly stack; deeper recursion is a trap. 1 MiB.
    pub const STACK_MAX_BYTES: usize = 1 << 20;
    /// The most WASI resources (files, streams) that an instance can have open.
    pub const RESOURCES_MAX: usize = 256;
    /// The most files and directories that an instance can have open: 128. One that is listed counts twice.
    pub const FILES_OPEN_MAX: usize = 128;
    /// The most files and directories that all live instances of a sandbox can have open together: 4,096, and no more
    /// than half of what the system lets the process have. An instance gets more than 8 only while at least as many as
    /// it has are left.
    pub const FILES_OPEN_TOTAL_MAX: usize = 4_096;
    /// The most operations on files that one plugin at one place can have under way: 16. Those that hang after their
    /// call was ended are among them.
    pub const FILE_OPERATIONS_MAX: usize = 16;
    /// The most operations on files that all plugins can have under way, each on a thread of its own: 128.
    pub const FILE_OPERATIONS_TOTAL_MAX: usize = 128;
    /// The most bytes that one operation reads from a file or writes to it: 64 KiB.
    pub const FILE_CHUNK_MAX_BYTES: usize = 64 << 10;
    /// The most bytes that one operation reads from a file while the plugin waits for it: 256 KiB, which it is given at
    /// once. Each operation costs two changes of thread.
    pub const FILE_READ_MAX_BYTES: usize = 256 << 10;
    /// How many entries of a directory are read ahead: 256.
    pub const DIR_ENTRIES_AHEAD_MAX: usize = 256;
    /// The most component-model handles that an instance can hold.
    pub const HANDLES_MAX: usize = 1_024;
    /// The most core instances, memories and tables within an instance, each.
    pub const PARTS_MAX: usize = 64;
    /// What all live instances of a sandbox may have together, unless it is set up otherwise: 2 GiB.
    pub const MEMORY_TOTAL_MAX_BYTES: u64 = 2 << 30;
    /// Log messages of one instance over time: 100 a second. After a pause ten seconds' worth may come at once.
    pub const LOG_PER_SECOND: f64 = 100.0;
    /// Bytes of these messages: 26,214 a second. After a pause ten seconds' worth, 256 KiB, may come at once.
    pub const LOG_BYTES_PER_SECOND: f64 = 26_214.4;
    /// How many compiled plugins the cache keeps.
    pub const CACHE_MAX_ENTRIES: usize = 256;
    /// How many bytes of compiled plugins the cache keeps: 4 GiB.
    pub const CACHE_MAX_BYTES: u64 = 4 << 30;
    /// The largest compiled plugin that the cache keeps: 512 MiB. A plugin in Python comes to 34.
    pub const CACHE_ENTRY_MAX_BYTES: u64 = 512 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max_bytes: 256 << 20,
            call_time_max_ms: 30_000,
            cpu_time_max_ms: 10_000,
            boundary_max_bytes: 8 << 20,
            stderr_max_bytes: 64 << 10,
            http_in_flight_max: 64,
            http_requests_max: 20_000,
            http_answers_max_bytes: 64 << 20,
            http_wait_max_ms: 300_000,
        }
    }
}

/// What compiling one plugin may use, in the process that does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// All addresses of the process. Default 1,536 MiB.
    pub memory_max_bytes: u64,
    /// How long it may compute, in seconds. Default 60: a plugin in Python, with its interpreter inside (18 MB), takes
    /// 11 to 13, and 21 on a machine with much else to do; one in JavaScript with QuickJS (1.6 MB) 2 to 4; one in Rust
    /// less than one.
    pub cpu_time_max_s: u64,
    /// How long it may take by the wall, in seconds. Default 300.
    pub time_max_s: u64,
    /// How much machine code may come out: the host holds it twice while it takes it over. Default 256 MiB; a plugin
    /// in Python comes to 34.
    pub code_max_bytes: u64,
}

impl CompileLimits {
    /// How many plugins are compiled at the same time: 2. Others wait.
    pub const AT_ONCE_MAX: usize = 2;
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory_max_bytes: 1_536 << 20, cpu_time_max_s: 60, time_max_s: 300, code_max_bytes: 256 << 20 }
    }
}
