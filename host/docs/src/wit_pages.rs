//! The contract's reference: a page an interface, made from `wit/` and its comments.

use crate::page::Page;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use wit_parser::{
    Docs, Function, Handle, Interface, InterfaceId, PackageId, Resolve, Type, TypeDef, TypeDefKind, WorldItem, WorldKey,
};

/// The overview, then a page an interface in the order of their names.
///
/// # Errors
/// When the folder holds no contract that can be read.
pub(crate) fn pages(wit: &Path) -> Result<Vec<Page>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).with_context(|| format!("reading the contract in {}", wit.display()))?;
    let reference = Reference { resolve: &resolve, package };
    let mut pages = vec![reference.overview()?];
    let interfaces = &resolve.packages[package].interfaces;
    let mut names: Vec<_> = interfaces.iter().collect();
    names.sort();
    pages.extend(names.into_iter().map(|(name, &id)| reference.interface(name, &resolve.interfaces[id])));
    Ok(pages)
}

struct Reference<'a> {
    resolve: &'a Resolve,
    package: PackageId,
}

impl Reference<'_> {
    /// What a plugin is given and what it gives, by interface.
    fn overview(&self) -> Result<Page> {
        let package = &self.resolve.packages[self.package];
        let (mut imports, mut exports) = (BTreeSet::new(), BTreeSet::new());
        for &world in package.worlds.values() {
            let world = &self.resolve.worlds[world];
            imports.extend(world.imports.iter().filter_map(|(key, item)| self.named(key, item)));
            exports.extend(world.exports.iter().filter_map(|(key, item)| self.named(key, item)));
        }
        let version = package.name.version.as_ref().context("the contract has no version")?;
        // An interface without functions is there for its types.
        let (words, rest): (BTreeSet<&String>, BTreeSet<&String>) = package
            .interfaces
            .keys()
            .partition(|name| self.resolve.interfaces[package.interfaces[*name]].functions.is_empty());
        let mut text = format!("# The contract\n\nVersion {version}, package `{}`.\n\n", package.name);
        text.push_str(&prose(&package.docs));
        text.push_str("\n\n## What the host offers\n\n");
        self.list(&mut text, rest.iter().copied().filter(|name| imports.contains(*name)));
        text.push_str("\n## What a plugin exports\n\n");
        self.list(&mut text, rest.iter().copied().filter(|name| exports.contains(*name)));
        text.push_str("\n## The words of both sides\n\n");
        self.list(&mut text, words.into_iter());
        Ok(Page { title: "The contract".to_owned(), path: "contract/index.md".to_owned(), text })
    }

    fn list<'n>(&self, text: &mut String, names: impl Iterator<Item = &'n String>) {
        for name in names {
            let id = self.resolve.packages[self.package].interfaces.get(name);
            let docs = id.map(|&id| first_sentence(&self.resolve.interfaces[id].docs)).unwrap_or_default();
            let _ = writeln!(text, "- [`{name}`]({name}.md): {docs}");
        }
    }

    fn named(&self, key: &WorldKey, item: &WorldItem) -> Option<String> {
        match (key, item) {
            (_, WorldItem::Interface { id, .. }) => self.name_of(*id),
            (WorldKey::Name(name), _) => Some(name.clone()),
            (WorldKey::Interface(id), _) => self.name_of(*id),
        }
    }

    fn name_of(&self, id: InterfaceId) -> Option<String> {
        self.resolve.interfaces[id].name.clone()
    }

    fn interface(&self, name: &str, interface: &Interface) -> Page {
        let mut text = format!("# `{name}`\n\n{}\n", prose(&interface.docs));
        let own = |(name, id): (&String, &wit_parser::TypeId)| {
            let def = &self.resolve.types[*id];
            // Those that are only used from another interface stand there.
            (!matches!(def.kind, TypeDefKind::Type(Type::Id(_)))).then(|| (name.clone(), def))
        };
        let types: Vec<_> = interface.types.iter().filter_map(own).collect();
        if !interface.functions.is_empty() {
            text.push_str("\n## Functions\n");
            for function in interface.functions.values() {
                self.function(&mut text, function);
            }
        }
        if !types.is_empty() {
            text.push_str("\n## Types\n");
            for (name, def) in types {
                self.def(&mut text, &name, def);
            }
        }
        Page { title: name.to_owned(), path: format!("contract/{name}.md"), text }
    }

    fn function(&self, text: &mut String, function: &Function) {
        let params: Vec<_> =
            function.params.iter().map(|param| format!("{}: {}", param.name, self.shown(&param.ty))).collect();
        let answer = function.result.as_ref().map(|ty| format!(" -> {}", self.shown(ty))).unwrap_or_default();
        let name = &function.name;
        let _ = write!(
            text,
            "\n### `{name}`\n\n```wit\n{name}: func({}){answer};\n```\n\n{}\n",
            params.join(", "),
            prose(&function.docs)
        );
    }

    fn def(&self, text: &mut String, name: &str, def: &TypeDef) {
        let _ = write!(text, "\n### {} `{name}`\n\n{}\n", def.kind.as_str(), prose(&def.docs));
        let mut parts: Vec<(String, String)> = Vec::new();
        match &def.kind {
            TypeDefKind::Record(record) => parts.extend(
                record
                    .fields
                    .iter()
                    .map(|field| (format!("`{}: {}`", field.name, self.shown(&field.ty)), line(&field.docs))),
            ),
            TypeDefKind::Variant(variant) => parts.extend(variant.cases.iter().map(|case| {
                let holds = case.ty.as_ref().map(|ty| format!("({})", self.shown(ty))).unwrap_or_default();
                (format!("`{}{holds}`", case.name), line(&case.docs))
            })),
            TypeDefKind::Enum(cases) => {
                parts.extend(cases.cases.iter().map(|case| (format!("`{}`", case.name), line(&case.docs))));
            }
            TypeDefKind::Flags(flags) => {
                parts.extend(flags.flags.iter().map(|flag| (format!("`{}`", flag.name), line(&flag.docs))));
            }
            other => {
                let _ = write!(text, "\n```wit\ntype {name} = {};\n```\n", self.kind(other));
            }
        }
        if !parts.is_empty() {
            text.push_str("\n| | |\n|---|---|\n");
            for (what, docs) in parts {
                let _ = writeln!(text, "| {what} | {docs} |");
            }
        }
    }

    fn shown(&self, ty: &Type) -> String {
        let Type::Id(id) = ty else { return plain(ty).to_owned() };
        let def = &self.resolve.types[*id];
        def.name.clone().unwrap_or_else(|| self.kind(&def.kind))
    }

    fn kind(&self, kind: &TypeDefKind) -> String {
        let shown = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| self.shown(ty));
        match kind {
            TypeDefKind::List(ty) => format!("list<{}>", self.shown(ty)),
            TypeDefKind::Option(ty) => format!("option<{}>", self.shown(ty)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> = tuple.types.iter().map(|ty| self.shown(ty)).collect();
                format!("tuple<{}>", types.join(", "))
            }
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (ok, None) => format!("result<{}>", shown(ok)),
                (ok, err) => format!("result<{}, {}>", shown(ok), shown(err)),
            },
            TypeDefKind::Type(ty) => self.shown(ty),
            TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => self.shown(&Type::Id(*id)),
            other => other.as_str().to_owned(),
        }
    }
}

fn plain(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(_) => "type",
    }
}

/// A comment as paragraphs.
fn prose(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().trim().to_owned()
}

/// A comment within a table.
fn line(docs: &Docs) -> String {
    prose(docs).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn first_sentence(docs: &Docs) -> String {
    let text = line(docs);
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].to_owned()
}
