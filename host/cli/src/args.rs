//! What can be asked of the command, as clap reads it.

use crate::since;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, value_parser};
use crossdock::{RecordFilter, RecordId, RouteName, RunId, Status, StepName, Timestamp};
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
  records                 List records, for example those that failed
  record ID               Everything known of one record
  runs                    List runs
  events                  List the event log
  verify                  Check the ledger: checksums, and that all numbers add up

Put right what went wrong:
  resync                  Put records through again from the step that failed
  probe                   Ask the destination about records in doubt
  resolve                 Say what you found out about a record in doubt
  skip                    Leave records out for good

Understand:
  explain [CODE]          What an error code means and what to do about it
  plugin inspect FILE     What a plugin says of itself

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
    /// List records, for example those that failed
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
    Skip(SkipArgs),
    /// Connectors: sources and destinations
    #[command(subcommand, arg_required_else_help = true)]
    Connectors(Connectors),
    /// Plugins
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(Plugin),
    /// What an error code means and what to do about it; without CODE, all codes
    Explain(ExplainArgs),
    /// Check the ledger: checksums, and that all numbers add up
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
    /// What a plugin says of itself: role, settings, wishes. It is granted nothing
    Inspect(InspectArgs),
}

/// A route.
#[derive(Debug, Args)]
pub(crate) struct RouteArg {
    /// The route file. Example: routes/orders-to-erp.toml
    #[arg(value_name = "ROUTE")]
    pub(crate) route: PathBuf,
}

/// Which records are meant: those for which everything that is given holds.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filter {
    /// Of this route, by the name in its file. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
    /// Last changed by this run. Example: --run 0199f0c2-6c1e-7d3a-9d53-0f2f6c1e7d3a
    #[arg(long, value_name = "ID", value_parser = |text: &str| Ok::<_, String>(RunId(text.to_owned())))]
    pub(crate) run: Option<RunId>,
    /// Standing there. Example: --status failed
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    pub(crate) status: Option<Status>,
    /// At this step; `source` for records that could not be read. Example: --step book
    #[arg(long, value_name = "NAME", value_parser = |text: &str| StepName::new(text))]
    pub(crate) step: Option<StepName>,
    /// With a failure of this code. Example: --code http-422
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Changed at this time or later: a time, a date (UTC), or how long ago in s, m, h, d or w. Examples: --since 2h,
    /// --since 2026-03-01, --since 2026-03-01T08:00:00-05:00
    #[arg(long, value_name = "TIME", value_parser = since::from_now)]
    pub(crate) since: Option<Timestamp>,
    /// With words that begin like these in the id or the failure. Example: --text "credit limit"
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
}

impl Filter {
    /// Whether anything is given.
    pub(crate) fn is_empty(&self) -> bool {
        self.filter() == RecordFilter::default()
    }

    /// The same in the façade's words.
    pub(crate) fn filter(&self) -> RecordFilter {
        RecordFilter {
            route: self.route.clone(),
            run: self.run.clone(),
            status: self.status,
            code: self.code.clone(),
            since: self.since,
            text: self.text.clone(),
            id: None,
            step: self.step.clone(),
        }
    }
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct Part {
    /// At most so many, 1 to 10000. Example: --limit 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Go on where another list ended: what it gave as the next place. Example: --after r.1764000000000.17
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RecordsArgs {
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) part: Part,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    /// The record's id. Example: 00111/19970102
    #[arg(value_name = "ID", value_parser = record_id)]
    pub(crate) id: RecordId,
    /// Its route; needed if several routes have a record with this id. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Of this route, by the name in its file. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
    #[command(flatten)]
    pub(crate) part: Part,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Of this route, by the name in its file. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
    /// Of this run. Example: --run 0199f0c2-6c1e-7d3a-9d53-0f2f6c1e7d3a
    #[arg(long, value_name = "ID", value_parser = |text: &str| Ok::<_, String>(RunId(text.to_owned())))]
    pub(crate) run: Option<RunId>,
    /// About this record. Example: --record 00111/19970102
    #[arg(long, value_name = "ID", value_parser = record_id)]
    pub(crate) record: Option<RecordId>,
    /// Give them as they happened. Example: crossdock events --record 00111/19970102 --oldest-first
    #[arg(long)]
    pub(crate) oldest_first: bool,
    #[command(flatten)]
    pub(crate) part: Part,
}

#[derive(Debug, Args)]
pub(crate) struct ResyncArgs {
    /// These records; may be given several times. Example: --record 00111/19970102 --record 00187/19970214
    #[arg(long, value_name = "ID", value_parser = record_id, num_args = 1..)]
    pub(crate) record: Vec<RecordId>,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Show what would happen, and how to do it; the default. Example: crossdock resync --status failed --plan
    #[arg(long, conflicts_with_all = ["apply", "yes"])]
    pub(crate) plan: bool,
    /// Do what a plan says, if nothing has changed since. Example: crossdock resync --apply 3f9c0d1e2b4a5968
    #[arg(long, value_name = "HASH", conflicts_with_all = ["yes", "record", "Filter"])]
    pub(crate) apply: Option<String>,
    /// Plan and do it at once; needs a choice of records. Example: crossdock resync --code http-422 --yes
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// These records; may be given several times. Example: --record 00111/19970102
    #[arg(long, value_name = "ID", value_parser = record_id, num_args = 1..)]
    pub(crate) record: Vec<RecordId>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("found").required(true))]
pub(crate) struct ResolveArgs {
    /// The record; may be given several times. Example: --record 00111/19970102
    #[arg(long, value_name = "ID", value_parser = record_id, num_args = 1.., required = true)]
    pub(crate) record: Vec<RecordId>,
    /// Its route; needed if several routes have a record with this id. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
    /// It was applied: the record is ok. Example: --applied --target-id INV-3307
    #[arg(long, group = "found")]
    pub(crate) applied: bool,
    /// It was not applied: the record is failed and can be put through again. Example: --not-applied
    #[arg(long, group = "found")]
    pub(crate) not_applied: bool,
    /// The id that the other system gave the record; one record only. Example: --target-id INV-3307
    #[arg(long, value_name = "ID", requires = "applied", conflicts_with = "not_applied")]
    pub(crate) target_id: Option<String>,
    /// How you know; goes into the event log. Example: --reason "found in the ERP, ticket 4711"
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct SkipArgs {
    /// The record; may be given several times. Example: --record 00111/19970102
    #[arg(long, value_name = "ID", value_parser = record_id, num_args = 1.., required = true)]
    pub(crate) record: Vec<RecordId>,
    /// Its route; needed if several routes have a record with this id. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
    /// Why; goes into the event log. Example: --reason "entered by hand, ticket 4711"
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The plugin's file. Example: target/plugins/map.wasm
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code that an error gave. Example: route-unknown-key
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.iter().map(|status| status.as_str()))
        .try_map(|word| Status::from_word(&word).ok_or("not a status"))
}

fn record_id(text: &str) -> Result<RecordId, String> {
    match text.len() {
        0 => Err("a record's id is not empty".to_owned()),
        n if n > RecordId::MAX_BYTES => Err(format!("a record's id has at most {} bytes", RecordId::MAX_BYTES)),
        _ => Ok(RecordId(text.to_owned())),
    }
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, in a few words".to_owned()),
        text => Ok(text.to_owned()),
    }
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
        check("crossdock --json records --status failed", Ok("status: Some(Failed)"));
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
        check("crossdock skip --reason r", Err("--record"));
        check("crossdock connectors check r.toml", Ok("Connectors(Check"));
        check("crossdock plugin inspect p.wasm", Ok("Plugin(Inspect"));
        check("crossdock explain", Ok("code: None"));
    }
}
