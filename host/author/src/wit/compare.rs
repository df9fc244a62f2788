//! Finds what is different, and says by which rule that is judged.

use super::read::{Contract, Face, Named, World, Written};
use super::rules::Rule;
use super::{Comparison, Difference, Verdict, Version};
use crossdock_model::{ContractVersion, Fit};
use std::collections::{BTreeMap, BTreeSet};

/// All differences, what is refused first, then in the order of their places.
pub(super) fn compare(old: &Contract, new: &Contract) -> Comparison {
    let mut notes = Notes { old: Sides::of(old), new: Sides::of(new), ..Notes::default() };
    if old.package != new.package {
        notes.place("package");
        notes.changed(Rule::PackageRenamed, "it has another name", &old.package, &new.package);
    }
    notes.docs_of("package", old.docs == new.docs);
    for (name, before, after) in both(&old.interfaces, &new.interfaces) {
        notes.interface(name, before, after);
    }
    for (name, before, after) in both(&old.worlds, &new.worlds) {
        notes.world(name, before, after);
    }
    notes.version(old, new);
    let mut differences = notes.found;
    differences.sort_by_key(|difference| difference.verdict);
    let side = |it: &Contract| Version { package: it.package.clone(), version: it.version.clone() };
    let goes_on = differences.iter().all(|difference| difference.verdict == Verdict::Allowed);
    Comparison { old: side(old), new: side(new), goes_on, differences }
}

/// Each name of either, with what stands under it in both.
fn both<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, Option<&'a T>, Option<&'a T>)> {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names.into_iter().map(|name| (name.as_str(), old.get(name), new.get(name)))
}

/// What the worlds of a contract do with its interfaces.
#[derive(Debug, Default)]
struct Sides {
    imported: BTreeSet<String>,
    exported: BTreeSet<String>,
}

impl Sides {
    fn of(contract: &Contract) -> Self {
        let names = |of: fn(&World) -> &BTreeMap<String, Option<String>>| {
            let items = contract.worlds.values().flat_map(of);
            items.filter(|(_, text)| text.is_none()).map(|(name, _)| name.clone()).collect()
        };
        Self { imported: names(|world| &world.imports), exported: names(|world| &world.exports) }
    }

    fn exports(&self, name: &str) -> bool {
        self.exported.contains(name)
    }

    fn has(&self, name: &str) -> bool {
        self.imported.contains(name) || self.exported.contains(name)
    }
}

/// What was found so far, and where we are.
#[derive(Debug, Default)]
struct Notes {
    old: Sides,
    new: Sides,
    place: String,
    item: Option<String>,
    found: Vec<Difference>,
}

impl Notes {
    fn place(&mut self, place: impl Into<String>) {
        (self.place, self.item) = (place.into(), None);
    }

    fn note(&mut self, rule: Rule, what: impl Into<String>, was: Option<&str>, is: Option<&str>) {
        let (verdict, why, instead) = rule.judge();
        self.found.push(Difference {
            verdict,
            place: self.place.clone(),
            item: self.item.clone(),
            what: what.into(),
            was: was.map(str::to_owned),
            is: is.map(str::to_owned),
            why: why.to_owned(),
            instead: instead.map(str::to_owned),
        });
    }

    fn changed(&mut self, rule: Rule, what: impl Into<String>, was: &str, is: &str) {
        self.note(rule, what, Some(was), Some(is));
    }

    fn docs_of(&mut self, place: &str, same: bool) {
        self.place(place);
        self.docs(same);
    }

    fn docs(&mut self, same: bool) {
        if !same {
            self.note(Rule::Docs, "its documentation is another one", None, None);
        }
    }

    fn interface(&mut self, name: &str, old: Option<&Face>, new: Option<&Face>) {
        self.place(format!("interface {name}"));
        let was_exported = self.old.exports(name);
        let (before, after) = match (old, new) {
            (None, _) => return self.note(Rule::InterfaceAdded, "it is new", None, None),
            (Some(_), None) if !self.old.has(name) => return self.note(Rule::Unused, "it is gone", None, None),
            (Some(_), None) => {
                let rule = if was_exported { Rule::ExportRemoved } else { Rule::ImportRemoved };
                return self.note(rule, "it is gone", None, None);
            }
            (Some(before), Some(after)) => (before, after),
        };
        if self.old.has(name) && !self.new.has(name) {
            let rule = if was_exported { Rule::ExportRemoved } else { Rule::ImportRemoved };
            self.note(rule, "no world has it any more", None, None);
        }
        self.docs(before.docs == after.docs);
        for (item, old, new) in both(&before.types, &after.types) {
            self.named(name, item, old, new);
        }
        for (item, old, new) in both(&before.functions, &after.functions) {
            self.item = Some(item.to_owned());
            self.function(name, old, new);
        }
    }

    /// The rule, unless nobody has the interface.
    fn unless_unused(&self, interface: &str, rule: Rule) -> Rule {
        if self.old.has(interface) || self.new.has(interface) { rule } else { Rule::Unused }
    }

    fn function(&mut self, interface: &str, old: Option<&Written>, new: Option<&Written>) {
        let by_side = |import, export| if self.old.exports(interface) { export } else { import };
        match (old, new) {
            (None, Some(new)) => {
                let rule = by_side(Rule::FunctionAddedToImport, Rule::FunctionAddedToExport);
                self.note(self.unless_unused(interface, rule), "it is new", None, Some(&new.text));
            }
            (Some(old), None) => {
                let rule = by_side(Rule::FunctionRemovedFromImport, Rule::FunctionRemovedFromExport);
                self.note(self.unless_unused(interface, rule), "it is gone", Some(&old.text), None);
            }
            (Some(old), Some(new)) => {
                if old.text != new.text {
                    let rule = by_side(Rule::FunctionChangedInImport, Rule::FunctionChangedInExport);
                    let rule = self.unless_unused(interface, rule);
                    self.changed(rule, "it takes or gives something else", &old.text, &new.text);
                }
                self.docs(old.docs == new.docs);
            }
            (None, None) => {}
        }
    }

    fn named(&mut self, interface: &str, name: &str, old: Option<&Named>, new: Option<&Named>) {
        let kind = old.or(new).map_or("type", |named| named.kind);
        self.item = Some(format!("{kind} {name}"));
        match (old, new) {
            (None, Some(new)) => self.note(Rule::TypeAdded, "it is new", None, Some(&new.written.text)),
            (Some(old), None) => {
                self.note(
                    self.unless_unused(interface, Rule::TypeRemoved),
                    "it is gone",
                    Some(&old.written.text),
                    None,
                );
            }
            (Some(old), Some(new)) => {
                if old.written.text != new.written.text {
                    let rule = self.unless_unused(interface, Rule::TypeChanged);
                    self.changed(rule, in_words(old, new), &old.written.text, &new.written.text);
                }
                let member = |named: &Named, name: &String| {
                    named.members.iter().find(|(its, _)| its == name).map(|(_, written)| written.docs.clone())
                };
                let same =
                    old.members.iter().all(|(name, written)| member(new, name).is_none_or(|docs| docs == written.docs));
                self.docs(same && old.written.docs == new.written.docs);
            }
            (None, None) => {}
        }
    }

    fn world(&mut self, name: &str, old: Option<&World>, new: Option<&World>) {
        self.place(format!("world {name}"));
        let (before, after) = match (old, new) {
            (None, _) => return self.note(Rule::WorldAdded, "it is new", None, None),
            (_, None) => return self.note(Rule::WorldRemoved, "it is gone", None, None),
            (Some(before), Some(after)) => (before, after),
        };
        self.docs(before.docs == after.docs);
        for (item, old, new) in both(&before.imports, &after.imports) {
            self.item = Some(format!("import {item}"));
            match (old, new) {
                // Told once, where the interface itself is told about.
                (None, Some(None)) if !self.old.has(item) => {}
                (Some(None), None) if !self.new.has(item) => {}
                (None, _) => self.note(Rule::WorldImports, "it is new here", None, None),
                (_, None) => self.note(Rule::WorldImportsNoMore, "it is gone here", None, None),
                (Some(old), Some(new)) => self.within_world(old.as_deref(), new.as_deref()),
            }
        }
        for (item, old, new) in both(&before.exports, &after.exports) {
            self.item = Some(format!("export {item}"));
            match (old, new) {
                (Some(None), None) if !self.new.has(item) => {}
                (None, _) => self.note(Rule::WorldExports, "it is new here", None, None),
                (_, None) => self.note(Rule::WorldExportsNoMore, "it is gone here", None, None),
                (Some(old), Some(new)) => self.within_world(old.as_deref(), new.as_deref()),
            }
        }
    }

    /// A function or type that is written within a world.
    fn within_world(&mut self, old: Option<&str>, new: Option<&str>) {
        if old != new {
            self.note(Rule::WorldChanged, "it is another one", old, new);
        }
    }

    /// What the two numbers say, once all else is known.
    fn version(&mut self, old: &Contract, new: &Contract) {
        self.place("package");
        let read = |contract: &Contract| contract.version.as_deref().and_then(ContractVersion::parse);
        let said = |contract: &Contract| contract.version.clone().unwrap_or_else(|| "no version".to_owned());
        let (was, is) = (said(old), said(new));
        let (Some(before), Some(after)) = (read(old), read(new)) else {
            return self.changed(Rule::NoVersion, "it has no version of three numbers", &was, &is);
        };
        let only_docs = self.found.iter().all(|difference| difference.why == Rule::Docs.judge().1);
        match after.fit(before) {
            Fit::TooNew => self.changed(Rule::VersionDown, "its version went down", &was, &is),
            Fit::TooOld => self.changed(Rule::VersionApart, "its version is too far from the old one", &was, &is),
            Fit::Loads if before != after => self.changed(Rule::VersionRose, "its version rose", &was, &is),
            Fit::Loads if !only_docs => {
                self.changed(Rule::VersionSame, "something is different, and its version is not", &was, &is);
            }
            Fit::Loads => {}
        }
    }
}

/// What is different between two types of one name.
fn in_words(old: &Named, new: &Named) -> String {
    if old.kind != new.kind {
        return format!("it was of the kind `{}` and is of the kind `{}`", old.kind, new.kind);
    }
    let word = match old.kind {
        "record" => "field",
        "variant" | "enum" => "case",
        "flags" => "flag",
        _ => return "it stands for something else".to_owned(),
    };
    let text = |named: &Named, name: &String| {
        named.members.iter().find(|(its, _)| its == name).map(|(_, written)| written.text.clone())
    };
    let names = |named: &Named| named.members.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let (before, after) = (names(old), names(new));
    let mut parts = Vec::new();
    for name in &before {
        match (text(old, name), text(new, name)) {
            (_, None) => parts.push(format!("the {word} `{name}` is gone")),
            (was, is) if was != is => parts.push(format!("the {word} `{name}` has another type")),
            _ => {}
        }
    }
    parts.extend(after.iter().filter(|name| !before.contains(name)).map(|name| format!("the {word} `{name}` is new")));
    if parts.is_empty() {
        parts.push(format!("its {word}s stand in another order"));
    }
    parts.join(", ")
}
