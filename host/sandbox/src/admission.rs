//! What a file must be before it is compiled: found out by walking through it, without running or
//! compiling anything.

use crate::imports::{OWN, WASI, reach};
use crate::limits::Limits;
use crate::redact::Redactor;
use crate::sections;
use crate::shape::{self, Outside, ShapeError};
use crate::text::PluginText;
use crossdock_model::{CONTRACT_SECTION, CONTRACT_VERSION, ContractVersion, ErrorClass, Explained, Fit};
use thiserror::Error;

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
    /// It was built for a version of the contract that this host does not load any more.
    #[error(
        "the plugin was built for version {found} of the plugin contract, which is too old for this host: it speaks \
         version {host}, and the two do not go together"
    )]
    OlderContract {
        /// The version it says.
        found: ContractVersion,
        /// The version that the host speaks.
        host: ContractVersion,
    },
    /// It was built for a version of the contract that this host does not know yet.
    #[error(
        "the plugin was built for version {found} of the plugin contract, which is newer than this host: it speaks \
         version {host}"
    )]
    NewerContract {
        /// The version it says.
        found: ContractVersion,
        /// The version that the host speaks.
        host: ContractVersion,
    },
    /// What it says about its contract is no version.
    #[error(
        "the plugin says that it was built for version `{found}` of the plugin contract, which is none (three numbers, \
         as in {CONTRACT_VERSION}); this host speaks version {CONTRACT_VERSION}"
    )]
    OtherContract {
        /// What it says.
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
            Self::NoContract | Self::OlderContract { .. } | Self::NewerContract { .. } | Self::OtherContract { .. } => {
                "plugin-contract-version"
            }
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
            Self::OlderContract { found, host } => {
                format!("build the plugin again with an SDK of version {host} of the contract, or use a host that still speaks {found}")
            }
            Self::NewerContract { found, host } => {
                format!("use a newer version of Crossdock, which speaks {found}, or build the plugin with an SDK of version {host}")
            }
            Self::OtherContract { .. } => "build the plugin again with a Crossdock SDK, which writes the section".to_owned(),
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
    /// The version of the contract that it was built for: the latest, if it is composed of parts that differ.
    pub(crate) contract: ContractVersion,
    /// What the host keeps of an instance at most, in bytes, beside its memories.
    pub(crate) structures_max_bytes: u64,
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
/// The first thing that is wrong with it. That it was built for another version of the contract goes before all else:
/// nothing else in it needs to be understood for that.
pub(crate) fn admit(bytes: &[u8]) -> Result<Admitted, AdmissionError> {
    admit_by(ContractVersion::OURS, bytes)
}

/// As [`admit`], by a host that speaks this version of the contract.
fn admit_by(host: ContractVersion, bytes: &[u8]) -> Result<Admitted, AdmissionError> {
    check_size(bytes.len() as u64)?;
    check_beginning(bytes)?;
    let contract = check_contract(host, bytes)?;
    let outside = walk(bytes)?;
    let contract = contract.ok_or(AdmissionError::NoContract)?;
    for import in &outside.imports {
        check_import(host, import)?;
    }
    let mut imports: Vec<_> = outside.imports.iter().filter_map(|import| reach(import)).collect();
    imports.sort_unstable();
    imports.dedup();
    let structures_max_bytes = outside.structures_max_bytes;
    let Exported { role, compensate, probe } = check_exports(host, &outside.exports)?;
    Ok(Admitted { role, compensate, probe, imports, contract, structures_max_bytes })
}

/// The full names of what a component imports and of what it exports, as far as they are interfaces.
///
/// # Errors
/// When it is no component, or is damaged.
pub(crate) fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), AdmissionError> {
    check_beginning(bytes)?;
    let outside = walk(bytes)?;
    let own = |names: &[&str]| names.iter().map(|name| shown(name)).collect();
    Ok((own(&outside.imports), own(&outside.exports)))
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
    shape::walk(bytes).map_err(|error| match error {
        ShapeError::CoreModule => AdmissionError::CoreModule,
        ShapeError::Damaged(_) | ShapeError::NoSuchComponent => {
            AdmissionError::Damaged { reason: shown(&error.to_string()) }
        }
        ShapeError::Borrowed | ShapeError::TooMuch(_) => AdmissionError::TooComplex { reason: error.to_string() },
    })
}

/// The latest of the versions that a file says, if it says any. Nothing else of it is looked at.
///
/// # Errors
/// When the host does not load one of them.
fn check_contract(host: ContractVersion, bytes: &[u8]) -> Result<Option<ContractVersion>, AdmissionError> {
    let mut latest = None;
    sections::each_named(bytes, CONTRACT_SECTION, &mut |said| {
        let found = std::str::from_utf8(said).ok().and_then(ContractVersion::parse);
        let found =
            found.ok_or_else(|| AdmissionError::OtherContract { found: shown(&String::from_utf8_lossy(said)) })?;
        match host.fit(found) {
            Fit::Loads => {
                latest = latest.max(Some(found));
                Ok(())
            }
            Fit::TooOld => Err(AdmissionError::OlderContract { found, host }),
            Fit::TooNew => Err(AdmissionError::NewerContract { found, host }),
        }
    })?;
    Ok(latest)
}

/// The name of one of our own interfaces, if it is of a version that the host loads.
fn own(host: ContractVersion, name: &str) -> Option<&str> {
    let (name, version) = name.strip_prefix("crossdock:plugin/")?.split_once('@')?;
    (host.fit(ContractVersion::parse(version)?) == Fit::Loads).then_some(name)
}

fn check_import(host: ContractVersion, import: &str) -> Result<(), AdmissionError> {
    let is_own = own(host, import).is_some_and(|name| OWN.contains(&name));
    let is_wasi =
        import.split_once('@').is_some_and(|(name, version)| WASI.contains(&name) && version.starts_with("0.2."));
    if is_own || is_wasi { Ok(()) } else { Err(AdmissionError::UnknownImport { import: shown(import) }) }
}

/// What a plugin is by its exports.
struct Exported {
    role: Role,
    compensate: bool,
    probe: bool,
}

fn check_exports(host: ContractVersion, exports: &[&str]) -> Result<Exported, AdmissionError> {
    let has = |name: &str| exports.iter().any(|export| own(host, export) == Some(name));
    let refuse = |reason: String| Err(AdmissionError::Exports { reason });
    for name in ["describe", "lifecycle"] {
        if !has(name) {
            return refuse(format!("does not export `crossdock:plugin/{name}@{host}`"));
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
    Ok(Exported { role, compensate, probe })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Engine, Store};

    /// A transformer of a version of the contract that looks at the clock, as far as its names go.
    fn plugin(section: &str, import: &str, export: &str) -> Vec<u8> {
        let exports = ["describe", "lifecycle", "transformer"]
            .map(|name| format!("(export \"crossdock:plugin/{name}@{export}\" (instance $i))"));
        let text = format!(
            "(component
            (import \"crossdock:plugin/control@{import}\" (instance $control (export \"now-ms\" (func (result u64)))))
            (core module $m (import \"c\" \"n\" (func $n (result i64))) (func (export \"now\") (result i64) (call $n)))
            (core func $n (canon lower (func $control \"now-ms\")))
            (core instance $c (instantiate $m (with \"c\" (instance (export \"n\" (func $n))))))
            (func $now (result u64) (canon lift (core func $c \"now\")))
            (instance $i (export \"now\" (func $now))) {})",
            exports.concat()
        );
        let mut bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
        let content = [&[18][..], CONTRACT_SECTION.as_bytes(), section.as_bytes()].concat();
        bytes.extend([0, u8::try_from(content.len()).unwrap()]);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn plugins_of_earlier_versions_that_go_together_are_let_in() {
        let check = |host: &str, version: &str, refused: Option<&[&str]>| {
            let host = ContractVersion::parse(host).unwrap();
            match (admit_by(host, &plugin(version, version, version)), refused) {
                (Ok(admitted), None) => assert_eq!(admitted.contract.to_string(), version),
                (Err(error), Some(words)) => {
                    assert_eq!(error.code(), "plugin-contract-version");
                    let told = format!("{error}; {}", error.fix().unwrap());
                    for word in words.iter().copied().chain([version, &host.to_string()]) {
                        assert!(told.contains(word), "{told:?} does not say {word:?}");
                    }
                }
                (found, _) => panic!("a plugin of {version} on a host of {host}: {found:?}"),
            }
        };
        const OLD: Option<&[&str]> = Some(&["too old for this host", "build the plugin again with an SDK of version"]);
        const NEW: Option<&[&str]> = Some(&["newer than this host", "use a newer version of Crossdock"]);
        check("0.1.0", "0.1.0", None);
        check("0.1.1", "0.1.0", None);
        check("0.1.1", "0.1.1", None);
        check("0.1.1", "0.1.2", NEW);
        check("0.1.1", "0.2.0", NEW);
        check("0.2.0", "0.1.1", OLD);
        check("1.0.0", "0.9.0", OLD);
        check("1.3.0", "1.2.9", None);
        check("1.3.0", "2.0.0", NEW);
    }

    #[test]
    fn the_names_are_held_to_the_same_rule() {
        let host = ContractVersion::parse("0.1.1").unwrap();
        let check = |import: &str, export: &str, code: Option<&str>| {
            let found = admit_by(host, &plugin("0.1.1", import, export));
            assert_eq!(found.as_ref().err().map(Explained::code), code, "{import} {export}: {found:?}");
        };
        // Composed of parts that were built at different times.
        check("0.1.0", "0.1.1", None);
        check("0.1.1", "0.1.0", None);
        check("0.1.2", "0.1.1", Some("plugin-import-unknown"));
        check("0.2.0", "0.1.1", Some("plugin-import-unknown"));
        check("0.1.1", "0.1.2", Some("plugin-exports"));
        check("0.1.1", "0.0.1", Some("plugin-exports"));
    }

    /// What admission lets in must also link: wasmtime takes an interface of another version for the one that is asked for
    /// if the two go together. Here a host that speaks 0.1.1, with a function more, links and calls plugins of both.
    #[test]
    fn a_later_host_links_plugins_of_an_earlier_version() {
        let engine = Engine::default();
        let mut linker = Linker::<()>::new(&engine);
        let mut control = linker.instance("crossdock:plugin/control@0.1.1").unwrap();
        control.func_wrap("now-ms", |_, (): ()| Ok((7_u64,))).unwrap();
        control.func_wrap("time-zone", |_, (): ()| Ok((String::from("UTC"),))).unwrap();
        let check = |version: &str, links: bool| {
            let component = Component::new(&engine, plugin(version, version, version)).unwrap();
            let mut store = Store::new(&engine, ());
            let Ok(instance) = linker.instantiate(&mut store, &component) else {
                assert!(!links, "{version} does not link");
                return;
            };
            assert!(links, "{version} links");
            // As generated code looks for exports: under the host's own version.
            let found = component.get_export_index(None, "crossdock:plugin/transformer@0.1.1").unwrap();
            let now = component.get_export_index(Some(&found), "now").unwrap();
            let now = instance.get_typed_func::<(), (u64,)>(&mut store, &now).unwrap();
            assert_eq!(now.call(&mut store, ()).unwrap(), (7,));
        };
        check("0.1.0", true);
        check("0.1.1", true);
        check("0.2.0", false);
    }
}
