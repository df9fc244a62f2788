//! What a plugin costs: measured while it is loaded, which is done anyway.

/// What it took to have a plugin ready, and what an instance of it takes before it has done anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Whether its machine code was found in the cache; otherwise it was compiled.
    pub from_cache: bool,
    /// How long it took to have the machine code, in microseconds: to read it from the cache, or to compile it, with the
    /// wait for a turn.
    pub prepared_us: u64,
    /// The machine code with all that belongs to it, in bytes: what the cache keeps. All instances share it.
    pub code_bytes: u64,
    /// How long the first instance took from nothing to its description, in microseconds.
    pub start_us: u64,
    /// The linear memories of that instance when it had described itself, in bytes, without having had settings: what is
    /// reserved. Of pages that it never wrote to the system need hold none.
    pub memory_bytes: u64,
    /// Its tables, in bytes.
    pub table_bytes: u64,
    /// What the host keeps of each instance beside that, for its functions, imports, globals and table entries: counted
    /// from its file, in bytes at most.
    pub structures_max_bytes: u64,
}
