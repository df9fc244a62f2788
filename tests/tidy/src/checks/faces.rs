//! What the library shows: no type of what it is built on.
//!
//! Public items of the façade, and of those of our crates that it hands on, are followed from signature to signature.
//! Whatever they name must be ours, the standard library's, or one of a few others, each with a reason: a type of anybody
//! else in a public item would make their next version our next version.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Fields, ImplItem, Item, PathArguments, ReturnType, TraitItem, Type, UseTree, Visibility};

use crate::{Finding, Tree};

/// The façade, whose `lib.rs` says what is public.
const FACADE: &str = "host/host/";
/// Where items that it hands on are defined.
const ROOMS: &str = "host/";

/// Crates of others that public items may name.
const MAY_NAME: &[(&str, &str)] = &[("serde_json", "documents as they are: a settings schema, the data of an event")];

/// What is shown all the same: the item, what it names, and the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "LedgerError",
    "rusqlite::Error",
    "a conversion with which the ledger's own `?` works; nobody else has an error of its database to convert",
)];

/// Refuses types of other crates in what the library shows.
#[must_use]
pub fn foreign_types(tree: &Tree) -> Vec<Finding> {
    let mut items = Items::default();
    let mut exported = Vec::new();
    let rust = tree.with_extension(&["rs"]).filter(|(path, _)| path.starts_with(ROOMS) && path.contains("/src/"));
    for (path, text) in rust {
        // What does not parse is told by the other checks.
        let Ok(file) = syn::parse_file(text) else { continue };
        if path == format!("{FACADE}src/lib.rs") {
            exported.extend(handed_on(&file));
        }
        items.read(path, &file);
    }
    items.follow(exported)
}

/// The names that a `lib.rs` gives to others.
fn handed_on(file: &syn::File) -> Vec<String> {
    let uses = file.items.iter().filter_map(|item| match item {
        Item::Use(item) if is_public(&item.vis) => Some(&item.tree),
        _ => None,
    });
    uses.flat_map(|tree| leaves(tree, &[])).map(|(_, path)| path.last().cloned().unwrap_or_default()).collect()
}

/// Each name that a `use` brings, with the whole path behind it.
fn leaves(tree: &UseTree, before: &[String]) -> Vec<(String, Vec<String>)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        UseTree::Name(name) if name.ident == "self" => {
            vec![(before.last().cloned().unwrap_or_default(), before.to_vec())]
        }
        UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        UseTree::Rename(rename) => vec![(rename.rename.to_string(), with(&rename.ident))],
        UseTree::Group(group) => group.items.iter().flat_map(|tree| leaves(tree, before)).collect(),
        UseTree::Glob(_) => Vec::new(),
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// A path in the signature of a public item.
struct Mention {
    /// In an `impl` of the item, which is as public as the item is.
    in_impl: bool,
    file: String,
    line: usize,
    segments: Vec<String>,
}

/// The public items of our crates by their names, with what their signatures mention. Two of one name are taken together.
#[derive(Default)]
struct Items {
    mentions: BTreeMap<String, Vec<Mention>>,
    /// The public ones, by the room they stand in.
    public: BTreeSet<(String, String)>,
}

/// The folder of a crate: the first two of a path.
fn room(path: &str) -> String {
    path.split('/').take(2).collect::<Vec<_>>().join("/")
}

impl Items {
    fn read(&mut self, path: &str, file: &syn::File) {
        let mut bound = BTreeMap::new();
        for item in &file.items {
            if let Item::Use(item) = item {
                bound.extend(leaves(&item.tree, &[]));
            }
        }
        let modules: BTreeSet<String> = file
            .items
            .iter()
            .filter_map(|item| if let Item::Mod(module) = item { Some(module.ident.to_string()) } else { None })
            .collect();
        for item in &file.items {
            let mut found = Mentioned::default();
            let Some(name) = look(item, &mut found) else { continue };
            let in_impl = matches!(item, Item::Impl(_));
            if !in_impl {
                self.public.insert((room(path), name.clone()));
            }
            let mentions = self.mentions.entry(name).or_default();
            for (mut segments, span) in found.paths {
                if let Some(whole) = segments.first().and_then(|first| bound.get(first)) {
                    segments.splice(..1, whole.iter().cloned());
                }
                // A module of this file is ours, however the path to it is written.
                if segments.first().is_some_and(|first| modules.contains(first)) {
                    segments.insert(0, "self".to_owned());
                }
                mentions.push(Mention { in_impl, file: path.to_owned(), line: span.start().line, segments });
            }
        }
    }

    /// Follows these names from signature to signature.
    fn follow(&self, mut names: Vec<String>) -> Vec<Finding> {
        let (mut seen, mut findings) = (BTreeSet::new(), Vec::new());
        while let Some(name) = names.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            for mention in self.mentions.get(&name).into_iter().flatten() {
                let (Some(first), Some(last)) = (mention.segments.first(), mention.segments.last()) else { continue };
                if mention.in_impl && !self.public.contains(&(room(&mention.file), name.clone())) {
                    continue;
                }
                let whole = mention.segments.join("::");
                if EXCEPTIONS.iter().any(|(item, named, _)| *item == name && *named == whole) {
                    continue;
                }
                let is_ours =
                    ["crate", "self", "super", "Self"].contains(&first.as_str()) || first.starts_with("crossdock");
                let is_std = ["std", "core", "alloc"].contains(&first.as_str());
                if is_ours || mention.segments.len() == 1 {
                    names.push(last.clone());
                } else if !is_std && !MAY_NAME.iter().any(|(may, _)| may == first) && !self.mentions.contains_key(first)
                {
                    let what =
                        format!("`{name}` is shown by the library and names {whole}: take a type of ours in its place");
                    findings.push(Finding::new(&mention.file, mention.line, what));
                }
            }
        }
        findings
    }
}

/// The paths in the types of a signature.
#[derive(Default)]
struct Mentioned {
    paths: Vec<(Vec<String>, Span)>,
}

impl<'a> Visit<'a> for Mentioned {
    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.paths.push((segments, first.ident.span()));
        }
        visit::visit_path(self, path);
    }

    // What derives do is seen in the traits of their crates, not in types of ours.
    fn visit_attribute(&mut self, _: &'a syn::Attribute) {}
}

impl Mentioned {
    fn signature(&mut self, signature: &syn::Signature) {
        self.visit_generics(&signature.generics);
        for input in &signature.inputs {
            if let syn::FnArg::Typed(input) = input {
                self.visit_type(&input.ty);
            }
        }
        if let ReturnType::Type(_, ty) = &signature.output {
            self.visit_type(ty);
        }
    }

    /// Fields of an enum are as public as it is; those of a struct say it themselves.
    fn fields(&mut self, fields: &Fields, all: bool) {
        for field in fields.iter().filter(|field| all || is_public(&field.vis)) {
            self.visit_type(&field.ty);
        }
    }
}

/// What a public item shows, and its name: that of the type for an `impl`.
fn look(item: &Item, found: &mut Mentioned) -> Option<String> {
    match item {
        Item::Struct(item) if is_public(&item.vis) => {
            found.visit_generics(&item.generics);
            found.fields(&item.fields, false);
            Some(item.ident.to_string())
        }
        Item::Enum(item) if is_public(&item.vis) => {
            found.visit_generics(&item.generics);
            item.variants.iter().for_each(|variant| found.fields(&variant.fields, true));
            Some(item.ident.to_string())
        }
        Item::Type(item) if is_public(&item.vis) => {
            found.visit_type(&item.ty);
            Some(item.ident.to_string())
        }
        Item::Const(item) if is_public(&item.vis) => {
            found.visit_type(&item.ty);
            Some(item.ident.to_string())
        }
        Item::Fn(item) if is_public(&item.vis) => {
            found.signature(&item.sig);
            Some(item.sig.ident.to_string())
        }
        Item::Trait(item) if is_public(&item.vis) => {
            item.supertraits.iter().for_each(|bound| found.visit_type_param_bound(bound));
            for member in &item.items {
                if let TraitItem::Fn(member) = member {
                    found.signature(&member.sig);
                }
            }
            Some(item.ident.to_string())
        }
        Item::Impl(item) => look_at_impl(item, found),
        _ => None,
    }
}

fn look_at_impl(item: &syn::ItemImpl, found: &mut Mentioned) -> Option<String> {
    let Type::Path(of) = &*item.self_ty else { return None };
    match &item.trait_ {
        // A trait by itself may be anybody's; what stands in its brackets is shown, as in `From<other::Error>`.
        Some((_, name, _)) => name.segments.iter().for_each(|segment| {
            if let PathArguments::AngleBracketed(within) = &segment.arguments {
                found.visit_angle_bracketed_generic_arguments(within);
            }
        }),
        None => {
            for member in &item.items {
                if let ImplItem::Fn(member) = member
                    && is_public(&member.vis)
                {
                    found.signature(&member.sig);
                }
            }
        }
    }
    of.path.segments.last().map(|segment| segment.ident.to_string())
}
