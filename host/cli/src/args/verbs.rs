//! What each verb takes.

use super::choice::{Consent, Filter, Part, Which, reason, record_id};
use clap::Args;
use crossdock::{PluginName, RecordId, RouteName, RunId, StepName};
use crossdock_author::{Language, Role};
use std::path::PathBuf;

/// A route.
#[derive(Debug, Args)]
pub(crate) struct RouteArg {
    /// The route file. Example: routes/orders-to-erp.toml
    #[arg(value_name = "ROUTE")]
    pub(crate) route: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RecordsArgs {
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) part: Part,
    /// Write all records that fit as CSV into this file, `-` for stdout. Example: --status failed --csv failed.csv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["limit", "after", "json", "groups"])]
    pub(crate) csv: Option<PathBuf>,
    /// Show failures by cause instead, as `crossdock failures` does. Example: crossdock records --since 2h --groups
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    pub(crate) groups: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FailuresArgs {
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Write them as CSV into this file, `-` for stdout. Example: crossdock failures --since 24h --csv -
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) csv: Option<PathBuf>,
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
pub(crate) struct ReportArgs {
    /// Of this route only, by the name in its file. Example: --route orders-to-erp
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
    #[command(flatten)]
    pub(crate) which: Which,
    /// Give the one record that is chosen the content of this file. Example: --record A-17 --edit a-17.json
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    pub(crate) edit: Option<PathBuf>,
    /// Through the route as it was when they were run last, not as it is now. Example: --run 0199f0c2 --recorded
    #[arg(long, conflicts_with = "apply")]
    pub(crate) recorded: bool,
    /// Show what would happen, and how to do it; the default. Example: crossdock resync --status failed --plan
    #[arg(long, conflicts_with_all = ["apply", "yes"])]
    pub(crate) plan: bool,
    /// List every record of the plan, not only some. Example: crossdock resync --code http-422 --plan --all
    #[arg(long)]
    pub(crate) all: bool,
    /// Do what a plan says, if nothing has changed since. Example: crossdock resync --apply 3f9c0d1e2b4a5968
    #[arg(long, value_name = "HASH", conflicts_with_all = ["yes", "Which", "Filter"])]
    pub(crate) apply: Option<String>,
    /// Plan and do it at once; needs a choice of records. Example: crossdock resync --code http-422 --yes
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("found").required(true))]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) consent: Consent,
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

/// A decision about records, with its reason.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) consent: Consent,
    /// Why; goes into the event log. Example: --reason "entered by hand, ticket 4711"
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackListArgs {
    #[command(flatten)]
    pub(crate) filter: Filter,
    #[command(flatten)]
    pub(crate) part: Part,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) consent: Consent,
    /// Why; goes into the event log. Example: --reason "the payment service is back"
    #[arg(long, value_name = "TEXT", value_parser = reason, default_value = "resumed by an operator")]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What it is: source, transformer or destination. Example: crossdock new transformer big-orders --lang rust
    #[arg(value_name = "ROLE")]
    pub(crate) role: Role,
    /// Its name: 1 to 64 of `a-z`, `0-9` and `-`. Example: big-orders
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What it is written in: rust, js (JavaScript or TypeScript) or python. Example: --lang js
    #[arg(long = "lang", value_name = "LANGUAGE")]
    pub(crate) language: Language,
    /// Where its folder is made; here unless told. Example: --in plugins
    #[arg(long = "in", value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The plugin's folder; the current one unless told. Example: crossdock plugin build big-orders
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// The plugin's file, or its folder, in which it was built into `dist`. Example: crossdock plugin test dist/big-orders.wasm
    #[arg(value_name = "PLUGIN")]
    pub(crate) plugin: PathBuf,
    /// The cases: a folder or one file; without it, the folder `cases` beside the plugin or its `dist`. Example: --cases
    /// tests/cases
    #[arg(long, value_name = "DIR")]
    pub(crate) cases: Option<PathBuf>,
    /// Write the smallest input of everything that is found into this folder, as case files. Example: --save found
    #[arg(long, value_name = "DIR")]
    pub(crate) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct WitCheckArgs {
    /// What plugins were built for: a folder of .wit files, or one file. Example: wit/released/0.1.0
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// What the host speaks. Example: crossdock wit check wit/released/0.1.0 wit
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The plugin's file, or its name in the project. Example: crossdock plugin inspect target/plugins/map.wasm
    #[arg(value_name = "PLUGIN")]
    pub(crate) plugin: PathBuf,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["names", "all"])))]
pub(crate) struct ApproveArgs {
    /// The plugins, by their names in `crossdock.toml`. Example: crossdock plugin approve map
    #[arg(value_name = "NAME", value_parser = |text: &str| PluginName::new(text))]
    pub(crate) names: Vec<PluginName>,
    /// All plugins of the project; and those that it does not have any more are taken out of the lock. Example:
    /// crossdock plugin approve --all
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Let them in without showing the difference first. Example: crossdock plugin approve map --yes
    #[arg(long, conflicts_with = "confirm")]
    pub(crate) yes: bool,
    /// Let them in if they are still exactly what was shown with this hash. Example: --confirm 3f9c0d1e2b4a5968
    #[arg(long, value_name = "HASH")]
    pub(crate) confirm: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    /// The plugin's file. Example: dist/orders.wasm
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where to: registry, repository and tag. Example: ghcr.io/acme/orders:1.2.0
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,
    /// Sign it with the private key in this file; without it, a signature beside the file goes along. Example: --sign
    /// acme.key
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// The new file for the private key. Example: acme.key
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The plugin's file. Example: dist/orders.wasm
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file with the private key. Example: --key acme.key
    #[arg(long, value_name = "KEY")]
    pub(crate) key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyPluginArgs {
    /// The plugin's file; its signature is looked for beside it, as FILE.sig. Example: dist/orders.wasm
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// With the key of this publisher of the project. Example: --publisher acme
    #[arg(long, value_name = "NAME", required_unless_present = "key", conflicts_with = "key")]
    pub(crate) publisher: Option<String>,
    /// With this public key. Example: --key ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The route, by the name in its file. Example: orders-to-erp
    #[arg(value_name = "ROUTE", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: RouteName,
    /// The step at which the plugin stands. Example: charge
    #[arg(value_name = "STEP", value_parser = |text: &str| StepName::try_from(text.to_owned()))]
    pub(crate) step: StepName,
    /// Why; goes into the event log. Example: --reason "its author says that the fault came from our data"
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code that an error gave. Example: route-unknown-key
    #[arg(value_name = "CODE")]
    pub(crate) code: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Show what would be removed; remove nothing. Example: crossdock ledger prune --dry-run
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The folder of the backup; it must not exist yet. Example: /backup/crossdock-2026-03-01
    #[arg(value_name = "TO")]
    pub(crate) to: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArg {
    /// The folder of the backup. Example: /backup/crossdock-2026-03-01
    #[arg(value_name = "DIR")]
    pub(crate) backup: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The folder of the backup, which stays as it is. Example: /backup/crossdock-2026-03-01
    #[arg(value_name = "DIR")]
    pub(crate) backup: PathBuf,
    /// Put the ledger that is there aside, into a folder of the data folder. Example: crossdock ledger restore b --replace
    #[arg(long)]
    pub(crate) replace: bool,
}
