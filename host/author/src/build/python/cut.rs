//! Taking imports away from a component: what the plugin has no use for, and what no host offers.
//!
//! An interpreter brings imports for everything that its library can do. Those that are taken away are neither asked of the
//! host any more nor shown to whoever looks at the plugin; a call of one traps, and the trap has its name.
//!
//! Everything keeps its place in the component's index spaces but for core instances, which move by one: an imported
//! instance becomes an empty one, its types become resources of the component's own, and a function that was lowered becomes
//! one of a small module that only traps.

use super::bytes::{leb, name, section};
use std::collections::BTreeMap;
use wasmparser::{
    BinaryReader, BinaryReaderError, CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentType,
    ComponentTypeRef, ExternalKind, FromReader, FuncType, Instance, InstanceTypeDeclaration, Parser, Payload,
    SectionLimited, TypeRef, ValType, Validator,
};

/// The numbers of a component's sections.
mod id {
    pub(super) const CUSTOM: u8 = 0;
    pub(super) const CORE_MODULE: u8 = 1;
    pub(super) const CORE_INSTANCE: u8 = 2;
    pub(super) const COMPONENT: u8 = 4;
    pub(super) const INSTANCE: u8 = 5;
    pub(super) const ALIAS: u8 = 6;
    pub(super) const TYPE: u8 = 7;
    pub(super) const CANON: u8 = 8;
    pub(super) const IMPORT: u8 = 10;
    pub(super) const EXPORT: u8 = 11;
}

/// A function of an import that is taken away: whose, and which.
type Gone<'a> = (&'a str, &'a str);

/// What is known of a component before it is written anew.
#[derive(Default)]
struct Plan<'a> {
    /// Component instances; those that are taken away with their names.
    instances: Vec<Option<&'a str>>,
    /// Component functions; those that are taken away.
    functions: Vec<Option<Gone<'a>>>,
    /// For each component type, a function that an instance of it has.
    types: Vec<Option<&'a str>>,
    /// The types of imports that are taken away.
    gone_types: Vec<u32>,
    /// A function that stays, which takes the place of those that are taken away.
    other: Option<(u32, &'a str)>,
    /// Core functions; those that are lowered from what is taken away.
    core_functions: Vec<Option<Gone<'a>>>,
    modules: Vec<&'a [u8]>,
    core_instances: Vec<Instance<'a>>,
    /// The trapping functions, by the core function that each takes the place of: position and type.
    traps: BTreeMap<usize, (u32, FuncType)>,
}

/// The component without the imports that are not wanted.
///
/// # Errors
/// It is no component that wit-component would make, or what would come out is not valid; the text says why.
pub(super) fn cut(component: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Vec<u8>, String> {
    let sections = sections(component)?;
    let read = |error: BinaryReaderError| format!("the component cannot be read: {error}");
    let mut plan = Plan::default();
    for (id, body) in &sections {
        plan.look(*id, body, &wanted).map_err(read)?;
    }
    if plan.instances.iter().all(Option::is_none) {
        return Ok(component.to_vec());
    }
    plan.find_types().map_err(read)?;
    let mut out = component.get(..8).unwrap_or_default().to_vec();
    let mut writer = Writer { plan: &plan, out: &mut out, began: false, types: 0, core_functions: 0, instances: 0 };
    for (id, body) in &sections {
        writer.section(*id, body).map_err(read)?;
    }
    let mut validator = Validator::new();
    validator.validate_all(&out).map_err(|error| format!("without the imports it is not valid: {error}"))?;
    Ok(out)
}

/// The sections of a component: their numbers, and what is in them.
fn sections(component: &[u8]) -> Result<Vec<(u8, &[u8])>, String> {
    let mut reader = BinaryReader::new(component.get(8..).unwrap_or_default(), 0);
    let mut found = Vec::new();
    while !reader.eof() {
        let mut next = || -> Result<_, BinaryReaderError> {
            let id = reader.read_u8()?;
            let size = reader.read_var_u32()?;
            Ok((id, reader.read_bytes(size as usize)?))
        };
        found.push(next().map_err(|error| format!("the component cannot be read: {error}"))?);
    }
    Ok(found)
}

fn items<'a, T: FromReader<'a>>(body: &'a [u8]) -> Result<SectionLimited<'a, T>, BinaryReaderError> {
    SectionLimited::new(BinaryReader::new(body, 0))
}

/// The items of a section with the bytes that each is made of.
fn with_bytes<'a, T: FromReader<'a>>(body: &'a [u8]) -> Result<Vec<(T, &'a [u8])>, BinaryReaderError> {
    let mut found: Vec<(usize, T)> = Vec::new();
    for item in items::<T>(body)?.into_iter_with_offsets() {
        found.push(item?);
    }
    let ends: Vec<usize> = found.iter().skip(1).map(|(at, _)| *at).chain([body.len()]).collect();
    let cut = |((at, item), end): ((usize, T), usize)| (item, body.get(at..end).unwrap_or_default());
    Ok(found.into_iter().zip(ends).map(cut).collect())
}

impl<'a> Plan<'a> {
    /// Counts what a section adds to the index spaces.
    fn look(&mut self, id: u8, body: &'a [u8], wanted: &impl Fn(&str) -> bool) -> Result<(), BinaryReaderError> {
        match id {
            id::CORE_MODULE => self.modules.push(body),
            id::CORE_INSTANCE => {
                for instance in items::<Instance<'_>>(body)? {
                    self.core_instances.push(instance?);
                }
            }
            id::INSTANCE => {
                let count = items::<wasmparser::ComponentInstance<'_>>(body)?.count();
                self.instances.extend((0..count).map(|_| None));
            }
            id::TYPE => {
                for ty in items::<ComponentType<'_>>(body)? {
                    self.types.push(function_of(&ty?));
                }
            }
            id::IMPORT => {
                for import in items::<wasmparser::ComponentImport<'_>>(body)? {
                    let import = import?;
                    self.import(import.name.name, import.ty, wanted);
                }
            }
            id::EXPORT => {
                for export in items::<wasmparser::ComponentExport<'_>>(body)? {
                    self.add(export?.kind, None, None);
                }
            }
            id::ALIAS => {
                for alias in items::<ComponentAlias<'_>>(body)? {
                    self.alias(&alias?);
                }
            }
            id::CANON => {
                for canonical in items::<CanonicalFunction>(body)? {
                    match canonical? {
                        CanonicalFunction::Lift { .. } => self.functions.push(None),
                        CanonicalFunction::Lower { func_index, .. } => {
                            let lowered = self.functions.get(func_index as usize).copied().flatten();
                            self.core_functions.push(lowered);
                        }
                        _ => self.core_functions.push(None),
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, name: &'a str, ty: ComponentTypeRef, wanted: &impl Fn(&str) -> bool) {
        let ComponentTypeRef::Instance(ty) = ty else { return self.add(ty.kind(), None, None) };
        if wanted(name) {
            let function = self.types.get(ty as usize).copied().flatten();
            self.other = self.other.or(function.map(|function| (self.instances.len() as u32, function)));
            self.instances.push(None);
        } else {
            self.gone_types.push(ty);
            self.instances.push(Some(name));
        }
    }

    fn alias(&mut self, alias: &ComponentAlias<'a>) {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => {
                let from = self.instances.get(*instance_index as usize).copied().flatten();
                self.add(*kind, None, from.map(|from| (from, *name)));
            }
            ComponentAlias::CoreInstanceExport { kind: ExternalKind::Func, .. } => self.core_functions.push(None),
            ComponentAlias::Outer { kind: wasmparser::ComponentOuterAliasKind::Type, .. } => self.types.push(None),
            _ => {}
        }
    }

    fn add(&mut self, kind: ComponentExternalKind, instance: Option<&'a str>, function: Option<Gone<'a>>) {
        match kind {
            ComponentExternalKind::Func => self.functions.push(function),
            ComponentExternalKind::Type => self.types.push(None),
            ComponentExternalKind::Instance => self.instances.push(instance),
            _ => {}
        }
    }

    /// Finds the types of the functions that will trap: those by which they are imported.
    fn find_types(&mut self) -> Result<(), BinaryReaderError> {
        let mut imported = BTreeMap::new();
        for instance in &self.core_instances {
            let Instance::Instantiate { module_index, args } = instance else { continue };
            let Some(module) = self.modules.get(*module_index as usize) else { continue };
            for arg in args {
                imported.insert(arg.index as usize, (*module, arg.name));
            }
        }
        for (at, instance) in self.core_instances.iter().enumerate() {
            let (Instance::FromExports(exports), Some((module, from))) = (instance, imported.get(&at)) else {
                continue;
            };
            let known = |index: u32| self.core_functions.get(index as usize).copied().flatten().is_some();
            let gone: Vec<_> = exports.iter().filter(|it| it.kind == ExternalKind::Func && known(it.index)).collect();
            if gone.is_empty() {
                continue;
            }
            let types = imports_of(module, from)?;
            for export in gone {
                let Some(ty) = types.get(export.name) else { continue };
                let position = self.traps.len() as u32;
                self.traps.entry(export.index as usize).or_insert_with(|| (position, ty.clone()));
            }
        }
        Ok(())
    }

    /// The module whose functions trap, each with the name of what is not there.
    fn trapping(&self) -> Vec<u8> {
        let mut traps: Vec<_> = self.traps.iter().map(|(at, (position, ty))| (*position, *at, ty)).collect();
        traps.sort_unstable_by_key(|(position, ..)| *position);
        let (mut types, mut functions, mut exports, mut code, mut names) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for list in [&mut types, &mut functions, &mut exports, &mut code, &mut names] {
            leb(list, traps.len());
        }
        for (position, at, ty) in traps {
            types.push(0x60);
            for values in [ty.params(), ty.results()] {
                leb(&mut types, values.len());
                types.extend(values.iter().map(value_type));
            }
            leb(&mut functions, position as usize);
            name(&mut exports, &position.to_string());
            exports.push(0);
            leb(&mut exports, position as usize);
            // Two bytes of body without locals: unreachable, end.
            code.extend([3, 0, 0x00, 0x0b]);
            let (from, function) = self.core_functions.get(at).copied().flatten().unwrap_or_default();
            leb(&mut names, position as usize);
            name(&mut names, &format!("{from}#{function}, which this plugin was built without"));
        }
        let mut named = Vec::new();
        name(&mut named, "name");
        section(&mut named, 1, &names);
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for (id, body) in [(1, types), (3, functions), (7, exports), (10, code), (0, named)] {
            section(&mut module, id, &body);
        }
        module
    }
}

/// The first function that an instance of this type has.
fn function_of<'a>(ty: &ComponentType<'a>) -> Option<&'a str> {
    let ComponentType::Instance(declarations) = ty else { return None };
    declarations.iter().find_map(|declaration| match declaration {
        InstanceTypeDeclaration::Export { name, ty: ComponentTypeRef::Func(_) } => Some(name.name),
        _ => None,
    })
}

/// The types of the functions that a module imports from one other.
fn imports_of<'a>(module: &'a [u8], from: &str) -> Result<BTreeMap<&'a str, FuncType>, BinaryReaderError> {
    let mut types = Vec::new();
    let mut found = BTreeMap::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    types.push(ty?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let (TypeRef::Func(ty), true) = (import.ty, import.module == from)
                        && let Some(ty) = types.get(ty as usize)
                    {
                        found.insert(import.name, ty.clone());
                    }
                }
                return Ok(found);
            }
            _ => {}
        }
    }
    Ok(found)
}

fn value_type(ty: &ValType) -> u8 {
    match ty {
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        // Nothing else crosses the boundary of components.
        _ => 0x7f,
    }
}

/// Writes the component anew, item by item; those that change take the same place.
struct Writer<'p, 'a> {
    plan: &'p Plan<'a>,
    out: &'p mut Vec<u8>,
    /// The module that traps, and its instance, are there.
    began: bool,
    types: usize,
    core_functions: usize,
    instances: usize,
}

impl Writer<'_, '_> {
    fn section(&mut self, id: u8, body: &[u8]) -> Result<(), BinaryReaderError> {
        match id {
            id::CORE_INSTANCE => {
                self.begin();
                for (instance, _) in with_bytes::<Instance<'_>>(body)? {
                    self.item(id, &core_instance(&instance));
                }
            }
            id::TYPE => {
                for (_, bytes) in with_bytes::<ComponentType<'_>>(body)? {
                    let gone = self.plan.gone_types.contains(&(self.types as u32));
                    self.types += 1;
                    // An instance with nothing in it.
                    self.item(id, if gone { &[0x42, 0] } else { bytes });
                }
            }
            id::IMPORT => {
                for (import, bytes) in with_bytes::<wasmparser::ComponentImport<'_>>(body)? {
                    self.import(import.ty, bytes);
                }
            }
            id::ALIAS => {
                for (alias, bytes) in with_bytes::<ComponentAlias<'_>>(body)? {
                    self.alias(&alias, bytes);
                }
            }
            id::CANON => {
                for (canonical, bytes) in with_bytes::<CanonicalFunction>(body)? {
                    self.canonical(&canonical, bytes);
                }
            }
            id::INSTANCE => {
                self.instances += items::<wasmparser::ComponentInstance<'_>>(body)?.count() as usize;
                section(self.out, id, body);
            }
            id::EXPORT => {
                for export in items::<wasmparser::ComponentExport<'_>>(body)? {
                    self.count(export?.kind);
                }
                section(self.out, id, body);
            }
            // Names by number, which are others now.
            id::CUSTOM if body.get(1..).is_some_and(|body| body.starts_with(b"component-name")) => {}
            _ => section(self.out, id, body),
        }
        debug_assert!(id != id::COMPONENT || self.began, "wit-component puts them behind the modules");
        Ok(())
    }

    fn item(&mut self, id: u8, bytes: &[u8]) {
        let mut body = vec![1];
        body.extend_from_slice(bytes);
        section(self.out, id, &body);
    }

    fn count(&mut self, kind: ComponentExternalKind) {
        match kind {
            ComponentExternalKind::Type => self.types += 1,
            ComponentExternalKind::Instance => self.instances += 1,
            _ => {}
        }
    }

    /// In front of the first core instance, where all modules are known.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.began, true) {
            return;
        }
        section(self.out, id::CORE_MODULE, &self.plan.trapping());
        let mut instance = vec![0];
        leb(&mut instance, self.plan.modules.len());
        instance.push(0);
        self.item(id::CORE_INSTANCE, &instance);
    }

    fn import(&mut self, ty: ComponentTypeRef, bytes: &[u8]) {
        let gone = matches!(ty, ComponentTypeRef::Instance(_))
            && self.plan.instances.get(self.instances).is_some_and(Option::is_some);
        self.count(ty.kind());
        // An instance with nothing in it.
        if gone { self.item(id::INSTANCE, &[1, 0]) } else { self.item(id::IMPORT, bytes) }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>, bytes: &[u8]) {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, .. } => {
                self.count(*kind);
                let gone = self.plan.instances.get(*instance_index as usize).copied().flatten().is_some();
                match kind {
                    // A resource of the component's own.
                    ComponentExternalKind::Type if gone => self.item(id::TYPE, &[0x3f, 0x7f, 0]),
                    ComponentExternalKind::Func if gone => {
                        let (instance, function) = self.plan.other.unwrap_or_default();
                        let mut alias = vec![1, 0];
                        leb(&mut alias, instance as usize);
                        name(&mut alias, function);
                        self.item(id::ALIAS, &alias);
                    }
                    _ => self.item(id::ALIAS, bytes),
                }
            }
            ComponentAlias::CoreInstanceExport { kind, instance_index, name: of } => {
                self.core_functions += usize::from(*kind == ExternalKind::Func);
                self.item(id::ALIAS, &core_alias(*kind, *instance_index + 1, of));
            }
            ComponentAlias::Outer { kind, .. } => {
                self.types += usize::from(*kind == wasmparser::ComponentOuterAliasKind::Type);
                self.item(id::ALIAS, bytes);
            }
        }
    }

    fn canonical(&mut self, canonical: &CanonicalFunction, bytes: &[u8]) {
        if matches!(canonical, CanonicalFunction::Lift { .. }) {
            return self.item(id::CANON, bytes);
        }
        let gone = self.plan.core_functions.get(self.core_functions).copied().flatten().is_some();
        let trap = self.plan.traps.get(&self.core_functions);
        self.core_functions += 1;
        match trap {
            Some((position, _)) if gone => {
                self.item(id::ALIAS, &core_alias(ExternalKind::Func, 0, &position.to_string()))
            }
            _ => self.item(id::CANON, bytes),
        }
    }
}

fn core_kind(kind: ExternalKind) -> u8 {
    match kind {
        ExternalKind::Table => 1,
        ExternalKind::Memory => 2,
        ExternalKind::Global => 3,
        ExternalKind::Tag => 4,
        _ => 0,
    }
}

fn core_alias(kind: ExternalKind, instance: u32, of: &str) -> Vec<u8> {
    let mut alias = vec![0, core_kind(kind), 1];
    leb(&mut alias, instance as usize);
    name(&mut alias, of);
    alias
}

/// The same core instance, where all other instances have moved by one.
fn core_instance(instance: &Instance<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match instance {
        Instance::Instantiate { module_index, args } => {
            out.push(0);
            leb(&mut out, *module_index as usize);
            leb(&mut out, args.len());
            for arg in args {
                name(&mut out, arg.name);
                out.push(0x12);
                leb(&mut out, arg.index as usize + 1);
            }
        }
        Instance::FromExports(exports) => {
            out.push(1);
            leb(&mut out, exports.len());
            for export in exports {
                name(&mut out, export.name);
                out.push(core_kind(export.kind));
                leb(&mut out, export.index as usize);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
