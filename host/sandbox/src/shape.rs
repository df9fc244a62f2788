//! How a component is put together: found out by walking through it once, in time and memory that its
//! file size bounds.
//!
//! A component may instantiate its own parts again and again, so that a file of two kilobytes stands for millions of
//! instances, which the compiler and the host would all have to look at. What it comes to is counted here by
//! multiplication, before anything is compiled.

use crate::limits::Limits;
use thiserror::Error;
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, CustomSectionReader, ElementItems, Encoding, Instance, KnownCustom, Name, Parser, Payload,
    TypeRef,
};

/// What the host keeps of each function, import, global, table or memory, and entry of an element segment of a live
/// module, in bytes at most.
const FUNCTION_BYTES: u64 = 40;
const IMPORT_BYTES: u64 = 40;
const GLOBAL_BYTES: u64 = 24;
const TABLE_BYTES: u64 = 64;
const ELEMENT_BYTES: u64 = 16;

/// Why a file has no shape that is looked at any further.
#[derive(Debug, Error)]
pub(crate) enum ShapeError {
    #[error(transparent)]
    Damaged(#[from] BinaryReaderError),
    #[error("it refers to a component or module that it does not have")]
    NoSuchComponent,
    #[error("it is a core module")]
    CoreModule,
    /// It instantiates a component or module that it was handed, so that it cannot be said what that comes to.
    #[error("it instantiates a component or module that it does not hold itself")]
    Borrowed,
    #[error("it has more {0}")]
    TooMuch(Excess),
}

/// A limit of a component's shape that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} than {max} ({limit})")]
pub(crate) struct Excess {
    pub(crate) what: &'static str,
    pub(crate) max: u64,
    pub(crate) limit: &'static str,
}

const NESTED: Excess =
    Excess { what: "components within components", max: Limits::NESTING_MAX as u64, limit: "NESTING_MAX" };
const PARTS: Excess =
    Excess { what: "modules and components inside", max: Limits::DEFINITIONS_MAX as u64, limit: "DEFINITIONS_MAX" };
const INSTANCES: Excess =
    Excess { what: "instances inside, all together", max: Limits::INSTANCES_MAX, limit: "INSTANCES_MAX" };
const STRUCTURES: Excess = Excess {
    what: "bytes of functions, globals and table entries for the host to keep",
    max: Limits::STRUCTURES_MAX_BYTES,
    limit: "STRUCTURES_MAX_BYTES",
};
const MEMORIES: Excess = Excess {
    what: "memories in one module (multi-memory)",
    max: Limits::MODULE_MEMORIES_MAX as u64,
    limit: "MODULE_MEMORIES_MAX",
};
const FUNCTION_NAME: Excess = Excess {
    what: "bytes in the name of a function",
    max: Limits::FUNCTION_NAME_MAX_BYTES as u64,
    limit: "FUNCTION_NAME_MAX_BYTES",
};
const NAMES: Excess = Excess { what: "imports and exports", max: Limits::NAMES_MAX as u64, limit: "NAMES_MAX" };

/// What a component shows to the outside.
#[derive(Default, Debug)]
pub(crate) struct Outside<'a> {
    pub(crate) imports: Vec<&'a str>,
    pub(crate) exports: Vec<&'a str>,
    /// What the host keeps of an instance of it at most, in bytes.
    pub(crate) structures_max_bytes: u64,
}

impl Outside<'_> {
    /// Looked at before each that is added: a section may hold as many as the file has bytes.
    fn has_room(&self) -> Result<(), ShapeError> {
        let names = self.imports.len() + self.exports.len();
        if names >= Limits::NAMES_MAX { Err(ShapeError::TooMuch(NAMES)) } else { Ok(()) }
    }
}

/// What instantiating a component or module comes to.
#[derive(Default, Clone, Copy)]
struct Sum {
    /// Instances within, of modules and of components.
    instances: u64,
    /// What the host keeps of them.
    bytes: u64,
}

/// A component on the way through it, or a module, of which only the size is looked at.
#[derive(Default)]
struct Part {
    is_component: bool,
    /// What instantiating each component, and each module, of its index spaces comes to; `None` is not known.
    components: Vec<Option<Sum>>,
    modules: Vec<Option<Sum>>,
    /// What instantiating this one comes to, beside itself.
    sum: Sum,
    /// How many memories a module has, imported ones too.
    memories: usize,
}

impl Part {
    fn add(&mut self, more: Sum) -> Result<(), ShapeError> {
        self.sum.instances = self.sum.instances.saturating_add(more.instances);
        self.sum.bytes = self.sum.bytes.saturating_add(more.bytes);
        if self.sum.instances > Limits::INSTANCES_MAX {
            return Err(ShapeError::TooMuch(INSTANCES));
        }
        if self.sum.bytes > Limits::STRUCTURES_MAX_BYTES { Err(ShapeError::TooMuch(STRUCTURES)) } else { Ok(()) }
    }

    /// An instance of something that comes to so much within.
    fn add_instance(&mut self, of: Sum) -> Result<(), ShapeError> {
        self.add(Sum { instances: of.instances.saturating_add(1), ..of })
    }

    /// So many things in a module, each of which the host keeps so many bytes for.
    fn add_each(&mut self, count: u32, bytes: u64) -> Result<(), ShapeError> {
        self.add(Sum { instances: 0, bytes: u64::from(count).saturating_mul(bytes) })
    }

    fn add_memories(&mut self, count: usize) -> Result<(), ShapeError> {
        self.memories = self.memories.saturating_add(count);
        if self.memories > Limits::MODULE_MEMORIES_MAX { Err(ShapeError::TooMuch(MEMORIES)) } else { Ok(()) }
    }
}

/// Adds to an index space. A small file can name the same thing millions of times.
fn know(list: &mut Vec<Option<Sum>>, known: Option<Sum>) -> Result<(), ShapeError> {
    if list.len() >= Limits::DEFINITIONS_MAX {
        return Err(ShapeError::TooMuch(PARTS));
    }
    list.push(known);
    Ok(())
}

fn at(list: &[Option<Sum>], index: u32) -> Result<Option<Sum>, ShapeError> {
    list.get(index as usize).copied().ok_or(ShapeError::NoSuchComponent)
}

/// Walks through a file.
pub(crate) fn walk(bytes: &[u8]) -> Result<Outside<'_>, ShapeError> {
    let mut outside = Outside::default();
    let mut open: Vec<Part> = Vec::new();
    let mut definitions = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                let is_component = encoding == Encoding::Component;
                if !is_component && open.is_empty() {
                    return Err(ShapeError::CoreModule);
                }
                open.push(Part { is_component, ..Part::default() });
                definitions += 1;
                if open.len() > Limits::NESTING_MAX + 1 {
                    return Err(ShapeError::TooMuch(NESTED));
                }
                if definitions > Limits::DEFINITIONS_MAX + 1 {
                    return Err(ShapeError::TooMuch(PARTS));
                }
            }
            Payload::End(_) => {
                let Some(part) = open.pop() else { continue };
                match open.last_mut() {
                    Some(within) => {
                        let list = if part.is_component { &mut within.components } else { &mut within.modules };
                        know(list, Some(part.sum))?;
                    }
                    None => outside.structures_max_bytes = part.sum.bytes,
                }
            }
            Payload::CustomSection(found) => check_names(&found)?,
            payload => match open.last_mut() {
                Some(module) if !module.is_component => count(&payload, module)?,
                _ => look(&payload, &mut open, &mut outside)?,
            },
        }
    }
    Ok(outside)
}

/// The names of functions are shown with a fault, of several at once.
fn check_names(section: &CustomSectionReader<'_>) -> Result<(), ShapeError> {
    let KnownCustom::Name(names) = section.as_known() else { return Ok(()) };
    // What cannot be read is of no use to anyone, and does no harm.
    for name in names.into_iter().map_while(Result::ok) {
        let Name::Function(names) = name else { continue };
        if names.into_iter().map_while(Result::ok).any(|it| it.name.len() > Limits::FUNCTION_NAME_MAX_BYTES) {
            return Err(ShapeError::TooMuch(FUNCTION_NAME));
        }
    }
    Ok(())
}

/// Counts what a section of a module comes to.
fn count(payload: &Payload<'_>, module: &mut Part) -> Result<(), ShapeError> {
    match payload {
        Payload::ImportSection(section) => {
            for import in section.clone().into_imports() {
                module.add_memories(usize::from(matches!(import?.ty, TypeRef::Memory(_))))?;
                module.add_each(1, IMPORT_BYTES)?;
            }
            Ok(())
        }
        Payload::FunctionSection(section) => module.add_each(section.count(), FUNCTION_BYTES),
        Payload::GlobalSection(section) => module.add_each(section.count(), GLOBAL_BYTES),
        Payload::TableSection(section) => module.add_each(section.count(), TABLE_BYTES),
        Payload::MemorySection(section) => {
            module.add_memories(section.count() as usize)?;
            module.add_each(section.count(), TABLE_BYTES)
        }
        Payload::ElementSection(section) => section.clone().into_iter().try_for_each(|segment| {
            let entries = match segment?.items {
                ElementItems::Functions(items) => items.count(),
                ElementItems::Expressions(_, items) => items.count(),
            };
            module.add_each(entries.saturating_add(1), ELEMENT_BYTES)
        }),
        _ => Ok(()),
    }
}

/// Counts what a section of a component comes to.
fn look<'a>(payload: &Payload<'a>, open: &mut [Part], outside: &mut Outside<'a>) -> Result<(), ShapeError> {
    let is_outermost = open.len() == 1;
    let Some((part, around)) = open.split_last_mut() else { return Ok(()) };
    match payload {
        Payload::ComponentImportSection(section) => {
            for import in section.clone() {
                let import = import?;
                match import.ty {
                    ComponentTypeRef::Component(_) => know(&mut part.components, None)?,
                    ComponentTypeRef::Module(_) => know(&mut part.modules, None)?,
                    _ => {}
                }
                if is_outermost {
                    outside.has_room()?;
                    outside.imports.push(import.name.name);
                }
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section.clone() {
                let export = export?;
                match export.kind {
                    ComponentExternalKind::Component => {
                        let exported = at(&part.components, export.index)?;
                        know(&mut part.components, exported)?;
                    }
                    ComponentExternalKind::Module => {
                        let exported = at(&part.modules, export.index)?;
                        know(&mut part.modules, exported)?;
                    }
                    _ => {}
                }
                if is_outermost {
                    outside.has_room()?;
                    outside.exports.push(export.name.name);
                }
            }
        }
        Payload::InstanceSection(section) => {
            for instance in section.clone() {
                let module = match instance? {
                    Instance::Instantiate { module_index, .. } => {
                        at(&part.modules, module_index)?.ok_or(ShapeError::Borrowed)?
                    }
                    Instance::FromExports(_) => Sum::default(),
                };
                part.add_instance(module)?;
            }
        }
        Payload::ComponentInstanceSection(section) => {
            for instance in section.clone() {
                let within = match instance? {
                    ComponentInstance::Instantiate { component_index, .. } => {
                        at(&part.components, component_index)?.ok_or(ShapeError::Borrowed)?
                    }
                    ComponentInstance::FromExports(_) => Sum::default(),
                };
                part.add_instance(within)?;
            }
        }
        Payload::ComponentAliasSection(section) => {
            section.clone().into_iter().try_for_each(|alias| look_at_alias(&alias?, part, around))?;
        }
        _ => {}
    }
    Ok(())
}

/// Counts what another name for something comes to.
fn look_at_alias(alias: &ComponentAlias<'_>, part: &mut Part, around: &[Part]) -> Result<(), ShapeError> {
    match *alias {
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => {
            know(&mut part.components, None)
        }
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => know(&mut part.modules, None),
        ComponentAlias::Outer { kind, count, index } => {
            let from = match (count as usize).checked_sub(1) {
                None => &*part,
                Some(out) => around.iter().rev().nth(out).ok_or(ShapeError::NoSuchComponent)?,
            };
            match kind {
                ComponentOuterAliasKind::Component => {
                    let found = at(&from.components, index)?;
                    know(&mut part.components, found)
                }
                ComponentOuterAliasKind::CoreModule => {
                    let found = at(&from.modules, index)?;
                    know(&mut part.modules, found)
                }
                ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// Walks through a component in text form; answers with what it says against it.
    fn check(text: &str, expected: &str) {
        let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
        let found = walk(&bytes).map_or_else(|error| error.to_string(), |_| String::new());
        assert_eq!(found, expected, "{} bytes of component", bytes.len());
    }

    /// Each component instantiates the one before twice.
    fn doubled(levels: u32) -> String {
        let mut text = "(component (component $c0)".to_owned();
        for level in 1..=levels {
            let before = level - 1;
            let outer = format!("(alias outer 1 $c{before} (component $b))");
            write!(text, "(component $c{level} {outer} (instance (instantiate $b)) (instance (instantiate $b)))")
                .unwrap();
        }
        write!(text, "(instance (instantiate $c{levels})))").unwrap();
        text
    }

    fn nested(levels: usize) -> String {
        format!("{}{}", "(component ".repeat(levels + 1), ")".repeat(levels + 1))
    }

    #[test]
    fn what_a_component_comes_to_is_counted() {
        let instances = format!("it has more {INSTANCES}");
        check("(component)", "");
        check(&doubled(7), "");
        check(&doubled(24), &instances);
        check(&nested(Limits::NESTING_MAX), "");
        check(&nested(Limits::NESTING_MAX + 1), &format!("it has more {NESTED}"));
        let many = |count: usize, part: &str| format!("(component (core module $m) {})", part.repeat(count));
        check(&many(Limits::DEFINITIONS_MAX - 1, "(component)"), "");
        check(&many(Limits::DEFINITIONS_MAX, "(component)"), &format!("it has more {PARTS}"));
        check(&many(1_000, "(core instance (instantiate $m))"), "");
        check(&many(1_001, "(core instance (instantiate $m))"), &instances);
        let imports = |count: usize| {
            let names: String = (0..count).map(|n| format!("(import \"i{n}\" (func))")).collect();
            format!("(component {names})")
        };
        check(&imports(Limits::NAMES_MAX), "");
        check(&imports(Limits::NAMES_MAX + 1), &format!("it has more {NAMES}"));
        // One component under many names: nothing is instantiated, and each would be kept.
        let aliases = |count: usize| {
            format!("(component (component $a) (component {}))", "(alias outer 1 $a (component))".repeat(count))
        };
        check(&aliases(Limits::DEFINITIONS_MAX), "");
        check(&aliases(Limits::DEFINITIONS_MAX + 1), &format!("it has more {PARTS}"));
    }

    #[test]
    fn what_the_host_keeps_of_instances_is_counted() {
        let structures = format!("it has more {STRUCTURES}");
        // Built byte by byte: nothing but the sections that are counted.
        let number = |mut value: usize| {
            let mut bytes = Vec::new();
            while value >= 0x80 {
                bytes.push(value.to_le_bytes()[0] | 0x80);
                value >>= 7;
            }
            bytes.push(value.to_le_bytes()[0]);
            bytes
        };
        let section = |id: u8, content: &[u8]| [&[id][..], &number(content.len()), content].concat();
        // A module with a section of so many entries, instantiated so many times.
        let check = |id: u8, count: usize, entry: &[u8], before: &[u8], times: usize, expected: &str| {
            let entries = [before, &number(count), &entry.repeat(count)].concat();
            // Functions need bodies.
            let bodies = if id == 3 { [&number(count)[..], &[2, 0, 0x0b].repeat(count)].concat() } else { vec![] };
            let code = if id == 3 { section(10, &bodies) } else { vec![] };
            let module = [&b"\0asm\x01\0\0\0"[..], &section(id, &entries), &code].concat();
            let instances = [&number(times), &[0, 0, 0].repeat(times)[..]].concat();
            let component = [&b"\0asm\x0d\0\x01\0"[..], &section(1, &module), &section(2, &instances)].concat();
            let found = walk(&component).map_or_else(|error| error.to_string(), |_| String::new());
            assert_eq!(found, expected, "{count} entries in section {id}");
        };
        // Functions of the first type; globals of i32 that are 0; one passive segment of functions.
        check(3, 200_000, &[0], &[], 4, "");
        check(3, 200_000, &[0], &[], 5, &structures);
        check(6, 600_000, &[0x7f, 0, 0x41, 0, 0x0b], &[], 2, "");
        check(6, 800_000, &[0x7f, 0, 0x41, 0, 0x0b], &[], 2, &structures);
        check(9, 2_000_000, &[0], &[1, 1, 0], 1, "");
        check(9, 2_200_000, &[0], &[1, 1, 0], 1, &structures);
    }

    #[test]
    fn modules_are_no_larger_in_other_ways_either() {
        check("(component (core module (import \"\" \"\" (memory 1)) (memory 1)))", &format!("it has more {MEMORIES}"));
        let named = |length: usize| format!("(component (core module (func ${} )))", "x".repeat(length));
        check(&named(Limits::FUNCTION_NAME_MAX_BYTES), "");
        check(&named(Limits::FUNCTION_NAME_MAX_BYTES + 1), &format!("it has more {FUNCTION_NAME}"));
    }

    #[test]
    fn components_that_come_from_elsewhere_are_not_instantiated() {
        check("(component (component (import \"c\" (component $c))))", "");
        let borrowed = "it instantiates a component or module that it does not hold itself";
        check("(component (component (import \"c\" (component $c)) (instance (instantiate $c))))", borrowed);
        let exported =
            "(component (component $a (component $b) (export \"c\" (component $b))) (instance $i (instantiate $a))
            (alias export $i \"c\" (component $c)) (instance (instantiate $c)))";
        check(exported, borrowed);
        let module = "(component (import \"m\" (core module $m)) (core instance (instantiate $m)))";
        check(module, borrowed);
        check("(component (core module $m) (component (core instance (instantiate $m))))", "");
        // One that is only given another name is known.
        check("(component (component $a) (export $b \"b\" (component $a)) (instance (instantiate $b)))", "");
    }

    #[test]
    fn files_that_end_early_or_are_no_components() {
        let whole = wat::parse_str(doubled(3)).unwrap();
        for end in 8..whole.len() {
            // Some of them are whole again: what is left then is still a component.
            let _ = walk(&whole[..end]);
        }
        assert!(matches!(walk(&whole[..whole.len() - 1]), Err(ShapeError::Damaged(_))));
        assert!(matches!(walk(b"\0asm\x01\0\0\0"), Err(ShapeError::CoreModule)));
        // The index of a component that is not there.
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([5, 4, 1, 0, 7, 0]);
        assert!(matches!(walk(&bytes), Err(ShapeError::NoSuchComponent)));
    }
}
