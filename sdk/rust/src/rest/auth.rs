//! Credentials as settings, and as they go with a request.

use super::address::{check_header, invalid_setting};
use crate::failure::CallError;
use crate::http::{Request, Value};
use crate::secrets::{self, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// Credentials: the setting `auth`. A secret is named; its value never comes near the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// `Authorization: Bearer SECRET`; the name of the secret.
    Bearer(String),
    /// `Authorization: Basic …`.
    Basic {
        /// The user.
        user: String,
        /// The name of the secret that is the password.
        secret: String,
    },
    /// A header of its own.
    Header {
        /// The header.
        name: String,
        /// The name of the secret.
        secret: String,
        /// Text in front of the secret, for example `Token `.
        #[serde(default)]
        before: String,
    },
    /// A field of the query.
    Query {
        /// The field.
        name: String,
        /// The name of the secret.
        secret: String,
    },
}

/// What is added to each request, put on the wire by the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Nothing.
    None,
    /// A header.
    Header(String, Value),
    /// A field of the query.
    Query(String, Value),
}

impl Auth {
    /// Opens the secrets. `taken` are the headers that requests have already.
    ///
    /// # Errors
    /// A secret cannot be used, or a name makes no sense.
    pub fn open<'h>(&self, taken: impl IntoIterator<Item = &'h str>) -> Result<Credentials, CallError> {
        let mut taken = taken.into_iter();
        let mut header = |pointer: &str, name: &str, value: Value| {
            check_header(pointer, name)?;
            if taken.any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(invalid_setting("/auth", format!("the header `{name}` stands in `headers` too")));
            }
            Ok(Credentials::Header(name.to_owned(), value))
        };
        match self {
            Self::Bearer(secret) => header("/auth", "authorization", Value::bearer(open(secret)?)),
            Self::Basic { user, secret } => {
                if user.contains(':') || user.chars().any(char::is_control) {
                    let problem = "a user of Basic credentials has no colon and no control character";
                    return Err(invalid_setting("/auth/basic/user", problem));
                }
                header("/auth", "authorization", Value::basic(user.clone(), open(secret)?))
            }
            Self::Header { name, secret, before } => {
                let value = Value::Secret { before: before.clone(), secret: open(secret)?, after: String::new() };
                header("/auth/header/name", name, value)
            }
            Self::Query { name, secret } => Ok(Credentials::Query(name.clone(), Value::secret(open(secret)?))),
        }
    }
}

fn open(name: &str) -> Result<Secret, CallError> {
    secrets::open(name).map_err(|error| error.for_secret(name))
}

impl Credentials {
    /// The request with these credentials.
    pub fn on(&self, request: Request) -> Request {
        match self {
            Self::None => request,
            Self::Header(name, value) => request.header(name.clone(), value.clone()),
            Self::Query(name, value) => request.query(name.clone(), value.clone()),
        }
    }
}
