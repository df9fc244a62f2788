//! Where a plugin's HTTP requests may go, and where the secrets may that are put into them.

use crate::codes;
use crate::formats;
use crate::mistake::Mistake;
use crate::read::{At, Fields, Node, Notes, list, shown, text};
use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use toml::de::DeValue;
use url::{Host, Url};

/// The widest range that can be granted: one network, not half of the internet.
const V4_BITS_MIN: u8 = 8;
const V6_BITS_MIN: u8 = 7;
/// How a grant with ranges is written.
const EXAMPLE: &str = "{ origin = \"https://erp.corp.example\", addresses = [\"10.1.0.0/16\"] }";

/// An origin with the addresses that it may have, as written.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "HttpGrant")]
pub(crate) struct HttpFile {
    /// Scheme, host and, if it is not the usual one, port, for example "https://erp.corp.example".
    #[schemars(with = "formats::Origin")]
    origin: Option<At<String>>,
    /// The ranges of addresses that the name may have, for example "10.1.0.0/16" or "fd00::/8": these and no others,
    /// public or not. Without them a name may have public addresses only.
    #[schemars(with = "Option<Vec<formats::Range>>", length(min = 1))]
    addresses: Option<At<Vec<At<String>>>>,
}

/// What may stand in a list of grants for HTTP: an origin, or a table.
pub(crate) enum HttpEntry {}

impl JsonSchema for HttpEntry {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "HttpEntry".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (origin, table) = (generator.subschema_for::<formats::Origin>(), generator.subschema_for::<HttpFile>());
        json_schema!({ "anyOf": [origin, table] })
    }
}

impl HttpFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        match node.value.get_ref() {
            DeValue::String(_) => {
                let origin = At { value: origin(node, notes)?, span: node.span() };
                Some(Self { origin: Some(origin), addresses: None })
            }
            DeValue::Table(table) => {
                let mut fields = Fields::new("a grant for HTTP", table, Some(node.span()), notes);
                let ranges = "[\"10.1.0.0/16\"]";
                let grant = Self {
                    origin: fields.required("origin", "origin = \"https://erp.corp.example\"", origin),
                    addresses: fields.optional("addresses", |node, notes| {
                        if matches!(node.value.get_ref(), DeValue::Array(written) if written.is_empty()) {
                            let fix = "write the ranges that the name may have, or leave it out for public addresses";
                            node.bad_value(notes, "`addresses` holds no range".to_owned(), "nobody is there", fix);
                        }
                        list(node, notes, ranges, range)
                    }),
                };
                fields.finish();
                Some(grant)
            }
            _ => {
                node.wrong_type(notes, "text or a table", format!("write \"https://erp.example.com\" or {EXAMPLE}"));
                None
            }
        }
    }

    /// The origin, and where it stands.
    pub(crate) fn origin(&self) -> Option<&At<String>> {
        self.origin.as_ref()
    }

    pub(crate) fn check(&self, notes: &mut Notes<'_>) -> Option<HttpGrant> {
        let origin = self.origin.as_ref()?;
        let Some(addresses) = &self.addresses else {
            return Some(HttpGrant { origin: origin.value.clone(), addresses: Vec::new() });
        };
        if !is_name(&origin.value) {
            notes.add(
                Mistake::new(codes::BAD_VALUE, format!("`{}` has no other addresses than its own", origin.value))
                    .at(addresses.span, "has no effect")
                    .with_related(origin.span, "not a name that is resolved")
                    .with_fix("leave `addresses` out, or grant the host by its name"),
            );
        }
        let addresses = addresses.value.iter().map(|at| at.value.clone()).collect();
        Some(HttpGrant { origin: origin.value.clone(), addresses })
    }
}

/// An origin that a plugin may send requests to. Serialises to the origin alone if it has no ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// Scheme, host and port, normalised; the usual port of a scheme is left out.
    pub origin: String,
    /// The ranges of addresses that the host may have, in CIDR notation: these and no others. None: public addresses.
    pub addresses: Vec<String>,
}

impl Serialize for HttpGrant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'g> {
            origin: &'g str,
            addresses: &'g [String],
        }
        match self {
            Self { origin, addresses } if addresses.is_empty() => origin.serialize(serializer),
            Self { origin, addresses } => Whole { origin, addresses }.serialize(serializer),
        }
    }
}

/// Scheme, host and port; as `url` writes them, without a dot at the end of the host.
pub(crate) fn origin(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let written = text(node, notes)?;
    let problem = match Url::parse(&written) {
        Err(_) if !written.contains("://") => "the scheme is missing",
        Err(_) => "not an address",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "only http and https can be granted",
        Ok(url) if url.host_str().is_none_or(|host| host.contains('*')) => "each host must be named",
        Ok(_) if written.contains('@') => "credentials do not belong here",
        Ok(_) if written.contains('\\') => "there is no backslash in an address",
        Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "a grant covers a host as a whole: no path"
        }
        Ok(url) => return Some(normal(&url)),
    };
    let fix = "write scheme, host and port only, for example \"https://erp.example.com\" or \"http://127.0.0.1:8080\"";
    let message = match written.contains('@') {
        true => {
            notes.hide(node.span());
            "this address cannot be granted".to_owned()
        }
        false => format!("`{}` cannot be granted", shown(&written)),
    };
    node.bad_value(notes, message, problem, fix);
    None
}

fn normal(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_suffix('.').filter(|host| !host.is_empty()).unwrap_or(host);
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// A range of addresses, normalised; an address alone is the range of itself.
fn range(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let written = text(node, notes)?;
    let alone = if written.contains(':') { format!("{written}/128") } else { format!("{written}/32") };
    let parsed = written.parse::<IpNet>().or_else(|_| alone.parse()).ok();
    let (problem, fix) = match parsed {
        None => (
            "not a range",
            "write an address, a slash and how many of its bits count, for example 10.1.0.0/16".to_owned(),
        ),
        Some(range) if range.trunc() != range => (
            "an address within its range",
            format!(
                "write {} for the range, or {}/{} for the address alone",
                range.trunc(),
                range.addr(),
                range.max_prefix_len()
            ),
        ),
        Some(IpNet::V6(v6)) if v6.addr().to_ipv4_mapped().is_some() => {
            ("an IPv4 address in another form", "write it as an IPv4 range, for example 10.1.0.0/16".to_owned())
        }
        Some(IpNet::V4(v4)) if v4.prefix_len() < V4_BITS_MIN => {
            ("too wide", format!("write ranges with at least {V4_BITS_MIN} bits, as narrow as they can be"))
        }
        Some(IpNet::V6(v6)) if v6.prefix_len() < V6_BITS_MIN => {
            ("too wide", format!("write ranges with at least {V6_BITS_MIN} bits, as narrow as they can be"))
        }
        Some(range) => return Some(range.to_string()),
    };
    node.bad_value(notes, format!("`{}` cannot be granted", shown(&written)), problem, fix);
    None
}

/// Whether the host of an origin is a name that has to be resolved.
fn is_name(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    matches!(url.host(), Some(Host::Domain(name)) if name != "localhost")
}

/// Whether nobody between here and there can read what is sent to an origin.
fn is_private(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || is_here
}

/// Why a secret could never be sent, or only so that others can read it, where it is granted.
pub(crate) struct Unsendable {
    pub(crate) message: String,
    pub(crate) label: &'static str,
    pub(crate) fix: String,
}

/// Looks at a secret that is bound to some origins (or to none in particular) and granted beside some.
pub(crate) fn unsendable(secret: &str, to: &[String], granted: &[HttpGrant], project: &str) -> Option<Unsendable> {
    let first = granted.first()?;
    let bind = format!("to = [\"{}\"] to {secret} below [secrets] in {project}", first.origin);
    if to.is_empty() && granted.len() > 1 {
        return Some(Unsendable {
            message: format!("secret `{secret}` is granted beside several origins, and nothing says which may have it"),
            label: "for which of them?",
            fix: format!("add for example {bind}"),
        });
    }
    if to.is_empty() && !is_private(&first.origin) {
        return Some(Unsendable {
            message: format!("secret `{secret}` would be sent to {} for everybody to read", first.origin),
            label: "not behind TLS",
            fix: format!("grant https, or, if it must be so, add {bind}"),
        });
    }
    if !to.is_empty() && !granted.iter().any(|grant| to.contains(&grant.origin)) {
        return Some(Unsendable {
            message: format!("secret `{secret}` may be sent to none of the origins that are granted here"),
            label: "bound to others",
            fix: format!("grant {}, or add \"{}\" to its `to` in {project}", to.join(" or "), first.origin),
        });
    }
    None
}
