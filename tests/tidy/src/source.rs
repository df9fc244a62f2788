//! One Rust file, as far as the checks care: what it names, what it defines, how long its functions are.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// What a name was given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A struct, enum, union, trait or type alias.
    Type,
    Module,
    Function,
    Value,
    Field,
    Variant,
}

/// A name that this file gives.
#[derive(Debug)]
pub(crate) struct Defined {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// A path that this file names, for example `crate::a::B` or `std::fs`, from a `use` or from the code.
#[derive(Debug)]
pub(crate) struct Named {
    /// Inline modules around it, outermost first.
    pub(crate) within: Vec<String>,
    pub(crate) segments: Vec<String>,
    /// The name it gets here, where it stands in a `use`.
    pub(crate) bound: Option<String>,
    pub(crate) line: usize,
}

/// A function with a body, from the first line of its body to the last.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// A string literal, from the code or from the arguments of a macro; doc comments and attributes have none.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// Whether it stands under `#[cfg(test)]` or `#[test]`.
    pub(crate) in_tests: bool,
}

/// One parsed file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) defined: Vec<Defined>,
    pub(crate) functions: Vec<Function>,
    /// Outside of test modules.
    pub(crate) named: Vec<Named>,
    /// Inline modules, as paths within the file, outside of test modules.
    pub(crate) inline_modules: Vec<Vec<String>>,
    /// Modules of this file's folder that are declared with `#[cfg(test)]`.
    pub(crate) test_modules: Vec<String>,
    /// The `//!` lines at the top.
    pub(crate) opening: String,
    /// String literals in functions `code` of an `impl Explained`, with their lines.
    pub(crate) codes_used: Vec<(String, usize)>,
    pub(crate) texts: Vec<Text>,
    within: Vec<String>,
    in_tests: usize,
    in_explained: bool,
    in_code_fn: bool,
    in_attribute: bool,
}

impl Source {
    /// Parses one file.
    ///
    /// # Errors
    /// The line and the parser's message, when it is not Rust.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let file = syn::parse_file(text).map_err(|error| (error.span().start().line, error.to_string()))?;
        let mut source = Self { opening: opening(text), ..Self::default() };
        source.visit_file(&file);
        Ok(source)
    }

    fn define(&mut self, kind: Kind, ident: &syn::Ident) {
        self.defined.push(Defined { kind, name: ident.to_string(), line: ident.span().start().line });
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        self.define(Kind::Function, &signature.ident);
        let line = signature.ident.span().start().line;
        let end = block.brace_token.span.close().end().line;
        self.functions.push(Function { name: signature.ident.to_string(), line, lines: end.saturating_sub(line) + 1 });
    }

    fn name(&mut self, segments: Vec<String>, bound: Option<String>, line: usize) {
        if self.in_tests == 0 && !segments.is_empty() {
            self.named.push(Named { within: self.within.clone(), segments, bound, line });
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => self.use_leaf(before, &name.ident, &name.ident),
            syn::UseTree::Rename(rename) => self.use_leaf(before, &rename.ident, &rename.rename),
            syn::UseTree::Glob(glob) => {
                let line = glob.star_token.spans.first().map_or(0, |span| span.start().line);
                self.name(before.clone(), None, line);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, before);
                }
            }
        }
    }

    fn use_leaf(&mut self, before: &[String], ident: &syn::Ident, bound: &syn::Ident) {
        let mut segments = before.to_vec();
        let mut bound = bound.to_string();
        if ident == "self" {
            // `use a::b::{self}` names and binds `b`.
            if bound == "self" {
                bound = segments.last().cloned().unwrap_or_default();
            }
        } else {
            segments.push(ident.to_string());
        }
        self.name(segments, Some(bound), ident.span().start().line);
    }

    fn text(&mut self, literal: &syn::LitStr) {
        if !self.in_attribute {
            self.texts.push(Text { text: literal.value(), in_tests: self.in_tests > 0 });
        }
    }

    /// Finds `a::b::c` and string literals in the arguments of a macro, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(&mut path, line);
                    }
                    line = ident.span().start().line;
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                TokenTree::Group(group) => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_of_path(&mut path, line);
                    colons = 0;
                    if let Ok(literal) = syn::parse2::<syn::LitStr>(token.into()) {
                        self.text(&literal);
                    }
                }
            }
        }
        self.end_of_path(&mut path, line);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.name(path, None, line);
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.define(Kind::Module, &item.ident);
        let name = item.ident.to_string();
        let test = is_test(&item.attrs);
        if item.content.is_none() {
            if test && self.within.is_empty() {
                self.test_modules.push(name);
            }
            return;
        }
        self.within.push(name);
        self.in_tests += usize::from(test);
        if self.in_tests == 0 {
            self.inline_modules.push(self.within.clone());
        }
        visit::visit_item_mod(self, item);
        self.in_tests -= usize::from(test);
        self.within.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        let test = is_test(&item.attrs);
        self.in_tests += usize::from(test);
        visit::visit_item_fn(self, item);
        self.in_tests -= usize::from(test);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let test = is_test(&item.attrs);
        self.in_tests += usize::from(test);
        let explained = item
            .trait_
            .as_ref()
            .and_then(|(_, path, _)| path.segments.last())
            .is_some_and(|segment| segment.ident == "Explained");
        let around = std::mem::replace(&mut self.in_explained, explained && self.in_tests == 0);
        visit::visit_item_impl(self, item);
        self.in_explained = around;
        self.in_tests -= usize::from(test);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        let around = std::mem::replace(&mut self.in_code_fn, self.in_explained && item.sig.ident == "code");
        visit::visit_impl_item_fn(self, item);
        self.in_code_fn = around;
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        match &item.default {
            Some(block) => self.function(&item.sig, block),
            None => self.define(Kind::Function, &item.sig.ident),
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.define(Kind::Type, &item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.define(Kind::Type, &item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.define(Kind::Type, &item.ident);
        visit::visit_item_union(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.define(Kind::Type, &item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.define(Kind::Type, &item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.define(Kind::Value, &item.ident);
        visit::visit_item_const(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.define(Kind::Value, &item.ident);
        visit::visit_item_static(self, item);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.define(Kind::Variant, &variant.ident);
        visit::visit_variant(self, variant);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(ident) = &field.ident {
            self.define(Kind::Field, ident);
        }
        visit::visit_field(self, field);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.use_tree(&item.tree, &mut Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let line = path.segments.first().map_or(0, |segment| segment.ident.span().start().line);
            self.name(segments, None, line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        let around = std::mem::replace(&mut self.in_attribute, true);
        visit::visit_attribute(self, attribute);
        self.in_attribute = around;
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        if self.in_code_fn {
            self.codes_used.push((literal.value(), literal.span().start().line));
        }
        self.text(literal);
    }
}

/// Whether an item stands under `#[cfg(test)]` or `#[test]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string();
            let mut words = condition.split(|c: char| !c.is_alphanumeric());
            words.clone().any(|word| word == "test") && !words.any(|word| word == "not")
        }
        _ => false,
    })
}

/// The `//!` lines that a file begins with, without the marks.
fn opening(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.trim().is_empty()).map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.trim())).collect()
}
