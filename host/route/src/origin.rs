//! Where the plugins of a project come from, and who publishes them: as written and as checked.

use crate::codes;
use crate::formats;
use crate::mistake::Mistake;
use crate::read::{At, Fields, Node, Notes, expected, flag, name, name_text, shown, text};
use crate::shared::is_secret_name;
use crossdock_model::{OciReference, PluginName, is_digest, is_registry};
use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;
use url::{Host, Url};

/// How an entry of `[plugins]` is written.
const PLUGIN_EXAMPLE: &str = "{ path = \"plugins/map.wasm\" }, { url = \"https://…\", digest = \"sha256:…\" } or \
                              { oci = \"ghcr.io/acme/map:1.2.0\" }";

/// Where a plugin comes from: exactly one of `path`, `url` and `oci`.
#[derive(Debug, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    rename = "Plugin",
    extend("oneOf" = [{ "required": ["path"] }, { "required": ["url", "digest"] }, { "required": ["oci"] }])
)]
pub(crate) struct PluginFile {
    /// The component's file; if it is relative, within the project's folder.
    #[schemars(with = "Option<String>", length(min = 1))]
    path: Option<At<String>>,
    /// The address of the component's file, with https. It must have the `digest` that is written beside it.
    #[schemars(with = "Option<formats::PluginUrl>")]
    url: Option<At<String>>,
    /// The component in an OCI registry: registry, repository and tag, for example "ghcr.io/acme/map:1.2.0". Without
    /// `digest`, what the first run finds there is pinned in the lock.
    #[schemars(with = "Option<formats::Oci>")]
    oci: Option<At<OciReference>>,
    /// The SHA-256 of the file: "sha256:" and 64 hexadecimal digits. A file with another one is refused.
    #[schemars(with = "Option<formats::Digest>")]
    digest: Option<At<String>>,
    /// Who must have signed it: a name under [publishers].
    #[schemars(with = "Option<formats::Name>")]
    publisher: Option<At<PluginName>>,
}

/// Somebody whose signature is asked for.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Publisher")]
pub(crate) struct PublisherFile {
    /// The public key: "ed25519:" and 32 bytes in base64.
    #[schemars(with = "formats::PublicKey")]
    key: Option<At<String>>,
}

/// A host that plugins are fetched from.
#[derive(Debug, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    rename = "Registry",
    extend("dependentRequired" = { "user": ["password"], "password": ["user"] })
)]
pub(crate) struct RegistryFile {
    /// The user that it knows us as.
    #[schemars(with = "Option<String>", length(min = 1))]
    user: Option<At<String>>,
    /// The name of the secret under [secrets] that is this user's password or token.
    #[schemars(with = "Option<formats::SecretName>")]
    password: Option<At<String>>,
    /// Whether it is spoken to without TLS, so that anybody in between can change and read what is sent.
    #[schemars(with = "Option<bool>", extend("default" = false))]
    plain_http: Option<At<bool>>,
}

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PluginOrigin {
    /// A file, as written; if it is relative, within the project's folder.
    Path(String),
    /// The address of a file.
    Url(String),
    /// A registry.
    Oci(OciReference),
}

impl PluginOrigin {
    /// Where it comes from, if that is not this machine.
    #[must_use]
    pub fn remote(&self) -> Option<String> {
        match self {
            Self::Path(_) => None,
            Self::Url(url) => Some(url.clone()),
            Self::Oci(reference) => Some(reference.to_string()),
        }
    }
}

/// A plugin of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginEntry {
    /// The name by which routes refer to it.
    pub name: PluginName,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: PluginOrigin,
    /// `sha256:` and 64 hexadecimal digits in lower case: what the file must have. The host checks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Who must have signed it: one of the publishers of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
}

/// Somebody whose signature is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublisherEntry {
    /// The name by which plugins refer to them.
    pub name: String,
    /// `ed25519:` and 32 bytes in base64. Whether they are a key is for the host to find out.
    pub key: String,
}

/// A host that plugins are fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryEntry {
    /// The host, with its port if it is not the usual one.
    pub host: String,
    /// The user that it knows us as, and the name of the secret that is the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<(String, String)>,
    /// Whether it is spoken to without TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
}

impl PluginFile {
    pub(crate) fn read(key: At<&str>, node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<(PluginName, Self)> {
        let name_read = name_text(key, notes);
        if let DeValue::String(path) = node.value.get_ref() {
            node.wrong_type(notes, "a table", format!("write {{ path = {:?} }}", shown(path)));
            return None;
        }
        let table = node.table(notes, "map = { path = \"plugins/map.wasm\" }")?;
        let mut fields = Fields::new("a plugin", table, Some(node.span()), notes);
        let plugin = Self {
            path: fields.optional("path", text),
            url: fields.optional("url", url),
            oci: fields.optional("oci", oci),
            digest: fields.optional("digest", digest),
            publisher: fields.optional("publisher", name),
        };
        let origins: Vec<&str> = ["path", "url", "oci"].into_iter().filter(|key| table.contains_key(*key)).collect();
        match origins.as_slice() {
            [] => fields.missing("path", format!("say where it comes from: {PLUGIN_EXAMPLE}")),
            ["url"] if !table.contains_key("digest") => {
                let fix = "add digest = \"sha256:…\"; `crossdock plugin inspect` shows it of a file that you have";
                fields.missing("digest", fix.to_owned());
            }
            [_] => {}
            several => {
                let message = format!("plugin `{}` comes from {} places", shown(key.value), several.len());
                let label = format!("has {}", several.join(" and "));
                let fix = format!("write one of them: {PLUGIN_EXAMPLE}");
                fields.notes.add(Mistake::new(codes::BAD_VALUE, message).at(key.span, label).with_fix(fix));
            }
        }
        fields.finish();
        Some((name_read?, plugin))
    }

    /// Whether what it refers to is in the project.
    pub(crate) fn relate(&self, project: Known<'_>, notes: &mut Notes<'_>) {
        if let Some(publisher) = &self.publisher
            && !project.publishers.contains(&publisher.value.as_str())
        {
            let message = format!("the project has no publisher `{}`", publisher.value);
            let fix = expected(publisher.value.as_str(), "add it under [publishers]; there are", project.publishers);
            notes.add(Mistake::new(codes::BAD_VALUE, message).at(publisher.span, "not there").with_fix(fix));
        }
        if let Some(url) = &self.url
            && let Some(host) = plain_host(&url.value)
            && !project.plain.contains(&host)
        {
            let message = format!("`{host}` would be spoken to without TLS");
            let fix =
                format!("write https; or, if the network is trusted, plain_http = true under [registries.{host:?}]");
            notes.add(
                Mistake::new(codes::BAD_VALUE, message).at(url.span, "anybody in between can change it").with_fix(fix),
            );
        }
    }

    pub(crate) fn check(self, name: PluginName) -> Option<PluginEntry> {
        let origin = match (self.path, self.url, self.oci) {
            (Some(path), None, None) => PluginOrigin::Path(path.value),
            (None, Some(url), None) => PluginOrigin::Url(url.value),
            (None, None, Some(oci)) => PluginOrigin::Oci(oci.value),
            _ => return None,
        };
        let publisher = self.publisher.map(|at| at.value.to_string());
        Some(PluginEntry { name, origin, digest: self.digest.map(|at| at.value), publisher })
    }
}

/// What plugins and registries may refer to.
#[derive(Clone, Copy)]
pub(crate) struct Known<'k> {
    pub(crate) publishers: &'k [&'k str],
    pub(crate) secrets: &'k [&'k str],
    /// The hosts that are spoken to without TLS.
    pub(crate) plain: &'k [String],
}

impl PublisherFile {
    pub(crate) fn read(key: At<&str>, node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<(String, Self)> {
        let name: Option<PluginName> = name_text(key, notes);
        let table = node.table(notes, "acme = { key = \"ed25519:…\" }")?;
        let mut fields = Fields::new("a publisher", table, Some(node.span()), notes);
        let publisher = Self { key: fields.required("key", "key = \"ed25519:…\", the public key", public_key) };
        fields.finish();
        Some((name?.to_string(), publisher))
    }

    pub(crate) fn check(self, name: String) -> Option<PublisherEntry> {
        Some(PublisherEntry { name, key: self.key?.value })
    }
}

impl RegistryFile {
    pub(crate) fn read(key: At<&str>, node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<(String, Self)> {
        let fits = is_registry(key.value);
        if !fits {
            notes.add(
                Mistake::new(codes::BAD_VALUE, format!("{:?} cannot be a registry", shown(key.value)))
                    .at(key.span, "not a host")
                    .with_fix("write the host in quotes, with its port if it is not the usual one, without a scheme"),
            );
        }
        let table = node.table(notes, "\"ghcr.io\" = { user = \"acme\", password = \"GHCR_TOKEN\" }")?;
        let mut fields = Fields::new("a registry", table, Some(node.span()), notes);
        let registry = Self {
            user: fields.optional("user", text),
            password: fields.optional("password", secret_name),
            plain_http: fields.optional("plain_http", flag),
        };
        match (table.contains_key("user"), table.contains_key("password")) {
            (true, false) => fields.missing("password", "add password = \"NAME\", the name of a secret".to_owned()),
            (false, true) => fields.missing("user", "add user = \"…\"".to_owned()),
            _ => {}
        }
        fields.finish();
        fits.then(|| (key.value.to_owned(), registry))
    }

    /// Whether it is spoken to without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.plain_http.is_some_and(|at| at.value)
    }

    /// Whether what it refers to is in the project.
    pub(crate) fn relate(&self, project: Known<'_>, notes: &mut Notes<'_>) {
        if let Some(secret) = &self.password
            && !project.secrets.contains(&secret.value.as_str())
        {
            // Perhaps it is the password itself that stands there.
            notes.hide(secret.span);
            let fix = format!(
                "write the name of a secret, never what it is; under [secrets] are: {}",
                project.secrets.join(", ")
            );
            let message = "the project has no secret of this name";
            notes.add(Mistake::new(codes::BAD_VALUE, message).at(secret.span, "not there").with_fix(fix));
        }
    }

    pub(crate) fn check(self, host: String) -> Option<RegistryEntry> {
        let plain_http = self.is_plain();
        let user = match (self.user, self.password) {
            (Some(user), Some(password)) => Some((user.value, password.value)),
            (None, None) => None,
            _ => return None,
        };
        Some(RegistryEntry { host, user, plain_http })
    }
}

fn digest(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let digest = text(node, notes)?;
    if is_digest(&digest) {
        return Some(digest);
    }
    let fix = "write \"sha256:\" and 64 hexadecimal digits in lower case; `crossdock plugin inspect` shows them";
    node.bad_value(notes, "this is not a digest".to_owned(), "not a SHA-256", fix);
    None
}

/// The address of a file, as `url` writes it.
fn url(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let written = text(node, notes)?;
    let problem = match Url::parse(&written) {
        Ok(url) if !matches!(url.scheme(), "https" | "http") => "not an address with https",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            notes.hide(node.span());
            "credentials do not belong here"
        }
        Ok(url) if url.fragment().is_some() => "a part after # is never sent",
        Ok(url) => return Some(url.to_string()),
        Err(_) => "not an address",
    };
    let fix = "write the address of the file, for example \"https://example.com/plugins/map-1.2.0.wasm\"; credentials \
               stand under [registries]";
    node.bad_value(notes, "a plugin cannot be fetched from there".to_owned(), problem, fix);
    None
}

fn oci(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<OciReference> {
    let written = text(node, notes)?;
    match OciReference::parse(&written) {
        Ok(reference) => Some(reference),
        Err(error) => {
            let message = format!("`{}` is no reference to a plugin in a registry", shown(&written));
            let fix = "write registry, repository and tag, for example \"ghcr.io/acme/map:1.2.0\"";
            node.bad_value(notes, message, error.problem, fix);
            None
        }
    }
}

fn public_key(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let key = text(node, notes)?;
    let base64 = key.strip_prefix("ed25519:").and_then(|rest| rest.strip_suffix('=')).unwrap_or_default();
    if base64.len() == 43 && base64.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')) {
        return Some(key);
    }
    // Somebody may have written the private key.
    notes.hide(node.span());
    let fix = "write \"ed25519:\" and 44 characters, as `crossdock plugin keygen` shows the public key";
    node.bad_value(notes, "this is not a public key".to_owned(), "not an Ed25519 key", fix);
    None
}

fn secret_name(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<String> {
    let name = text(node, notes)?;
    if is_secret_name(&name) {
        return Some(name);
    }
    // Perhaps it is the password itself that stands there.
    notes.hide(node.span());
    let fix = "write the name of a secret under [secrets], never what it is";
    node.bad_value(notes, "this is not the name of a secret".to_owned(), "not a name", fix);
    None
}

/// The host of an address without TLS that is not this machine.
fn plain_host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "http")?;
    let is_here = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    };
    let host = url.host_str()?;
    (!is_here).then(|| url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}
