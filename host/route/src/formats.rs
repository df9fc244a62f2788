//! The formats of texts in JSON Schema. The readers in `read` and `shared` say the same in code; a test
//! compares the two.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

macro_rules! formats {
    ($($(#[doc = $doc:literal])* $format:ident = $pattern:literal;)*) => {$(
        $(#[doc = $doc])*
        pub(crate) enum $format {}

        impl JsonSchema for $format {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($format).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

formats! {
    /// The name of a route, a step or a plugin.
    Name = "^[a-z][a-z0-9-]{0,63}$";
    /// The name of a secret.
    SecretName = "^[A-Za-z][A-Za-z0-9_-]{0,63}$";
    /// A whole number and a unit of time.
    Duration = "^[0-9]+(ms|s|m|h|d)$";
    /// How long something is kept.
    Age = "^([0-9]+(h|d)|never)$";
    /// A whole number and a unit of size.
    Size = "^[0-9]+(B|KiB|MiB|GiB)$";
    /// Scheme, host and port.
    Origin = "^https?://[^/?#@*\\\\]+/?$";
    /// A range of addresses.
    Range = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$";
    /// The address of a plugin's file.
    PluginUrl = "^https?://[^@#\\s]+$";
    /// A plugin in an OCI registry.
    Oci = "^([a-z0-9.-]+|\\[[0-9a-f:]+\\])(:[0-9]{1,5})?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$";
    /// A public key.
    PublicKey = "^ed25519:[A-Za-z0-9+/]{43}=$";
    /// A SHA-256.
    Digest = "^sha256:[0-9a-f]{64}$";
}
