//! The main example in one command: builds everything, starts the ERP stand-in, runs the route, and says what
//! became of every record. See README.md.

use anyhow::{Context, Result, bail, ensure};
use crossdock_devkit::{Child, binary, http, plugins, workspace_root};
use std::path::Path;
use std::process::{Command, ExitCode};

/// Where routes/cdnow.toml expects the ERP.
const ERP: &str = "127.0.0.1:7411";

const USAGE: &str = "cargo run -p cdnow [-- [--fresh] [--stay]]

  --fresh   forget what earlier runs did, on both sides
  --stay    leave the ERP stand-in running afterwards, until Ctrl-C, to try things by hand";

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
    let example = workspace_root().join("examples/cdnow");
    let erp_folder = example.join(".erp");
    if fresh {
        for folder in [example.join(".crossdock"), erp_folder.clone()] {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
            }
        }
    }
    say("Building the plugins, the command and the ERP stand-in …");
    put_plugins(&example)?;
    let crossdock = binary("crossdock-cli", "crossdock")?;
    let erp = binary("erp-stand-in", "erp-stand-in")?;

    std::fs::create_dir_all(&erp_folder).with_context(|| format!("making {}", erp_folder.display()))?;
    let mut erp = Command::new(erp);
    erp.args(["--listen", ERP, "--data"]).arg(erp_folder.join("erp.db"));
    let erp =
        Child::start(&mut erp).with_context(|| format!("starting the ERP stand-in on {ERP}; is the port in use?"))?;
    say(&format!("The ERP stand-in listens on {}.\n", erp.url()));

    // They were built just now, from this source: whoever runs this has them approved by that.
    let approved = Command::new(&crossdock)
        .args(["plugin", "approve", "--all", "--yes"])
        .current_dir(&example)
        .output()
        .with_context(|| format!("starting {}", crossdock.display()))?;
    ensure!(approved.status.success(), "approving the plugins: {}", String::from_utf8_lossy(&approved.stderr));

    let route = "routes/cdnow.toml";
    say(&format!("$ cd examples/cdnow\n$ crossdock run {route}"));
    let status = Command::new(&crossdock)
        .args(["run", route])
        .current_dir(&example)
        .status()
        .with_context(|| format!("starting {}", crossdock.display()))?;

    let (code, summary) = http("GET", erp.addr(), "/_ledger/summary", "")?;
    ensure!(code == 200, "the ERP answered {code}: {summary}");
    say(&format!("\nWhat the ERP itself says ({}/_ledger/summary):\n{}", erp.url(), pretty(&summary)));
    say(&format!("\nTo look further, in examples/cdnow:\n  {} records --limit 10", crossdock.display()));
    if stay {
        try_by_hand(&crossdock, &erp);
    } else {
        say("With `cargo run -p cdnow -- --stay` the ERP stays, to break things by hand.");
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// The plugins as files of the project, so that the folder works by itself.
fn put_plugins(example: &Path) -> Result<()> {
    let folder = example.join("plugins");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let built = plugins()?;
    for name in ["text-source", "map", "http-destination"] {
        let to = folder.join(format!("{name}.wasm"));
        std::fs::copy(built.path(name)?, &to).with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

fn try_by_hand(crossdock: &Path, erp: &Child) {
    say(&format!(
        "
The ERP stays until Ctrl-C. In another terminal, in examples/cdnow, see a purchase refused and put it through again:

  alias crossdock={crossdock}
  rm -rf .crossdock                                   # forget the run; the ERP remembers
  curl -X PUT {url}/_faults -d '[{{\"references\":[\"00111/19970111\"],\"answer\":422,\"message\":\"Credit limit exceeded\"}}]'
  crossdock run routes/cdnow.toml                     # ends with exit code 4
  crossdock records --status failed
  curl -X DELETE {url}/_faults
  crossdock resync --status failed --plan             # shows a hash
  crossdock resync --apply HASH
",
        crossdock = crossdock.display(),
        url = erp.url(),
    ));
    loop {
        std::thread::park();
    }
}

fn pretty(json: &str) -> String {
    serde_json::from_str::<serde_json::Value>(json)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| json.to_owned())
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
