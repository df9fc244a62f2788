//! A project on disk: its folder, its files, its plugins and secrets.

use crate::error::Error;
use crate::secrets::{is_too_short, known};
use crossdock_model::{ErrorClass, RouteName};
use crossdock_route::{Project, ProjectFile, Route, RouteFile, SecretEntry, SecretFrom};
use crossdock_sandbox::{Certificates, SECRET_MIN_BYTES, SecretValue, read_secret};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The name of the file that makes a folder a project.
pub const PROJECT_FILE: &str = "crossdock.toml";
/// The name of the lock of a project: which plugin files it runs.
pub const LOCK_FILE: &str = "crossdock.lock";
/// The folder of a project in which routes are looked for by name.
const ROUTES_FOLDER: &str = "routes";

/// The largest file that is read as certificates.
const CERTIFICATES_MAX_BYTES: u64 = 4 << 20;

/// A project folder whose `crossdock.toml` was read.
#[derive(Debug, Clone)]
pub(crate) struct OpenProject {
    pub(crate) folder: PathBuf,
    pub(crate) file: Project,
}

/// The project that a file or folder belongs to: the nearest folder at or above it that holds a
/// `crossdock.toml`.
#[must_use]
pub fn find_project(near: &Path) -> Option<PathBuf> {
    let near = std::path::absolute(near).ok()?;
    near.ancestors().find(|folder| folder.join(PROJECT_FILE).is_file()).map(Path::to_path_buf)
}

impl OpenProject {
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(PROJECT_FILE);
        let text = read_text(&path, "project file")?;
        let file = ProjectFile::parse(&path.display().to_string(), &text)?;
        let project = Self { folder: folder.to_path_buf(), file };
        project.learn_secrets();
        Ok(project)
    }

    /// Reads the secrets that the project names, so that they are known wherever they come up. Those that are not
    /// there at the moment are read when a plugin is to use them, and so are those of pipes, which give them once.
    fn learn_secrets(&self) {
        let read = |entry: &SecretEntry| {
            let is_once = matches!(&entry.from, SecretFrom::File(path) if !self.resolve(path).is_file());
            if is_once { None } else { Some((entry.name.clone(), self.read_secret(&entry.name).ok()??)) }
        };
        let secrets: Vec<_> = self.file.secrets().iter().filter_map(read).collect();
        known().learn(secrets.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
    }

    /// A path as it is written in the project or in a route.
    pub(crate) fn resolve(&self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// The value of a secret, if the project has one at the moment; an empty one is none.
    ///
    /// # Errors
    /// When its file is there and cannot be read, or the value is too short to be kept out of texts.
    pub(crate) fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(value) = self.read_secret(name)?.filter(|value| !value.is_empty()) else { return Ok(None) };
        if is_too_short(&value) {
            return Err(Error::new(
                "host-secret-too-short",
                ErrorClass::InvalidInput,
                format!(
                    "reading secret {name}: it has {} bytes, and with fewer than {SECRET_MIN_BYTES} it could not be \
                     kept out of logs and reports",
                    value.len()
                ),
                "Check that it holds what it should; give it a longer value in the other system if it does.",
            ));
        }
        known().learn([(name, value.as_slice())]);
        Ok(Some(value))
    }

    fn read_secret(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(entry) = self.file.secret(name) else { return Ok(None) };
        match &entry.from {
            SecretFrom::Env(variable) => Ok(std::env::var_os(variable).map(|value| value.into_encoded_bytes())),
            SecretFrom::File(path) => match read_secret(&self.resolve(path)) {
                Ok(mut bytes) => Ok(Some(std::mem::take(&mut *bytes))),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::new(
                    "host-secret-unreadable",
                    ErrorClass::Environment,
                    format!("reading secret {name} from {path}: {error}"),
                    "Make the file readable for the user that runs Crossdock.",
                )),
            },
        }
    }

    /// Where the value of a secret comes from while plugins run: a file is looked at anew whenever it is used.
    ///
    /// # Errors
    /// As for [`OpenProject::secret`].
    pub(crate) fn secret_value(&self, name: &str) -> Result<SecretValue, Error> {
        let value = self.secret(name)?;
        Ok(match self.file.secret(name).map(|entry| &entry.from) {
            // What is there and is no file, for example a pipe, gives its content once.
            Some(SecretFrom::File(path)) if value.is_none() || self.resolve(path).is_file() => {
                SecretValue::File(self.resolve(path))
            }
            _ => SecretValue::Fixed(value),
        })
    }

    /// The folders in which routes are looked for by name.
    pub(crate) fn route_folders(&self) -> [PathBuf; 2] {
        [self.folder.join(ROUTES_FOLDER), self.folder.clone()]
    }

    /// The authorities that the project trusts beside those of the machine.
    ///
    /// # Errors
    /// When a file cannot be read, or holds anything but certificates.
    pub(crate) fn certificates(&self) -> Result<Certificates, Error> {
        let mut certificates = Certificates::default();
        self.each_certificate(|text| certificates.add_pem(&text).map_err(|error| error.to_string()))?;
        Ok(certificates)
    }

    /// The same as texts in PEM, each with certificates and nothing else.
    ///
    /// # Errors
    /// As for [`OpenProject::certificates`].
    pub(crate) fn certificate_texts(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut texts = Vec::new();
        self.each_certificate(|text| {
            Certificates::default().add_pem(&text).map_err(|error| error.to_string())?;
            texts.push(text);
            Ok(())
        })?;
        Ok(texts)
    }

    fn each_certificate(&self, mut take: impl FnMut(Vec<u8>) -> Result<(), String>) -> Result<(), Error> {
        for written in self.file.certificates() {
            let path = self.resolve(written);
            read_certificates(&path).and_then(&mut take).map_err(|error| {
                Error::new(
                    "host-certificates",
                    ErrorClass::InvalidInput,
                    format!("taking over the certificates in {}: {error}", path.display()),
                    "Name a file with certificates in PEM in `[network] certificates` of the project file.",
                )
            })?;
        }
        Ok(())
    }

    /// The file of a route, by the name that stands in it.
    pub(crate) fn route_file(&self, name: &RouteName) -> Result<PathBuf, Error> {
        for folder in self.route_folders() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
            paths.sort();
            for path in paths {
                let is_toml = path.extension().is_some_and(|extension| extension == "toml");
                if !is_toml || path.file_name().is_some_and(|file| file == PROJECT_FILE) {
                    continue;
                }
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let named = RouteFile::parse(&path.display().to_string(), &text);
                if named.is_ok_and(|route| route.name() == name) {
                    return Ok(path);
                }
            }
        }
        Err(Error::new(
            "host-route-not-found",
            ErrorClass::InvalidInput,
            format!("looking for route {name}: no valid route file in {} has this name", self.folder.display()),
            format!(
                "Put its file into {}/{ROUTES_FOLDER}, or check it with `crossdock check FILE`.",
                self.folder.display()
            ),
        ))
    }
}

/// Reads a file with certificates; the machine's own list of them is far smaller than what is taken.
fn read_certificates(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    file.take(CERTIFICATES_MAX_BYTES + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > CERTIFICATES_MAX_BYTES {
        return Err(format!("it is larger than {CERTIFICATES_MAX_BYTES} bytes"));
    }
    Ok(text)
}

/// Reads a route file. Looks at nothing but the file.
pub(crate) fn read_route(path: &Path) -> Result<Route, Error> {
    let text = read_text(path, "route file")?;
    Ok(RouteFile::parse(&path.display().to_string(), &text)?)
}

fn read_text(path: &Path, what: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| {
        let fix = match error.kind() {
            ErrorKind::NotFound => "Check the path.",
            ErrorKind::InvalidData => "Save the file as UTF-8 text.",
            _ => "Make the file readable for the user that runs Crossdock.",
        };
        Error::new(
            "host-file-unreadable",
            ErrorClass::InvalidInput,
            format!("reading {what} {}: {error}", path.display()),
            fix,
        )
    })
}
