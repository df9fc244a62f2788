//! What may become different from one version of a contract to the next, and what must not.

use super::Verdict;

/// A kind of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// The package has another name.
    PackageRenamed,
    /// It has no version of three numbers, in one of them.
    NoVersion,
    /// Something else is different, and the version is not.
    VersionSame,
    /// The version went down.
    VersionDown,
    /// The versions do not go together.
    VersionApart,
    /// The version rose, and the two go together.
    VersionRose,
    /// Documentation.
    Docs,
    /// An interface that no world uses.
    Unused,
    InterfaceAdded,
    ImportRemoved,
    ExportRemoved,
    FunctionAddedToImport,
    FunctionAddedToExport,
    FunctionRemovedFromImport,
    FunctionRemovedFromExport,
    FunctionChangedInImport,
    FunctionChangedInExport,
    TypeAdded,
    TypeRemoved,
    TypeChanged,
    WorldAdded,
    WorldRemoved,
    WorldImports,
    WorldImportsNoMore,
    WorldExports,
    WorldExportsNoMore,
    WorldChanged,
}

impl Rule {
    /// What it does to plugins, why, and what to do instead if they break.
    pub(super) fn judge(self) -> (Verdict, &'static str, Option<&'static str>) {
        match self.broken() {
            Some((why, instead)) => (Verdict::Refused, why, Some(instead)),
            None => (Verdict::Allowed, self.harmless(), None),
        }
    }

    fn harmless(self) -> &'static str {
        match self {
            Self::VersionRose => "a host loads plugins of earlier versions that go together with its own",
            Self::Docs => "nothing that is linked; read whether it still promises what it promised",
            Self::Unused => "no world uses this interface, so that no plugin has it",
            Self::InterfaceAdded => "no plugin has to import or export what it does not know",
            Self::FunctionAddedToImport => {
                "a plugin imports only what it uses: those that do not know it load as before"
            }
            Self::TypeAdded => "nothing that plugins know refers to it",
            Self::WorldAdded => "plugins that were built for other worlds do not need it",
            _ => "plugins import only what they use",
        }
    }

    /// Why plugins break, and what to do instead.
    fn broken(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::PackageRenamed => (
                "each import and export of a plugin has the package's name in it: the host finds none of them",
                "keep the name",
            ),
            Self::NoVersion => (
                "a plugin says for which version it was built: where there is none, no host can tell whether it goes on",
                "give the package a version of three numbers, such as 0.1.0",
            ),
            Self::VersionSame => (
                "two contracts have one number: a host that speaks the old one loads plugins that ask for what it does \
                 not have",
                "raise the last number",
            ),
            Self::VersionDown => (
                "a host refuses plugins of a later version than its own",
                "give the new version a higher number than the old one",
            ),
            Self::VersionApart => (
                "the two do not go together by their numbers: a host refuses plugins that are older than that before it \
                 looks at anything else in them",
                "keep to what is allowed and raise the last number only; otherwise all plugins must be built again",
            ),
            Self::ImportRemoved => (
                "a plugin that imports it is not linked any more",
                "keep offering it, and say in its documentation what to use in its place",
            ),
            Self::ExportRemoved => {
                ("nobody calls any more what plugins do there, and nobody is told", "keep calling it")
            }
            Self::FunctionAddedToExport => (
                "plugins that were built for the old version do not export it: a host that looks for it does not load \
                 them",
                "put it into a new interface, which plugins may export and the host looks for",
            ),
            Self::FunctionRemovedFromImport => (
                "a plugin that imports it is not linked any more",
                "keep it, and say in its documentation what to use in its place",
            ),
            Self::FunctionRemovedFromExport => {
                ("nobody calls any more what plugins do there, and nobody is told", "keep calling it")
            }
            Self::FunctionChangedInImport => (
                "a plugin that imports it as it was is not linked any more",
                "leave it as it is, and add a function with another name",
            ),
            Self::FunctionChangedInExport => (
                "plugins export it as it was, and a host that expects another one does not load them",
                "leave it as it is, and put the new one into a new interface, which plugins may export",
            ),
            Self::TypeRemoved => (
                "what takes or gives it has changed with it, and no plugin that names it can be built again",
                "keep it",
            ),
            Self::TypeChanged => (
                "types are compared whole when a plugin is linked: whatever takes or gives this one is something else \
                 to plugins that were built with the old one, even where it has only more in it",
                "leave it as it is; give the new one another name, and use it in a new function on the import side or \
                 in a new interface that plugins may export",
            ),
            Self::WorldRemoved => (
                "it said what the host gives to plugins of this kind and takes from them; those that name it cannot be \
                 built again",
                "keep it, and say in its documentation what to use in its place",
            ),
            Self::WorldImportsNoMore => {
                ("a plugin of this world that imports it is not linked any more", "keep offering it")
            }
            Self::WorldExports => (
                "plugins of this world that were built for the old version do not export it",
                "make a new world for those that do, and look for it in each plugin",
            ),
            Self::WorldExportsNoMore => {
                ("nobody calls any more what plugins of this world do there, and nobody is told", "keep calling it")
            }
            Self::WorldChanged => ("plugins of this world have it as it was", "leave it as it is, and add another one"),
            Self::VersionRose
            | Self::Docs
            | Self::Unused
            | Self::InterfaceAdded
            | Self::FunctionAddedToImport
            | Self::TypeAdded
            | Self::WorldAdded
            | Self::WorldImports => return None,
        })
    }
}
