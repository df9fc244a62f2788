//! A real registry over loopback: Debian's `docker-registry`, where it is installed.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The user that a registry with users knows.
pub const REGISTRY_USER: &str = "acme";
/// The password of that user.
pub const REGISTRY_PASSWORD: &str = "open sesame 1234";
/// The line of `htpasswd` for both.
const USERS: &str = "acme:$2b$04$Q2sUBET.B7C.TzomIQ2mre0YBE7jutwFM8.sCTInoe77JnYMQ4yJe\n";
/// Says that tests must not go without the tools that authors of plugins use.
const REQUIRED: &str = "CROSSDOCK_AUTHOR_TOOLS";

/// A registry that serves a folder; killed when this is dropped.
#[derive(Debug)]
pub struct OciRegistry {
    process: Child,
    addr: SocketAddr,
}

impl OciRegistry {
    /// Starts a registry that keeps everything in a folder, which it may have used before. With users it lets in only
    /// [`REGISTRY_USER`]. `None`, where there is none on this machine and none is required.
    ///
    /// # Errors
    /// It is required and not there, or does not start.
    #[allow(clippy::print_stderr)]
    pub fn start(folder: &Path, with_users: bool) -> Result<Option<Self>> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let users = folder.join("users");
        fs::write(&users, USERS)?;
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {:?}}}}}\nhttp: {{addr: \"127.0.0.1:0\"}}\n",
            folder.join("data")
        );
        if with_users {
            config += &format!("auth: {{htpasswd: {{realm: tests, path: {users:?}}}}}\n");
        }
        fs::write(folder.join("config.yml"), config)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(folder.join("config.yml")).env("OTEL_TRACES_EXPORTER", "none");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(_) if std::env::var_os(REQUIRED).is_none_or(|value| value != "required") => {
                eprintln!(
                    "no docker-registry here (apt-get install docker-registry): nothing is tried against a real one"
                );
                return Ok(None);
            }
            Err(error) => bail!("docker-registry is required ({REQUIRED}) and does not start: {error}"),
        };
        let mut log = BufReader::new(process.stderr.take().context("no stderr")?);
        // From here on the guard kills it if anything goes wrong.
        let mut registry = Self { process, addr: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut line = String::new();
        loop {
            line.clear();
            if log.read_line(&mut line)? == 0 {
                bail!("docker-registry ended before it listened");
            }
            let addr = line.split_once("listening on ").map(|(_, rest)| rest);
            let addr = addr.and_then(|rest| rest.split(|c| "\", \n".contains(c)).next());
            if let Some(addr) = addr.and_then(|addr| addr.parse().ok()) {
                registry.addr = addr;
                break;
            }
        }
        // What it says later is read, so that it never stands still before a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Some(registry))
    }

    /// Where it listens: the first part of references to what it has.
    #[must_use]
    pub fn host(&self) -> String {
        self.addr.to_string()
    }
}

impl Drop for OciRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
