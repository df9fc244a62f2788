//! The codes of mistakes in files, each with its page.

use crossdock_model::Code;

macro_rules! codes {
    ($($(#[$doc:meta])* $constant:ident = $name:literal;)*) => {
        $($(#[$doc])* pub const $constant: Code =
            Code { name: $name, page: include_str!(concat!("../codes/", $name, ".md")) };)*

        /// All codes of this crate.
        pub const CODES: &[Code] = &[$($constant),*];
    };
}

codes! {
    /// Several mistakes of different kinds.
    MISTAKES = "config-mistakes";
    /// A file is larger than a route or project file may be.
    TOO_LARGE = "config-too-large";
    /// The text is not TOML.
    SYNTAX = "config-syntax";
    /// A key that does not exist there.
    UNKNOWN_KEY = "config-unknown-key";
    /// A key that must be there.
    MISSING_KEY = "config-missing-key";
    /// A value of another type than the key takes.
    WRONG_TYPE = "config-wrong-type";
    /// A value of the right type that the key does not take.
    BAD_VALUE = "config-bad-value";
    /// Something that this version knows of and cannot do yet.
    NOT_AVAILABLE = "config-not-available";
    /// Two things with one name.
    DUPLICATE = "config-duplicate";
    /// Settings that do not fit the plugin's schema. Made by the host, which has the schema.
    SETTINGS = "route-settings";
    /// No step, or no destination among the steps.
    NO_DESTINATION = "route-no-destination";
    /// A plugin in a place for another role.
    WRONG_ROLE = "route-wrong-role";
    /// A plugin that the project does not have.
    UNKNOWN_PLUGIN = "route-unknown-plugin";
    /// A secret that the project does not have.
    UNKNOWN_SECRET = "route-unknown-secret";
    /// A secret that may go nowhere where it is granted, or that others could read on its way.
    SECRET_DESTINATION = "route-secret-destination";
    /// A plugin needs something that the route does not grant.
    MISSING_GRANT = "route-missing-grant";
    /// Failed records would be lost.
    LOSES_FAILURES = "route-loses-failures";
    /// Retries could take effect twice.
    UNSAFE_RETRY = "route-unsafe-retry";
    /// A destination whose effects cannot be undone, where the route asks for it.
    CANNOT_ROLL_BACK = "route-cannot-roll-back";
    /// A source that cannot give its records again.
    CANNOT_RE_READ = "route-cannot-re-read";
    /// The lock is not what was written into it.
    LOCK_DAMAGED = "lock-damaged";
    /// The lock was written by a later version.
    LOCK_NEWER = "lock-newer-format";
}
