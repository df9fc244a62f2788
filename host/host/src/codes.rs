//! Error codes of the façade, and the pages of all codes of the host.

use crossdock_model::Code;

macro_rules! codes {
    ($($name:literal),* $(,)?) => {
        /// The codes that the façade itself gives.
        pub const CODES: &[Code] =
            &[$(Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) }),*];
    };
}

/// A plugin's file that is not the one that the project pins.
pub(crate) const DIGEST: Code = Code { name: "plugin-digest", page: include_str!("../codes/plugin-digest.md") };

/// A plugin's file that is not the one in the lock.
pub(crate) const CHANGED: Code = Code { name: "plugin-changed", page: include_str!("../codes/plugin-changed.md") };

/// A plugin that is not in the lock, to which nothing may be added.
pub(crate) const NOT_LOCKED: Code =
    Code { name: "plugin-not-locked", page: include_str!("../codes/plugin-not-locked.md") };

/// A plugin that says something else of itself than when it was let in.
pub(crate) const LOCK_DIFFERS: Code =
    Code { name: "plugin-lock-differs", page: include_str!("../codes/plugin-lock-differs.md") };

/// A directory is granted through which a plugin would reach what the host goes by.
pub(crate) const OWN_FILES: Code = Code { name: "grant-own-files", page: include_str!("../codes/grant-own-files.md") };

codes! {
    "grant-own-files",
    "host-certificates",
    "host-file-unreadable",
    "host-file-unwritable",
    "host-internal",
    "host-no-project",
    "host-route-not-found",
    "host-secret-too-short",
    "host-secret-unreadable",
    "host-source-not-operational",
    "lock-unwritable",
    "plugin-approval-stale",
    "plugin-changed",
    "plugin-digest",
    "plugin-lock-differs",
    "plugin-not-in-project",
    "plugin-not-locked",
    "plugin-not-quarantined",
    "probe-at-source",
    "probe-not-possible",
    "push-reference",
    "records-changed",
    "records-none",
    "records-several-routes",
    "records-too-many",
    "resync-connector-down",
    "resync-edit-one",
    "resync-no-definition",
    "resync-no-plan",
    "resync-plugin-changed",
    "resync-several-definitions",
    "resync-stale-plan",
    "route-busy",
}

/// All codes that this host can give, each with its page, in the order of their names. The codes of records'
/// failures that plugins give are the plugins' own.
#[must_use]
pub fn codes() -> Vec<Code> {
    let lists = [
        CODES,
        crossdock_engine::codes::CODES,
        crossdock_ledger::CODES,
        crossdock_registry::codes::CODES,
        crossdock_route::codes::CODES,
        crossdock_sandbox::codes::CODES,
    ];
    let mut all: Vec<Code> = lists.into_iter().flatten().copied().collect();
    all.sort_by_key(|code| code.name);
    all
}

/// The page of a code.
#[must_use]
pub fn explain(code: &str) -> Option<Code> {
    codes().into_iter().find(|known| known.name == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_there_once() {
        let all = codes();
        for pair in all.windows(2) {
            assert_ne!(pair[0].name, pair[1].name);
        }
    }
}
