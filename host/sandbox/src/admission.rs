//! What a file must be before it is compiled: found out by walking through it, without running or
//! compiling anything.

use crate::imports::{OWN, WASI, reach};
use crate::limits::Limits;
use crate::redact::Redactor;
use crate::shape::{self, Outside, ShapeError};
use crate::text::PluginText;
use crossdock_model::{ErrorClass, Explained};
use thiserror::Error;

/// The version of the plugin contract that this host speaks.
pub const CONTRACT_VERSION: &str = "0.1.0";
/// The custom section in which a plugin says which version it was built for.
pub const CONTRACT_SECTION: &str = "crossdock:contract";

/// Why a file is not admitted as a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// It is larger than what is looked at.
    #[error("the file has {found_bytes} bytes; a plugin has at most {} bytes", Limits::PLUGIN_MAX_BYTES)]
    TooLarge {
        /// How large it is.
        found_bytes: u64,
    },
    /// It does not begin as WebAssembly does.
    #[error("the file is not WebAssembly: {found}")]
    NotWasm {
        /// How it begins.
        found: String,
    },
    /// It is WebAssembly in text form.
    #[error("the file is WebAssembly in text form; a plugin is a component in binary form")]
    TextFormat,
    /// It is a core module.
    #[error("the file is a core WebAssembly module; a plugin is a component")]
    CoreModule,
    /// It ends early or is damaged.
    #[error("the file is damaged: {reason}")]
    Damaged {
        /// Where and how.
        reason: String,
    },
    /// It is put together in a way that is too large to be looked at further, however small its file is.
    #[error("the component is too complex: {reason}")]
    TooComplex {
        /// Which limit was passed.
        reason: String,
    },
    /// It does not say which contract it was built for.
    #[error(
        "the component does not say which version of the plugin contract it was built for (there is no custom section \
         `{CONTRACT_SECTION}`); this host speaks version {CONTRACT_VERSION}"
    )]
    NoContract,
    /// It was built for another version of the contract.
    #[error(
        "the plugin was built for version {found} of the plugin contract; this host speaks version {CONTRACT_VERSION}"
    )]
    OtherContract {
        /// The version it says.
        found: String,
    },
    /// It wants something that no host offers.
    #[error("the plugin imports `{import}`, which the host does not offer")]
    UnknownImport {
        /// What it imports.
        import: String,
    },
    /// It does not export what a plugin exports.
    #[error("the plugin {reason}")]
    Exports {
        /// What is wrong with its exports.
        reason: String,
    },
}

impl Explained for AdmissionError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "plugin-too-large",
            Self::NotWasm { .. } => "plugin-not-wasm",
            Self::TextFormat => "plugin-text-format",
            Self::CoreModule => "plugin-core-module",
            Self::Damaged { .. } => "plugin-damaged",
            Self::TooComplex { .. } => "plugin-too-complex",
            Self::NoContract | Self::OtherContract { .. } => "plugin-contract-version",
            Self::UnknownImport { .. } => "plugin-import-unknown",
            Self::Exports { .. } => "plugin-exports",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::TooLarge { .. } => "strip debug information, or build with the profile `plugin`".to_owned(),
            Self::NotWasm { .. } => "name the `.wasm` file that the build of the plugin wrote".to_owned(),
            Self::TextFormat => "turn it into a binary first, for example with `wasm-tools parse`".to_owned(),
            Self::CoreModule => {
                "build the plugin for the target wasm32-wasip2, or wrap the module with `wasm-tools component new`"
                    .to_owned()
            }
            Self::Damaged { .. } => "build or copy the plugin again".to_owned(),
            Self::TooComplex { .. } => {
                "build the plugin from one component; if it was composed of several, leave out what it does not need"
                    .to_owned()
            }
            Self::NoContract => {
                "build it with a Crossdock SDK, which writes the section, or check that this is a Crossdock plugin"
                    .to_owned()
            }
            Self::OtherContract { .. } => {
                format!("build the plugin against version {CONTRACT_VERSION} of the contract, or use a host that speaks its version")
            }
            Self::UnknownImport { import } if import.starts_with("wasi:sockets") || import.starts_with("wasi:http") => {
                "use the interface `crossdock:plugin/http` for requests; sockets are not offered".to_owned()
            }
            Self::UnknownImport { .. } => "build the plugin without it; `crossdock explain plugin-import-unknown` lists what is offered".to_owned(),
            Self::Exports { .. } => {
                "export `describe`, `lifecycle` and exactly one of `source`, `transformer`, `destination`; an SDK's export macro does it".to_owned()
            }
        })
    }
}

/// What a plugin is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Brings records in.
    Source,
    /// Changes, drops or splits records.
    Transformer,
    /// Writes records to another system.
    Destination,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Transformer => "transformer",
            Self::Destination => "destination",
        }
    }
}

/// What was found out about an admitted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) role: Role,
    pub(crate) compensate: bool,
    pub(crate) probe: bool,
    /// What its imports let it ask the host for, in [`reach`]'s words, each once and sorted.
    pub(crate) imports: Vec<&'static str>,
}

/// Decides whether a file may be looked at.
///
/// # Errors
/// When it is larger than a plugin is.
pub(crate) fn check_size(found_bytes: u64) -> Result<(), AdmissionError> {
    if found_bytes > Limits::PLUGIN_MAX_BYTES { Err(AdmissionError::TooLarge { found_bytes }) } else { Ok(()) }
}

/// Decides whether a file may be compiled.
///
/// # Errors
/// The first thing that is wrong with it.
pub(crate) fn admit(bytes: &[u8]) -> Result<Admitted, AdmissionError> {
    check_size(bytes.len() as u64)?;
    check_beginning(bytes)?;
    let outside = walk(bytes)?;
    check_contract(&outside.sections)?;
    for import in &outside.imports {
        check_import(import)?;
    }
    let mut imports: Vec<_> = outside.imports.iter().filter_map(|import| reach(import)).collect();
    imports.sort_unstable();
    imports.dedup();
    Ok(Admitted { imports, ..check_exports(&outside.exports)? })
}

fn shown(text: &str) -> String {
    PluginText::line(text, 200, &Redactor::default()).into_string()
}

fn check_beginning(bytes: &[u8]) -> Result<(), AdmissionError> {
    if bytes.is_empty() {
        return Err(AdmissionError::NotWasm { found: "it is empty".to_owned() });
    }
    if !bytes.starts_with(b"\0asm") {
        let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
        let text = beginning.trim_start();
        if text.starts_with("(module")
            || text.starts_with("(component")
            || text.starts_with(";;")
            || text.starts_with("(;")
        {
            return Err(AdmissionError::TextFormat);
        }
        let found = format!("it begins with {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(16)]));
        return Err(AdmissionError::NotWasm { found: shown(&found) });
    }
    Ok(())
}

fn walk(bytes: &[u8]) -> Result<Outside<'_>, AdmissionError> {
    shape::walk(bytes, CONTRACT_SECTION).map_err(|error| match error {
        ShapeError::CoreModule => AdmissionError::CoreModule,
        ShapeError::Damaged(_) | ShapeError::NoSuchComponent => {
            AdmissionError::Damaged { reason: shown(&error.to_string()) }
        }
        ShapeError::Borrowed | ShapeError::TooMuch(_) => AdmissionError::TooComplex { reason: error.to_string() },
    })
}

fn check_contract(contracts: &[&[u8]]) -> Result<(), AdmissionError> {
    match contracts.iter().find(|version| **version != CONTRACT_VERSION.as_bytes()) {
        Some(found) => Err(AdmissionError::OtherContract { found: shown(&String::from_utf8_lossy(found)) }),
        None if contracts.is_empty() => Err(AdmissionError::NoContract),
        None => Ok(()),
    }
}

/// The name of one of our own interfaces, if it is one of the version that we speak.
fn own(name: &str) -> Option<&str> {
    name.strip_prefix("crossdock:plugin/")?.strip_suffix(CONTRACT_VERSION)?.strip_suffix('@')
}

fn check_import(import: &str) -> Result<(), AdmissionError> {
    let is_own = own(import).is_some_and(|name| OWN.contains(&name));
    let is_wasi =
        import.split_once('@').is_some_and(|(name, version)| WASI.contains(&name) && version.starts_with("0.2."));
    if is_own || is_wasi { Ok(()) } else { Err(AdmissionError::UnknownImport { import: shown(import) }) }
}

fn check_exports(exports: &[&str]) -> Result<Admitted, AdmissionError> {
    let has = |name: &str| exports.iter().any(|export| own(export) == Some(name));
    let refuse = |reason: String| Err(AdmissionError::Exports { reason });
    for name in ["describe", "lifecycle"] {
        if !has(name) {
            return refuse(format!("does not export `crossdock:plugin/{name}@{CONTRACT_VERSION}`"));
        }
    }
    let roles: Vec<_> =
        [Role::Source, Role::Transformer, Role::Destination].into_iter().filter(|role| has(role.as_str())).collect();
    let &[role] = roles.as_slice() else {
        let words: Vec<_> = roles.iter().map(|role| format!("`{}`", role.as_str())).collect();
        return refuse(if words.is_empty() {
            "exports none of the roles `source`, `transformer`, `destination`".to_owned()
        } else {
            format!("exports {}; a plugin has exactly one role", words.join(" and "))
        });
    };
    let (compensate, probe) = (has("compensate"), has("probe"));
    if role != Role::Destination && (compensate || probe) {
        return refuse(format!(
            "is a {} and exports `compensate` or `probe`, which only destinations have",
            role.as_str()
        ));
    }
    Ok(Admitted { role, compensate, probe, imports: Vec::new() })
}
