//! Reads a contract, and keeps of it what is compared: texts by their names.

use super::WitError;
use std::collections::BTreeMap;
use std::path::Path;
use wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, InterfaceId, PackageId, Resolve, Type, TypeDefKind, TypeId,
    TypeOwner, WorldId, WorldItem, WorldKey,
};

/// A contract: one package.
#[derive(Debug, Default)]
pub(super) struct Contract {
    pub(super) package: String,
    pub(super) version: Option<String>,
    pub(super) docs: Option<String>,
    pub(super) interfaces: BTreeMap<String, Face>,
    pub(super) worlds: BTreeMap<String, World>,
}

/// An interface.
#[derive(Debug, Default)]
pub(super) struct Face {
    pub(super) docs: Option<String>,
    pub(super) types: BTreeMap<String, Named>,
    pub(super) functions: BTreeMap<String, Written>,
}

/// Something as it is written, in one line.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) docs: Option<String>,
}

/// A type with a name.
#[derive(Debug)]
pub(super) struct Named {
    /// `record`, `variant`, `enum`, `flags`, `resource` or `type`.
    pub(super) kind: &'static str,
    /// Its fields, cases or flags.
    pub(super) members: Vec<(String, Written)>,
    pub(super) written: Written,
}

/// What a world takes and gives, each with its text if it is not an interface.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) docs: Option<String>,
    pub(super) imports: BTreeMap<String, Option<String>>,
    pub(super) exports: BTreeMap<String, Option<String>>,
}

/// Reads a folder or a file.
///
/// # Errors
/// When it is not there, or not WIT.
pub(super) fn read(path: &Path) -> Result<Contract, WitError> {
    let unreadable = |reason: String| WitError::Unreadable { path: path.to_owned(), reason };
    let mut resolve = Resolve::default();
    // Looked at first, for a reason that is not the parser's.
    let is_folder = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.is_dir();
    let pushed = if is_folder {
        resolve.push_dir(path).map(|(package, _)| package)
    } else {
        std::fs::read_to_string(path).map_err(Into::into).and_then(|text| resolve.push_str(path, &text))
    };
    let package = pushed.map_err(|error| unreadable(resolve.render_error(&error)))?;
    Ok(Reader { resolve: &resolve, package }.contract())
}

struct Reader<'a> {
    resolve: &'a Resolve,
    package: PackageId,
}

impl Reader<'_> {
    fn contract(&self) -> Contract {
        let package = &self.resolve.packages[self.package];
        let mut contract = Contract {
            package: format!("{}:{}", package.name.namespace, package.name.name),
            version: package.name.version.as_ref().map(ToString::to_string),
            docs: package.docs.contents.clone(),
            ..Contract::default()
        };
        for (name, id) in &package.interfaces {
            contract.interfaces.insert(name.clone(), self.face(&self.resolve.interfaces[*id]));
        }
        for (name, id) in &package.worlds {
            let world = self.world(name, *id, &mut contract.interfaces);
            contract.worlds.insert(name.clone(), world);
        }
        contract
    }

    fn face(&self, interface: &Interface) -> Face {
        let types = interface.types.iter().map(|(name, id)| (name.clone(), self.named(*id)));
        let functions = interface.functions.values().map(|function| (function.name.clone(), self.function(function)));
        Face { docs: docs(&interface.docs), types: types.collect(), functions: functions.collect() }
    }

    /// A world; interfaces that are written within it join the others.
    fn world(&self, name: &str, id: WorldId, faces: &mut BTreeMap<String, Face>) -> World {
        let world = &self.resolve.worlds[id];
        let mut side = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| {
            let mut found = BTreeMap::new();
            for (key, item) in items {
                let (name, text) = match (key, item) {
                    (_, WorldItem::Function(function)) => (function.name.clone(), Some(self.function(function).text)),
                    (WorldKey::Name(key), WorldItem::Type { id, .. }) => {
                        (key.clone(), Some(self.named(*id).written.text))
                    }
                    (WorldKey::Name(key), WorldItem::Interface { id, .. }) => {
                        let own = format!("{name}.{key}");
                        faces.insert(own.clone(), self.face(&self.resolve.interfaces[*id]));
                        (own, None)
                    }
                    (WorldKey::Interface(id), _) => (self.interface_name(*id), None),
                };
                found.insert(name, text);
            }
            found
        };
        World { docs: docs(&world.docs), imports: side(&world.imports), exports: side(&world.exports) }
    }

    /// An interface by its name, with its package if that is another one.
    fn interface_name(&self, id: InterfaceId) -> String {
        let interface = &self.resolve.interfaces[id];
        let name = interface.name.clone().unwrap_or_default();
        match interface.package {
            Some(package) if package != self.package => {
                let package = &self.resolve.packages[package].name;
                match &package.version {
                    Some(version) => format!("{}:{}/{name}@{version}", package.namespace, package.name),
                    None => format!("{}:{}/{name}", package.namespace, package.name),
                }
            }
            _ => name,
        }
    }

    fn function(&self, function: &Function) -> Written {
        let is_async = matches!(
            function.kind,
            FunctionKind::AsyncFreestanding | FunctionKind::AsyncMethod(_) | FunctionKind::AsyncStatic(_)
        );
        let params: Vec<_> = function.params.iter().map(|it| format!("{}: {}", it.name, self.ty(&it.ty))).collect();
        let result = function.result.as_ref().map(|ty| format!(" -> {}", self.ty(ty))).unwrap_or_default();
        let word = if is_async { "async func" } else { "func" };
        let text = format!("{}: {word}({}){result}", function.name, params.join(", "));
        Written { text, docs: docs(&function.docs) }
    }

    fn named(&self, id: TypeId) -> Named {
        let found = &self.resolve.types[id];
        let name = found.name.clone().unwrap_or_default();
        let member = |name: &str, ty: Option<String>, about: &Docs| {
            let text = ty.map_or_else(|| name.to_owned(), |ty| format!("{name}{ty}"));
            (name.to_owned(), Written { text, docs: docs(about) })
        };
        let within = |ty: &Type| format!("({})", self.ty(ty));
        let (kind, members): (_, Vec<_>) = match &found.kind {
            TypeDefKind::Record(record) => {
                let fields = record.fields.iter();
                (
                    "record",
                    fields.map(|it| member(&it.name, Some(format!(": {}", self.ty(&it.ty))), &it.docs)).collect(),
                )
            }
            TypeDefKind::Variant(variant) => {
                let cases = variant.cases.iter();
                ("variant", cases.map(|it| member(&it.name, it.ty.as_ref().map(within), &it.docs)).collect())
            }
            TypeDefKind::Enum(cases) => {
                ("enum", cases.cases.iter().map(|it| member(&it.name, None, &it.docs)).collect())
            }
            TypeDefKind::Flags(flags) => {
                ("flags", flags.flags.iter().map(|it| member(&it.name, None, &it.docs)).collect())
            }
            TypeDefKind::Resource => ("resource", Vec::new()),
            _ => ("type", Vec::new()),
        };
        let texts: Vec<&str> = members.iter().map(|(_, written)| written.text.as_str()).collect();
        let text = match kind {
            "type" => format!("type {name} = {}", self.kind(&found.kind)),
            "resource" => format!("resource {name}"),
            _ => format!("{kind} {name} {{ {} }}", texts.join(", ")),
        };
        Named { kind, written: Written { text, docs: docs(&found.docs) }, members }
    }

    /// A type as it is written where it is used.
    fn ty(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".to_owned(),
            Type::U8 => "u8".to_owned(),
            Type::U16 => "u16".to_owned(),
            Type::U32 => "u32".to_owned(),
            Type::U64 => "u64".to_owned(),
            Type::S8 => "s8".to_owned(),
            Type::S16 => "s16".to_owned(),
            Type::S32 => "s32".to_owned(),
            Type::S64 => "s64".to_owned(),
            Type::F32 => "f32".to_owned(),
            Type::F64 => "f64".to_owned(),
            Type::Char => "char".to_owned(),
            Type::String => "string".to_owned(),
            Type::ErrorContext => "error-context".to_owned(),
            Type::Id(id) => self.used(*id),
        }
    }

    /// A type that is used: by its name and where it comes from, or as it is made if it has no name. Where it is only
    /// another name for one elsewhere, it is that one.
    fn used(&self, id: TypeId) -> String {
        let found = &self.resolve.types[id];
        match (&found.name, &found.kind, found.owner) {
            (Some(_), TypeDefKind::Type(Type::Id(other)), _) if self.resolve.types[*other].owner != found.owner => {
                self.used(*other)
            }
            (Some(name), _, TypeOwner::Interface(owner)) => format!("{}.{name}", self.interface_name(owner)),
            (Some(name), _, _) => name.clone(),
            (None, kind, _) => self.kind(kind),
        }
    }

    /// How a type without a name is made.
    fn kind(&self, kind: &TypeDefKind) -> String {
        let list = |types: &[Type]| types.iter().map(|ty| self.ty(ty)).collect::<Vec<_>>().join(", ");
        let or_none = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| self.ty(ty));
        let may_have = |word: &str, ty: &Option<Type>| match ty {
            Some(ty) => format!("{word}<{}>", self.ty(ty)),
            None => word.to_owned(),
        };
        match kind {
            TypeDefKind::Type(ty) => self.ty(ty),
            TypeDefKind::Option(ty) => format!("option<{}>", self.ty(ty)),
            TypeDefKind::List(ty) => format!("list<{}>", self.ty(ty)),
            TypeDefKind::FixedLengthList(ty, length) => format!("list<{}, {length}>", self.ty(ty)),
            TypeDefKind::Map(key, value) => format!("map<{}, {}>", self.ty(key), self.ty(value)),
            TypeDefKind::Tuple(tuple) => format!("tuple<{}>", list(&tuple.types)),
            TypeDefKind::Result(result) => match (&result.ok, &result.err) {
                (None, None) => "result".to_owned(),
                (ok, None) => format!("result<{}>", or_none(ok)),
                (ok, err) => format!("result<{}, {}>", or_none(ok), or_none(err)),
            },
            TypeDefKind::Handle(Handle::Own(id)) => self.used(*id),
            TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", self.used(*id)),
            TypeDefKind::Future(ty) => may_have("future", ty),
            TypeDefKind::Stream(ty) => may_have("stream", ty),
            named => named.as_str().to_owned(),
        }
    }
}

fn docs(docs: &Docs) -> Option<String> {
    docs.contents.clone()
}
