//! The example of chains in one command: builds everything, starts a shop and three services, runs the route, has one
//! order refused at the end of its chain, and shows what each service itself says of it. See README.md.
//!
//! **Does**: what a newcomer would type by hand, in the order of the README.
//! **May touch**: this folder, processes it started itself, the loopback ports below.
//! **Never**: a crate of the host; it calls the `crossdock` command.

mod orders;
mod services;

use anyhow::{Context, Result, bail, ensure};
use crossdock_devkit::{binary, plugins, workspace_root};
use serde_json::json;
use services::Services;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How many orders the shop begins with.
const ORDERS: usize = 300;
/// The order that the carrier refuses.
const REFUSED: &str = "S-9001";
const ROUTE: &str = "routes/shop.toml";

const USAGE: &str = "cargo run -p shop [-- [--fresh] [--stay]]

  --fresh   forget what earlier runs did, on all sides
  --stay    leave the shop and the services running afterwards, until Ctrl-C, to try things by hand";

fn main() -> Result<ExitCode> {
    let (mut fresh, mut stay) = (false, false);
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--fresh" => fresh = true,
            "--stay" => stay = true,
            "--help" | "-h" => {
                say(USAGE);
                return Ok(ExitCode::SUCCESS);
            }
            other => bail!("unknown argument {other}\n\n{USAGE}"),
        }
    }
    let example = workspace_root().join("examples/shop");
    if fresh {
        for folder in [".crossdock", ".services"].map(|name| example.join(name)) {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
            }
        }
    }
    say("Building the plugins, the command and the stand-ins …");
    put_plugins(&example)?;
    services::put_token(&example.join("keys/payment"))?;
    let crossdock = Crossdock { program: binary("crossdock-cli", "crossdock")?, example };
    crossdock.approve()?;
    let services = Services::start(&crossdock.example.join(".services"))?;

    say("\n1. The shop has orders. Each reserves stock, is charged, and is shipped.\n");
    let added = services.load(&orders::first(ORDERS)?)?;
    say(&format!("The shop lists {added} more new orders."));
    let _ = crossdock.run(&["run", ROUTE])?;
    say(&services.summary()?);

    say(&format!("\n2. One more order, {REFUSED}. The carrier refuses it.\n"));
    let order = json!([{ "id": REFUSED, "customer": "00004", "date": "1998-06-30", "quantity": 1, "amount": "14.96" }]);
    if services.load(&order)? == 0 {
        say("It is there from an earlier time and not new any more; see it with --fresh.");
    }
    services.shipping_refuses(REFUSED, "No such street in the city")?;
    let code = crossdock.run(&["run", ROUTE])?;
    let _ = crossdock.run(&["record", REFUSED])?;
    say(&services.story_of(REFUSED)?);
    services.shipping_accepts()?;

    if stay {
        say(&format!(
            "\nEverything stays until Ctrl-C. In another terminal follow README.md:\n\n  cd examples/shop\n  alias crossdock={}",
            crossdock.program.display()
        ));
        loop {
            std::thread::park();
        }
    }
    say("\nWith `cargo run -p shop -- --stay` everything stays, to break things by hand: see README.md.");
    // The refused order is what the example is for, so it is no failure of the example.
    Ok(if matches!(code, 0 | 4) { ExitCode::SUCCESS } else { ExitCode::from(code) })
}

/// The command, in the example's folder.
struct Crossdock {
    program: PathBuf,
    example: PathBuf,
}

impl Crossdock {
    /// The plugins were built just now, from this source: whoever runs this has them approved by that.
    fn approve(&self) -> Result<()> {
        let mut command = Command::new(&self.program);
        let done = command.args(["plugin", "approve", "--all", "--yes"]).current_dir(&self.example).output();
        let done = done.with_context(|| format!("starting {}", self.program.display()))?;
        ensure!(done.status.success(), "approving the plugins: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Shows what is typed, and what comes of it. Returns the exit code.
    fn run(&self, arguments: &[&str]) -> Result<u8> {
        say(&format!("$ crossdock {}", arguments.join(" ")));
        let mut command = Command::new(&self.program);
        let status = command.args(arguments).current_dir(&self.example).status();
        let status = status.with_context(|| format!("starting {}", self.program.display()))?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
    }
}

/// The plugins as files of the project, so that the folder works by itself.
fn put_plugins(example: &Path) -> Result<()> {
    let folder = example.join("plugins");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let built = plugins()?;
    for name in ["http-source", "http-destination"] {
        let to = folder.join(format!("{name}.wasm"));
        std::fs::copy(built.path(name)?, &to).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
