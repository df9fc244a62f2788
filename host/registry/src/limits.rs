//! The limits of whatever is fetched or pushed.

/// What fetching or pushing one plugin may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a plugin.
    pub plugin_max_bytes: u64,
    /// The most bytes of a manifest: what the OCI specification has registries allow.
    pub manifest_max_bytes: u64,
    /// The most bytes of any other answer: a token, a signature, what is said about an error.
    pub answer_max_bytes: u64,
    /// The most redirects of one request.
    pub redirects_max: usize,
    /// How long making a connection may take.
    pub connect_time_max_ms: u64,
    /// How long nothing at all may come.
    pub wait_max_ms: u64,
    /// How long everything together may take.
    pub time_max_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            plugin_max_bytes: 128 << 20,
            manifest_max_bytes: 4 << 20,
            answer_max_bytes: 64 << 10,
            redirects_max: 5,
            connect_time_max_ms: 10_000,
            wait_max_ms: 30_000,
            time_max_ms: 600_000,
        }
    }
}
