//! No cycles between the modules of a crate.

use std::collections::{BTreeMap, BTreeSet};

use super::each_source;
use crate::source::{Named, Source};
use crate::{Finding, Tree};

/// A module as the names that lead to it from the crate's root, which is the empty path.
type Module = Vec<String>;

/// Refuses cycles between modules that stand side by side, at every depth: each must be readable after those
/// it imports from. What a module shares with those inside it is its own business: a parent may re-export
/// its children, and a child may use its parent. Test modules do not count.
#[must_use]
pub fn module_cycles(tree: &Tree) -> Vec<Finding> {
    let mut crates: BTreeMap<String, Vec<(String, Source)>> = BTreeMap::new();
    let mut findings = each_source(tree, "", |path, source, _| {
        if let Some((folder, _)) = path.split_once("/src/") {
            crates.entry(folder.to_owned()).or_default().push((path.to_owned(), source));
        }
    });
    for sources in crates.values() {
        findings.extend(cycles_of_crate(sources));
    }
    findings
}

/// From one module to another beside it, with the first place that makes the edge.
type Edges = BTreeMap<String, BTreeMap<String, (String, usize)>>;

fn cycles_of_crate(sources: &[(String, Source)]) -> Vec<Finding> {
    let tests: BTreeSet<Module> = sources.iter().flat_map(|(path, source)| test_modules(path, source)).collect();
    let ours = sources.iter().map(|(path, source)| (path, module_of(path), source));
    let ours: Vec<_> = ours.filter(|(_, module, _)| !tests.iter().any(|test| module.starts_with(test))).collect();
    let mut modules: BTreeSet<Module> = BTreeSet::new();
    for (_, module, source) in &ours {
        modules.insert(module.clone());
        modules.extend(source.inline_modules.iter().map(|inline| [module.as_slice(), inline].concat()));
    }
    let mut names = Names { modules, bound: BTreeMap::new() };
    for (_, module, source) in &ours {
        for named in &source.named {
            let here = [module.as_slice(), &named.within].concat();
            if let (Some(bound), Some(path)) = (&named.bound, names.absolute(&here, named)) {
                names.bound.insert((here, bound.clone()), path);
            }
        }
    }
    let mut groups: BTreeMap<Module, Edges> = BTreeMap::new();
    for (path, module, source) in &ours {
        for named in &source.named {
            let here = [module.as_slice(), &named.within].concat();
            let Some(absolute) = names.absolute(&here, named) else { continue };
            let there = names.module_at(absolute);
            let common = here.iter().zip(&there).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (here.get(common), there.get(common)) {
                let edges = groups.entry(here[..common].to_vec()).or_default();
                let place = ((*path).clone(), named.line);
                edges.entry(from.clone()).or_default().entry(to.clone()).or_insert(place);
            }
        }
    }
    groups.values().flat_map(cycles).collect()
}

struct Names {
    modules: BTreeSet<Module>,
    /// What a `use` in a module binds, as a path from the crate's root.
    bound: BTreeMap<(Module, String), Module>,
}

impl Names {
    /// A path as written in a module, from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, here: &Module, named: &Named) -> Option<Module> {
        let mut segments = named.segments.iter().map(String::as_str).peekable();
        let mut path = match segments.peek().copied()? {
            "crate" => {
                segments.next();
                Vec::new()
            }
            "self" => {
                segments.next();
                here.clone()
            }
            "super" => here.clone(),
            first => {
                let child = [here.as_slice(), &[first.to_owned()]].concat();
                if !self.modules.contains(&child) {
                    return None;
                }
                here.clone()
            }
        };
        for segment in segments {
            if segment == "super" {
                path.pop()?;
            } else {
                path.push(segment.to_owned());
            }
        }
        Some(path)
    }

    /// The module where the thing at this path is defined, followed through re-exports.
    fn module_at(&self, mut path: Module) -> Module {
        // A re-export may lead to another; more than a few in a row would be a circle of them.
        for _ in 0..8 {
            let mut module = Module::new();
            let mut rest = path.iter();
            let mut onward = None;
            for segment in rest.by_ref() {
                module.push(segment.clone());
                if !self.modules.contains(&module) {
                    module.pop();
                    onward = self.bound.get(&(module.clone(), segment.clone()));
                    break;
                }
            }
            match onward {
                Some(next) => path = next.iter().chain(rest).cloned().collect(),
                None => return module,
            }
        }
        Module::new()
    }
}

/// Each cycle once: the shortest way round from the first module by name that is in it.
fn cycles(edges: &Edges) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<&String> = BTreeSet::new();
    for start in edges.keys() {
        if told.contains(start) {
            continue;
        }
        let Some(round) = way_round(edges, start) else { continue };
        told.extend(&round);
        let mut way = start.clone();
        let mut first = None;
        for (from, to) in round.iter().zip(round.iter().skip(1).chain([&start])) {
            let Some((path, line)) = edges.get(*from).and_then(|targets| targets.get(*to)) else { continue };
            first.get_or_insert((path, *line));
            way.push_str(&format!(" → {to} ({path}:{line})"));
        }
        if let Some((path, line)) = first {
            let what = format!("modules import in a circle: {way}; move what both need into a module below them");
            findings.push(Finding::new(path, line, what));
        }
    }
    findings
}

/// The modules of a shortest cycle through `start`, beginning with it.
fn way_round<'a>(edges: &'a Edges, start: &'a String) -> Option<Vec<&'a String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut next = std::collections::VecDeque::from([start]);
    while let Some(module) = next.pop_front() {
        for to in edges.get(module).into_iter().flat_map(BTreeMap::keys) {
            if to == start {
                let mut way = vec![module];
                while let Some(before) = way.last().filter(|last| **last != start).and_then(|last| came_from.get(*last))
                {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(to) {
                came_from.insert(to, module);
                next.push_back(to);
            }
        }
    }
    None
}

fn test_modules(path: &str, source: &Source) -> Vec<Module> {
    let module = module_of(path);
    source.test_modules.iter().map(|name| [module.as_slice(), std::slice::from_ref(name)].concat()).collect()
}

/// `src/a/b.rs` and `src/a/b/mod.rs` are the module `a::b`; `src/lib.rs` and `src/main.rs` are the root.
fn module_of(path: &str) -> Module {
    let inside = path.split_once("/src/").map_or("", |(_, inside)| inside).trim_end_matches(".rs");
    let mut module: Module = inside.split('/').map(str::to_owned).collect();
    let is_root = module.len() == 1 && matches!(inside, "lib" | "main");
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}
