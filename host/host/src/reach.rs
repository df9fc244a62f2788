//! What of a project no plugin may reach: whoever can change what the host goes by can do whatever the host can.

use crate::project::{LOCK_FILE, OpenProject, PROJECT_FILE};
use crossdock_registry::signature_file;
use crossdock_route::{PluginOrigin, SecretFrom};
use std::collections::VecDeque;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// How many links are followed on the way to a file.
const LINKS_MAX: usize = 40;

/// Something of the host's own on disk.
struct Own {
    /// What it is, for people.
    what: String,
    /// Every place that is looked at on the way to it, links followed; the last one is the thing itself.
    way: Vec<PathBuf>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A folder of which nobody else may see or change anything.
    Closed,
    /// A file that nobody else may see or change.
    Secret,
    /// A file that nobody else may change.
    Fixed,
    /// A folder to which nobody else may add a file.
    Listed,
}

/// What the host itself keeps on disk, and where.
pub(crate) struct OwnFiles(Vec<Own>);

impl OwnFiles {
    /// What belongs to a project and its data folder, and the route file, if the route comes from one.
    pub(crate) fn of(project: &OpenProject, data: &Path, route: Option<&Path>) -> Self {
        let own = |what: String, path: &Path, kind| Own { what, way: way_to(path), kind };
        let mut files = vec![own("the data folder".to_owned(), data, Kind::Closed)];
        for secret in project.file.secrets() {
            if let SecretFrom::File(path) = &secret.from {
                files.push(own(format!("the file of secret {}", secret.name), &project.resolve(path), Kind::Secret));
            }
        }
        for name in [PROJECT_FILE, LOCK_FILE] {
            files.push(own(name.to_owned(), &project.folder.join(name), Kind::Fixed));
        }
        for plugin in project.file.plugins() {
            // Those that are fetched are in the data folder.
            let PluginOrigin::Path(path) = &plugin.origin else { continue };
            let path = project.resolve(path);
            files.push(own(format!("the file of plugin {}", plugin.name), &path, Kind::Fixed));
            if plugin.publisher.is_some() {
                let what = format!("the signature of plugin {}", plugin.name);
                files.push(own(what, &signature_file(&path), Kind::Fixed));
            }
        }
        for folder in project.route_folders() {
            files.push(own("the folder of routes".to_owned(), &folder, Kind::Listed));
            for path in linked_route_files(&folder) {
                files.push(own(format!("the route file {}", path.display()), &path, Kind::Fixed));
            }
        }
        files.extend(route.map(|path| own(format!("the route file {}", path.display()), path, Kind::Fixed)));
        Self(files)
    }

    /// What of this a plugin would reach if it were granted this directory; the first that is found.
    pub(crate) fn within(&self, granted: &Path, write: bool) -> Option<&str> {
        let granted = fs::canonicalize(granted).unwrap_or_else(|_| granted.to_owned());
        self.0.iter().find(|own| own.is_reached(&granted, write)).map(|own| own.what.as_str())
    }
}

impl Own {
    fn is_reached(&self, granted: &Path, write: bool) -> bool {
        let Some(place) = self.way.last() else { return false };
        let lies_within = place.starts_with(granted);
        // A link or folder on the way to it that can be exchanged is as good as the thing itself.
        let can_be_exchanged = write && self.way.iter().any(|place| place != granted && place.starts_with(granted));
        match self.kind {
            Kind::Closed => lies_within || granted.starts_with(place) || can_be_exchanged,
            Kind::Secret => lies_within || can_be_exchanged,
            Kind::Fixed => can_be_exchanged,
            Kind::Listed => can_be_exchanged || (write && place == granted),
        }
    }
}

/// The route files of a folder that stand elsewhere. Whoever reaches one that is in the folder itself reaches the folder,
/// which is looked at anyway; to follow the way to each of them would make the start of a route dearer with every route.
fn linked_route_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let linked = |entry: &fs::DirEntry| !entry.file_type().is_ok_and(|kind| kind.is_file());
    let paths = entries.filter_map(Result::ok).filter(linked).map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

/// Every place at which the system looks on its way to a path: each folder and link, and what they lead to. What is
/// not there is taken as it is written.
fn way_to(path: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts = |path: &Path| path.components().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut rest = VecDeque::from(parts(&absolute));
    let (mut place, mut way, mut links) = (PathBuf::new(), Vec::new(), 0);
    while let Some(part) = rest.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => {
                place.pop();
                way.push(place.clone());
            }
            Some(Component::CurDir) | None => {}
            // A root replaces what was there before.
            Some(_) => {
                let next = place.join(&part);
                way.push(next.clone());
                match fs::read_link(&next) {
                    Ok(target) if links < LINKS_MAX => {
                        links += 1;
                        parts(&target).into_iter().rev().for_each(|part| rest.push_front(part));
                    }
                    _ => place = next,
                }
            }
        }
    }
    way.push(place);
    way
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    const PROJECT: &str = "data = 'state'\n[plugins]\np = { path = 'plugins/p.wasm' }\n[secrets]\n\
                           A = { file = 'keys/a' }\nB = { env = 'B' }\n";

    /// A project with a data folder, routes, a plugin and a secret, and links beside and within it.
    fn project() -> (tempfile::TempDir, OpenProject) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("project");
        for name in ["routes/deep", "plugins", "keys", "in", "out/sub", "state/cache", "more", "linked"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::create_dir_all(root.path().join("elsewhere/routes")).unwrap();
        let files = ["crossdock.lock", "routes/r.toml", "plugins/p.wasm", "keys/a", "state/ledger.db"];
        files.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        fs::write(folder.join(PROJECT_FILE), PROJECT).unwrap();
        symlink("state", folder.join("link-to-state")).unwrap();
        symlink("../keys", folder.join("in/link-to-keys")).unwrap();
        fs::write(folder.join("linked/l.toml"), "").unwrap();
        symlink("../linked/l.toml", folder.join("routes/l.toml")).unwrap();
        symlink(root.path().join("project"), root.path().join("elsewhere/link")).unwrap();
        (root, OpenProject::read(&folder).unwrap())
    }

    /// What is reached through a directory that is granted for reading, and for writing; empty for nothing.
    fn check(own: &OwnFiles, granted: &Path, read: &str, write: &str) {
        for (expected, is_write) in [(read, false), (write, true)] {
            let found = own.within(granted, is_write).unwrap_or_default();
            let fits = if expected.is_empty() { found.is_empty() } else { found.contains(expected) };
            assert!(fits, "{} (write {is_write}): {found:?}, expected {expected:?}", granted.display());
        }
    }

    #[test]
    fn what_the_host_goes_by_is_out_of_reach() {
        let (root, project) = project();
        let folder = project.folder.clone();
        let data = folder.join("state");
        let own = OwnFiles::of(&project, &data, Some(&folder.join("more/extra.toml")));
        for (granted, read, write) in [
            ("in", "", ""),
            ("out", "", ""),
            ("out/sub", "", ""),
            ("state", "the data folder", "the data folder"),
            ("state/cache", "the data folder", "the data folder"),
            ("link-to-state", "the data folder", "the data folder"),
            ("link-to-state/cache", "the data folder", "the data folder"),
            ("in/../state", "the data folder", "the data folder"),
            (".", "the data folder", "the data folder"),
            ("..", "the data folder", "the data folder"),
            ("keys", "secret A", "secret A"),
            ("in/link-to-keys", "secret A", "secret A"),
            ("plugins", "", "plugin p"),
            ("routes", "", "the folder of routes"),
            ("routes/deep", "", ""),
            ("more", "", "extra.toml"),
            ("linked", "", "l.toml"),
            ("nowhere", "", ""),
        ] {
            check(&own, &folder.join(granted), read, write);
        }
        check(&own, Path::new("/"), "the data folder", "the data folder");
        // With the data folder somewhere else the project can be read, except for its secrets.
        let own = OwnFiles::of(&project, &root.path().join("far/away"), None);
        check(&own, &folder, "secret A", "secret A");
        check(&own, &folder.join("state"), "", "");
    }

    #[test]
    fn a_way_that_can_be_exchanged_is_out_of_reach() {
        let (root, real) = project();
        // The same project, as seen through a link: whoever can exchange the link can exchange the project.
        let folder = root.path().join("elsewhere/link");
        let own = OwnFiles::of(&OpenProject::read(&folder).unwrap(), &folder.join("state"), None);
        check(&own, &root.path().join("elsewhere"), "", "the data folder");
        check(&own, &root.path().join("elsewhere/routes"), "", "");
        check(&own, &real.folder.join("out"), "", "");
        check(&own, &real.folder.join("plugins"), "", "plugin p");
    }
}
