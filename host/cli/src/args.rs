//! What can be asked of the command, as clap reads it.

mod choice;
mod verbs;

pub(crate) use choice::{Consent, Filter, Part, Which};
pub(crate) use verbs::{
    ApproveArgs, BackupArg, BackupArgs, BuildArgs, DecideArgs, EventsArgs, ExplainArgs, FailuresArgs, InspectArgs,
    KeygenArgs, NewArgs, ProbeArgs, PruneArgs, PushArgs, RecordArgs, RecordsArgs, ReleaseArgs, ReportArgs, ResolveArgs,
    RestoreArgs, ResumeArgs, ResyncArgs, RollbackListArgs, RouteArg, RunsArgs, SignArgs, TestArgs, VerifyPluginArgs,
    WitCheckArgs,
};

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

/// The verbs by use, as `crossdock --help` shows them. A test holds it against the verbs there are.
const HELP: &str = "\
{about}

{usage-heading} {usage}

Move records:
  check ROUTE             Check a route and everything it needs; run nothing
  connectors check ROUTE  Ask the route's connectors whether they can be used now
  run ROUTE               Run a route once

See what became of them:
  report                  Where the records of every route stand, and what needs a person
  failures                Failures by cause, and how to put them through again
  records                 List records, for example those that failed; or write them as CSV
  record ID               Everything known of one record
  runs                    List runs
  events                  List the event log
  verify                  Check the ledger: checksums, and that all numbers add up

Put right what went wrong:
  resync                  Put records through again from the step that failed
  probe                   Ask the destination about records in doubt
  resolve                 Say what you found out about a record in doubt
  skip                    Leave records out for good
  cancel                  Stop records for good, and undo what was done for them
  rollback list           What is being undone, or could not be
  rollback resume         Try again to undo what could not be
  rollback mark-done      Say that you undid it by hand
  plugin release ROUTE STEP
                          Let a quarantined plugin be used again

Decide which plugins run:
  plugin list             What is pinned of each plugin, and whether its file still is that
  plugin approve NAME     See what is different in a plugin's file, and let it in
  plugin inspect PLUGIN   What a plugin says of itself, and what it costs
  plugin pull             Fetch all plugins of the project, so that routes run without a network

Write plugins:
  new ROLE NAME           Begin a plugin: a folder that builds at once
  plugin build [DIR]      Build a plugin with its language's own tools
  plugin test PLUGIN      Run a plugin's cases, and play a hostile host with it
  plugin push FILE REFERENCE
                          Push a plugin to an OCI registry
  plugin keygen FILE      Make a key to sign plugins with
  plugin sign FILE        Sign a plugin
  plugin verify FILE      Whether a plugin is signed by somebody
  wit check OLD NEW       Whether plugins of one version of the contract go on with another

Look after the ledger:
  ledger prune            Remove what is older than the project keeps it
  ledger backup TO        Make a backup, also while routes run
  ledger verify-backup DIR
                          Check a backup as `verify` checks the ledger
  ledger restore DIR      Make the ledger from a backup

Understand:
  explain [CODE]          What an error code means and what to do about it

Options:
{options}{after-help}";

const AFTER_HELP: &str = "\
`crossdock VERB --help` explains the options of a verb.

Exit codes: 0 ok; 1 a mistake of ours; 2 what was given cannot work as it is; 3 something outside does not answer; \
4 completed, and some records are not ok; 5 a person has to decide; 130 stopped at once by a second Ctrl-C.

With --json a verb writes one JSON document to stdout. If it could not do its work, stdout stays empty and stderr has \
one document {\"error\": {\"code\", \"message\", ...}}. Times are RFC 3339 in UTC, in text and in JSON.";

/// Moves records between systems through sandboxed plugins, and knows of every record what became of it.
#[derive(Debug, Parser)]
#[command(name = "crossdock", version, help_template = HELP, after_help = AFTER_HELP)]
#[command(disable_help_subcommand = true, subcommand_value_name = "VERB", max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What every verb takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The data folder with the ledger. Without it: the one that the project names, or else `.crossdock` in the
    /// current folder. Example: --data /var/lib/crossdock
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The project folder, which holds `crossdock.toml`. Without it: the nearest one at or above the route file or the
    /// current folder. Example: --project examples/cdnow
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Write one JSON document to stdout instead of text; errors as JSON to stderr. Example: crossdock records --json
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Refuse plugins that are not in `crossdock.lock`, instead of adding them with the first run; for services and
    /// for tests of a change. Example: crossdock --locked run routes/orders.toml
    #[arg(long, global = true)]
    pub(crate) locked: bool,
    /// Show on stderr what is being done; -vv shows more. Example: crossdock -v run routes/orders.toml
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Check a route and everything it needs; run nothing
    ///
    /// Reads the route and project files, loads the plugins, and checks their settings and grants. All mistakes are
    /// shown at once. Other systems are not asked: `crossdock connectors check` does that.
    Check(RouteArg),
    /// Run a route once
    ///
    /// Reads what is new at the source, and takes up what waits for another attempt. The first Ctrl-C stops the run in
    /// good order, the second one at once; in both cases the next run goes on where this one stopped.
    Run(RouteArg),
    /// Where the records of every route stand, and what needs a person
    ///
    /// Exit code 5 if any record is indeterminate or could not be undone, or a plugin is quarantined.
    Report(ReportArgs),
    /// Failures by cause, and how to put them through again
    ///
    /// Records whose failures differ only in numbers, names and ids have one cause; the largest group comes first.
    Failures(FailuresArgs),
    /// List records, for example those that failed; or write them as CSV
    ///
    /// Those that changed last come first.
    Records(RecordsArgs),
    /// Everything known of one record
    ///
    /// Where it stands, its content, attempts, failures and receipts, what was logged, and what to do next.
    Record(RecordArgs),
    /// List runs, the newest first
    Runs(RunsArgs),
    /// List the event log, the newest entry first
    Events(EventsArgs),
    /// Put records through again from the step that failed
    ///
    /// First a plan is made: which records, what would happen to each, and whether the connectors can be used. Then it
    /// is applied by its hash, unless anything has changed since. Steps that are ok are not done again.
    Resync(ResyncArgs),
    /// Ask the destination about records in doubt
    ///
    /// For records that were sent and not answered for (`indeterminate`). What was applied goes on; what was not is
    /// failed and can be put through again.
    Probe(ProbeArgs),
    /// Say what you found out about a record in doubt
    ///
    /// For `indeterminate` records of which only the other system can tell whether they were applied.
    Resolve(ResolveArgs),
    /// Leave records out for good
    Skip(DecideArgs),
    /// Stop records for good, and undo what was done for them
    ///
    /// What earlier steps had applied is undone at once, newest first; a record in doubt is asked about first.
    Cancel(DecideArgs),
    /// Rollbacks: what is being undone, or could not be
    #[command(subcommand, arg_required_else_help = true)]
    Rollback(Rollback),
    /// Connectors: sources and destinations
    #[command(subcommand, arg_required_else_help = true)]
    Connectors(Connectors),
    /// Begin a plugin: a folder that builds at once
    ///
    /// With a unit test, cases, a README, and a copy of the kit of its language, as the kits are on no registry yet.
    /// Nothing that is there is overwritten.
    New(NewArgs),
    /// Plugins
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(Plugin),
    /// The contract between host and plugins
    #[command(subcommand, arg_required_else_help = true)]
    Wit(Wit),
    /// What an error code means and what to do about it; without CODE, all codes
    Explain(ExplainArgs),
    /// Look after the ledger: prune, backup, restore
    #[command(subcommand, arg_required_else_help = true)]
    Ledger(Ledger),
    /// Check the ledger: checksums, and that all numbers add up
    ///
    /// Exit code 5 if it is damaged, and also if records are indeterminate or could not be undone.
    Verify,
}

/// What can be done with connectors.
#[derive(Debug, Subcommand)]
pub(crate) enum Connectors {
    /// Ask the route's connectors whether they can be used now
    Check(RouteArg),
}

/// What can be done with plugins.
#[derive(Debug, Subcommand)]
pub(crate) enum Plugin {
    /// Build a plugin with its language's own tools: DIR/dist/NAME.wasm
    ///
    /// The folder's manifest says the language: Cargo.toml, package.json or pyproject.toml. What its tools say is passed
    /// on as it is; what is missing on this machine is named with the command that gets it. The same folder gives the
    /// same bytes everywhere.
    Build(BuildArgs),
    /// Run a plugin's cases, and play a hostile host with it
    ///
    /// Cases are files that say what the plugin is given and what is expected of it. With what they give, the host then
    /// does its worst: batches twice and turned round, lost answers, 429 and 5xx, fresh instances, rollbacks done twice,
    /// checkpoints of others. What broke is told with the promise, and the smallest input that shows it. Nothing leaves
    /// this machine. Exit code 4 if a case does not hold or something was found.
    Test(TestArgs),
    /// What a plugin says of itself: role, settings, wishes; and what it costs. It is granted nothing
    ///
    /// Its settings are shown one by one, those within others as `retry.attempts`, those of each entry of a list as
    /// `fields[].name`. It is compiled, or taken from the cache, and started once to be asked; the times are those of this
    /// machine, now. A file that is no plugin for this host is refused before it is compiled.
    Inspect(InspectArgs),
    /// What is pinned of each plugin of the project, and whether its file still is that
    ///
    /// Exit code 5 if a file is not the one that was let in, or cannot be loaded, or the lock has a plugin that the
    /// project does not have any more.
    List,
    /// See what is different in a plugin's file, and let it in
    ///
    /// Without --yes or --confirm nothing is changed: what is different is shown, with the command that lets in
    /// exactly that, and the exit code is 5 if there is anything. The new file is then used for everything, also to
    /// undo what the one before it has applied.
    Approve(ApproveArgs),
    /// Fetch all plugins of the project, so that its routes run without a network; for build machines and images
    ///
    /// Each is fetched unless it was before, held against lock, digest and publisher, and compiled. Those that are not
    /// in the lock are added to it; with --locked they are refused.
    Pull,
    /// Push a plugin to an OCI registry, in the layout that `wkg` uses
    ///
    /// Credentials are those under [registries] of the project, if there is one, or else those that `docker login` has
    /// written.
    Push(PushArgs),
    /// Make a key to sign plugins with: a new file that only you can read
    ///
    /// The public half is shown: those who use your plugins write it under [publishers] of their project.
    Keygen(KeygenArgs),
    /// Sign a plugin: its signature is written beside it, as FILE.sig
    Sign(SignArgs),
    /// Whether a plugin is signed by a publisher of the project, or with a key
    Verify(VerifyPluginArgs),
    /// Let a quarantined plugin be used again at a step of a route
    Release(ReleaseArgs),
}

/// What can be done with the contract.
#[derive(Debug, Subcommand)]
pub(crate) enum Wit {
    /// Whether plugins that were built for OLD go on loading and working with a host that speaks NEW
    ///
    /// Each difference is told, with what it breaks for whom and what to do instead. What is written in the types is
    /// compared; where only documentation has changed is told as well, so that somebody reads it. Exit code 5 if some
    /// plugins break.
    Check(WitCheckArgs),
}

/// How the ledger is looked after.
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Remove what is older than the project's [retention] keeps it
    ///
    /// In small steps, between which runs go on. Never what is not settled, nor a payload that may still be needed;
    /// failed records only if the project names an age for them.
    Prune(PruneArgs),
    /// Make a backup, also while routes run: a new folder, which appears when it is whole
    Backup(BackupArgs),
    /// Check a backup: its file, checksums, and that all numbers add up. Exit code 5 if it is not whole
    VerifyBackup(BackupArg),
    /// Make the ledger from a backup
    ///
    /// It is verified first. Records that were under way in it become indeterminate. What was done since the backup is
    /// not known any more: the next run reads again from the restored checkpoint, and sends again with the same keys.
    Restore(RestoreArgs),
}

/// What can be done with rollbacks.
#[derive(Debug, Subcommand)]
pub(crate) enum Rollback {
    /// What is being undone, or could not be, and what is still to be done
    List(RollbackListArgs),
    /// Try again to undo what could not be, with all attempts; and go on with what is being undone
    Resume(ResumeArgs),
    /// Say that you undid by hand what could not be
    MarkDone(DecideArgs),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_names_every_verb_and_no_other() {
        let help = Cli::command().render_help().to_string();
        let shown: Vec<&str> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let mut command = Cli::command();
        command.build();
        let there: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        for verb in &there {
            assert!(shown.contains(verb), "the help does not show {verb}");
        }
        for verb in &shown {
            assert!(there.contains(verb), "the help shows {verb}, which is not there");
        }
    }

    #[test]
    fn every_option_has_an_example() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments().filter(|a| !["help", "version"].contains(&a.get_id().as_str())) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example"), "{} {}: {help}", command.get_name(), argument.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    /// `expected` is a part of what clap says, or of how the arguments were understood.
    fn check(line: &str, expected: Result<&str, &str>) {
        let found = Cli::try_parse_from(line.split(' '));
        match (&found, expected) {
            (Ok(cli), Ok(part)) => {
                let cli = format!("{cli:?}");
                assert!(cli.contains(part), "{line}: {cli}");
            }
            (Err(error), Err(part)) => {
                assert_eq!(error.exit_code(), 2, "{line}");
                assert!(error.to_string().contains(part), "{line}: {error}");
            }
            _ => panic!("{line}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn what_is_asked_is_understood() {
        check("crossdock run r.toml --data d", Ok("data: Some(\"d\")"));
        check("crossdock --json records --status failed", Ok("status: [Failed]"));
        check("crossdock records --status failed,rejected", Ok("status: [Failed, Rejected]"));
        check("crossdock records --status faild", Err("'failed'"));
        check("crossdock records --status faild", Err("rollback-failed"));
        check("crossdock records --limit 0", Err("1..=10000"));
        check("crossdock records --route Orders", Err("a route's name must be"));
        check("crossdock records --since yesterday", Err("2h"));
        check("crossdock resync --record a b --plan", Ok("record: [RecordId(\"a\"), RecordId(\"b\")]"));
        check("crossdock resync --status failed --yes", Ok("yes: true"));
        check("crossdock resync --apply abc", Ok("apply: Some(\"abc\")"));
        check("crossdock resync --apply abc --yes", Err("cannot be used with"));
        check("crossdock resync --apply abc --status failed", Err("cannot be used with"));
        check("crossdock resync --plan --yes", Err("cannot be used with"));
        check("crossdock resolve --record a --reason r", Err("--applied"));
        check("crossdock resolve --record a --applied --not-applied --reason r", Err("cannot be used with"));
        check("crossdock resolve --record a --not-applied --target-id 1 --reason r", Err("cannot be used with"));
        check("crossdock resolve --record a --applied --target-id 1 --reason r", Ok("target_id: Some(\"1\")"));
        check("crossdock skip --record a", Err("--reason"));
        check("crossdock skip --code c --reason r --yes", Ok("yes: true"));
        check("crossdock skip --code c --reason r --yes --plan", Err("cannot be used with"));
        check("crossdock cancel --status pending --reason r --confirm abc", Ok("confirm: Some(\"abc\")"));
        check("crossdock resync --record a --edit f.json", Ok("edit: Some(\"f.json\")"));
        check("crossdock resync --apply abc --edit f.json", Err("cannot be used with"));
        check("crossdock resync --apply abc --recorded", Err("cannot be used with"));
        check("crossdock rollback list --route r", Ok("Rollback(List"));
        check("crossdock rollback resume", Ok("Rollback(Resume"));
        check("crossdock rollback mark-done --record a", Err("--reason"));
        check("crossdock records --csv - --json", Err("cannot be used with"));
        check("crossdock records --until 2h", Ok("until: Some"));
        check("crossdock plugin release r ship --reason fixed", Ok("Plugin(Release"));
        check("crossdock connectors check r.toml", Ok("Connectors(Check"));
        check("crossdock plugin inspect p.wasm", Ok("Plugin(Inspect"));
        check("crossdock new source lines --lang rust", Ok("language: Rust, into: \".\""));
        check("crossdock new sauce lines --lang rust", Err("source, transformer, destination"));
        check("crossdock new source lines --lang cobol", Err("rust, js, python"));
        check("crossdock new source lines", Err("--lang"));
        check("crossdock plugin build", Ok("dir: \".\""));
        check("crossdock plugin build p", Ok("dir: \"p\""));
        check("crossdock plugin test p.wasm --cases c", Ok("cases: Some(\"c\")"));
        check("crossdock plugin test", Err("PLUGIN"));
        check("crossdock plugin approve map book --yes", Ok("names: [PluginName(\"map\"), PluginName(\"book\")]"));
        check("crossdock plugin approve --all --confirm abc", Ok("confirm: Some(\"abc\")"));
        check("crossdock plugin approve", Err("--all"));
        check("crossdock plugin pull --locked", Ok("Plugin(Pull)"));
        check("crossdock plugin push p.wasm ghcr.io/a/p:1 --sign k", Ok("sign: Some(\"k\")"));
        check("crossdock plugin push p.wasm", Err("<REFERENCE>"));
        check("crossdock plugin sign p.wasm", Err("--key"));
        check("crossdock plugin verify p.wasm", Err("--publisher"));
        check("crossdock plugin verify p.wasm --key k --publisher p", Err("cannot be used with"));
        check("crossdock plugin verify p.wasm --publisher p", Ok("publisher: Some(\"p\")"));
        check("crossdock plugin approve map --all", Err("cannot be used with"));
        check("crossdock plugin approve map --yes --confirm abc", Err("cannot be used with"));
        check("crossdock --locked run r.toml", Ok("locked: true"));
        check("crossdock ledger prune --dry-run", Ok("dry_run: true"));
        check("crossdock ledger restore b --replace", Ok("replace: true"));
        check("crossdock ledger backup", Err("<TO>"));
        check("crossdock wit check a b", Ok("Wit(Check"));
        check("crossdock wit check a", Err("<NEW>"));
        check("crossdock explain", Ok("code: None"));
    }
}
