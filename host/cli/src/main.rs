//! The `crossdock` command.
//!
//! **Does**: reads what is asked, asks the façade, and writes the answer for people or as JSON.
//! **May touch**: the arguments, stdout, stderr, the clock for display, signals that end it.
//! **Never**: the ledger, plugins or project files themselves, files at all, the network: the façade does that.

mod args;
mod author;
mod chain;
mod codes;
mod decide;
mod fail;
mod failures;
mod follow;
mod inspect;
mod json;
mod look;
mod out;
mod plugins;
mod progress;
mod publish;
mod record;
mod records;
mod report;
mod resync;
mod since;
mod summary;
mod test;
mod text;
mod trace;
mod upkeep;

use args::{Cli, Connectors, Global, Plugin, Rollback, Verb, Wit};
use clap::Parser;
use crossdock::{Host, HostOptions, find_project};
use fail::Fail;
use out::Out;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: this may be the process that compiles a plugin.
    if let Some(code) = crossdock::compile_if_asked() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let found = if cli.global.project.is_some() { None } else { other_project(route_of(&cli.verb)) };
    let out = Out::new(&cli.global, found.as_deref());
    let _trace = trace::trace(&cli.global);
    let runtime =
        match room_for_signals().and_then(|()| tokio::runtime::Builder::new_multi_thread().enable_all().build()) {
            Ok(runtime) => runtime,
            Err(error) => {
                let fail = Fail::internal(format!("starting: {error}"));
                out.fail(&fail);
                return ExitCode::from(fail.exit_code());
            }
        };
    let code = runtime.block_on(answer(&out, cli, found)).unwrap_or_else(|fail| {
        out.fail(&fail);
        fail.exit_code()
    });
    // What was left behind by a second Ctrl-C is not waited for.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Where there are no file descriptors left for what is waited for signals with, tokio panics. This fails before.
fn room_for_signals() -> std::io::Result<()> {
    #[cfg(unix)]
    let _held = [(); 3].map(|()| std::os::unix::net::UnixStream::pair()).into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(())
}

/// Does what is asked. Gives the exit code.
async fn answer(out: &Out, cli: Cli, found: Option<PathBuf>) -> Result<u8, Fail> {
    if let Verb::Explain(args) = &cli.verb {
        return look::explain(out, args.code.as_deref()).map(|()| 0);
    }
    if let Verb::New(args) = &cli.verb {
        return author::new(out, args).map(|()| 0);
    }
    if let Verb::Wit(Wit::Check(args)) = &cli.verb {
        return author::compare(out, args);
    }
    let Global { data, project, locked, .. } = cli.global;
    let host = Host::open(HostOptions { project: project.or(found), data, locked, ..HostOptions::default() })?;
    match &cli.verb {
        Verb::Check(args) => look::check(out, &host, &args.route).await?,
        Verb::Run(args) => return run(out, &host, &args.route).await,
        Verb::Report(args) => return report::report(out, &host, args),
        Verb::Failures(args) => failures::failures(out, &host, args)?,
        Verb::Records(args) => records::records(out, &host, args)?,
        Verb::Record(args) => record::show(out, &host, args)?,
        Verb::Runs(args) => records::runs(out, &host, args)?,
        Verb::Events(args) => records::events(out, &host, args)?,
        Verb::Resync(args) => return resync::resync(out, &host, args).await,
        Verb::Probe(args) => return decide::probe(out, &host, args).await,
        Verb::Resolve(args) => return decide::resolve(out, &host, args).await,
        Verb::Skip(args) => return decide::skip(out, &host, args).await,
        Verb::Cancel(args) => return decide::cancel(out, &host, args).await,
        Verb::Rollback(Rollback::List(args)) => return decide::rollbacks(out, &host, args),
        Verb::Rollback(Rollback::Resume(args)) => return decide::resume(out, &host, args).await,
        Verb::Rollback(Rollback::MarkDone(args)) => return decide::mark_done(out, &host, args).await,
        Verb::Connectors(Connectors::Check(args)) => return look::connectors(out, &host, &args.route).await,
        Verb::Plugin(Plugin::Build(args)) => author::build(out, &host, args).await?,
        Verb::Plugin(Plugin::Test(args)) => return test::test(out, host.cache_dir(), args).await,
        Verb::Plugin(Plugin::List) => return plugins::list(out, &host).await,
        Verb::Plugin(Plugin::Approve(args)) => return plugins::approve(out, &host, args).await,
        Verb::Plugin(Plugin::Pull) => publish::pull(out, &host).await?,
        Verb::Plugin(Plugin::Push(args)) => publish::push(out, &host, args).await?,
        Verb::Plugin(Plugin::Keygen(args)) => publish::keygen(out, args)?,
        Verb::Plugin(Plugin::Sign(args)) => publish::sign(out, &host, args).await?,
        Verb::Plugin(Plugin::Verify(args)) => publish::verify(out, &host, args).await?,
        Verb::Plugin(Plugin::Inspect(args)) => inspect::inspect(out, &host, &args.plugin).await?,
        Verb::Plugin(Plugin::Release(args)) => look::release(out, &host, args).await?,
        Verb::Wit(Wit::Check(args)) => return author::compare(out, args),
        Verb::Explain(args) => look::explain(out, args.code.as_deref())?,
        Verb::New(args) => author::new(out, args)?,
        Verb::Ledger(verb) => return upkeep::ledger(out, &host, verb).await,
        Verb::Verify => return look::verify(out, &host),
    }
    Ok(0)
}

async fn run(out: &Out, host: &Host, route: &Path) -> Result<u8, Fail> {
    let running = host.run(route).await?;
    out.note(&format!("Run {} of {}", running.run(), text::clean(&route.display().to_string())));
    let report = follow::follow(running, out).await?;
    summary::show(out, host, &report, Some(route))?;
    Ok(report.exit_code())
}

fn route_of(verb: &Verb) -> Option<&Path> {
    match verb {
        Verb::Check(args) | Verb::Run(args) | Verb::Connectors(Connectors::Check(args)) => Some(&args.route),
        _ => None,
    }
}

/// The project that a route file belongs to, if it is another one than that of the current folder.
fn other_project(route: Option<&Path>) -> Option<PathBuf> {
    let found = find_project(route?)?;
    let here = std::path::absolute(".").ok()?;
    if find_project(&here).as_deref() == Some(&found) {
        return None;
    }
    // Below the current folder a relative path is shorter to type and says the same.
    Some(found.strip_prefix(&here).map(Path::to_path_buf).unwrap_or(found))
}

/// What clap has to say: help and versions to stdout, mistakes to stderr.
fn misused(error: &clap::Error) -> ExitCode {
    let asks_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && asks_json {
        let global = Global { data: None, project: None, json: true, verbose: 0, locked: false };
        let message = error.render().to_string();
        let fix = "Look at `crossdock --help`.";
        Out::new(&global, None).fail(&Fail::given(message.trim_start_matches("error: ").trim_end(), fix));
    } else {
        // A closed stdout or stderr is no reason to fail otherwise.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}
