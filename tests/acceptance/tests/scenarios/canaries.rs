//! Plugins and a server that tell every secret in every way they can. None of it comes out of any command.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Outcome, Shop};
use crossdock_devkit::HostileServer;
use serde_json::Value;

#[path = "../../../guests/leaks.rs"]
mod leaks;

const TOKEN: &str = "tok-5EcReT-9f8e7d6c5b4a";
const PASSWORD: &str = "S3cr3t/Pass+word 99==";
const QUOTED: &str = "kän\"gu\\ru 50%/<b>+&'x";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQC7VJTU\n\
                   t9Us8cKjMzEfYyjiWA4R4/M2bS1G\n-----END PRIVATE KEY-----";
/// What the project's secrets are granted for: everything.
const GRANTS: &str = "secrets = [\"TOKEN\", \"PASSWORD\", \"KEY\", \"QUOTED\"], \
                      reveal = [\"TOKEN\", \"PASSWORD\", \"KEY\", \"QUOTED\"]";
const WAYS: [&str; 7] = ["rejected", "code", "unknown", "echoed", "panic", "exit", "nothing"];

/// A project that is about to tell everything.
struct Leaky {
    shop: Shop,
    needles: Vec<(String, String)>,
}

impl Leaky {
    fn open(server: &HostileServer) -> Result<Self> {
        let mut shop = Shop::open(Lines::First(1))?;
        shop.add_guest("guest-leaker")?;
        shop.add_guest("guest-transformer")?;
        shop.replace(
            "crossdock.toml",
            "[plugins]\n",
            "[secrets]\nTOKEN = { env = \"CANARY_TOKEN\" }\nPASSWORD = { file = \"keys/password\" }\n\
             KEY = { file = \"keys/key\" }\nQUOTED = { env = \"CANARY_QUOTED\" }\n\n[plugins]\n",
        )?;
        shop.set_environment("CANARY_TOKEN", TOKEN);
        shop.set_environment("CANARY_QUOTED", QUOTED);
        shop.write("keys/password", format!("{PASSWORD}\n"))?;
        shop.write("keys/key", format!("{KEY}\n"))?;
        let lines = WAYS.iter().enumerate().map(|(n, way)| format!("r{n},way-{way}\n"));
        shop.write("data/ways.csv", format!("id,way\n{}", lines.collect::<String>()))?;
        shop.write("data/ids.csv", format!("id,way\n{TOKEN},way-nothing\n"))?;
        let leaker = |name: &str, settings: &str| {
            format!(
                "[[step]]\nname = \"{name}\"\nplugin = \"guest-leaker\"\nsettings = {{ misbehave = \"{settings}\" }}\n\
                 grants = {{ http = [\"{}\"], {GRANTS} }}\nretry = {{ attempts = 1 }}\n",
                server.url()
            )
        };
        let handler = format!("on_failure = {{ plugin = \"guest-leaker\", grants = {{ {GRANTS} }} }}\n");
        let steps = format!(
            "[[step]]\nname = \"mark\"\nplugin = \"guest-transformer\"\nsettings = {{ misbehave = \"leak\" }}\n\
             grants = {{ {GRANTS} }}\n\n{}\n{}{handler}",
            leaker("first", "always-ok"),
            leaker("second", &server.url()),
        );
        let route = |name: &str, file: &str, steps: &str| {
            format!(
                "name = \"{name}\"\non_error = \"continue\"\nlog = \"full\"\nrollback = \"record\"\nmax_faults = 50\n\
                 batch = {{ records = 1 }}\n\n[source]\nplugin = \"text-source\"\n\
                 settings = {{ files = \"/in/{file}\", format = \"csv\", id = [\"id\"] }}\n\
                 grants = {{ dirs = [{{ host = \"data\", guest = \"/in\" }}] }}\n\n{steps}"
            )
        };
        shop.write("routes/leaks.toml", route("leaks", "ways.csv", &steps))?;
        shop.write("routes/ids.toml", route("ids", "ids.csv", &leaker("second", "always-ok")))?;
        shop.write("routes/settings.toml", route("settings", "ways.csv", &leaker("second", "refuse-settings")))?;
        shop.write("routes/check.toml", route("check", "ways.csv", &leaker("second", "refuse-check")))?;
        // An operator who writes a secret where it does not belong, and makes a mistake in the same line.
        let pasted = format!("ways.csv\", format = \"{TOKEN}");
        shop.write("routes/pasted.toml", route("pasted", &pasted, &leaker("second", "always-ok")))?;
        let secrets = [("TOKEN", TOKEN), ("PASSWORD", PASSWORD), ("KEY", KEY), ("QUOTED", QUOTED)];
        let lines = KEY.lines().filter(|line| !line.starts_with("-----")).map(|line| ("KEY", line));
        let forms = secrets.into_iter().chain(lines).flat_map(|(name, value)| {
            leaks::forms(value).into_iter().map(move |(way, form)| (format!("{name}, {way}"), form))
        });
        Ok(Self { needles: forms.collect(), shop })
    }

    /// What a command says, without a secret in it; a document if that is asked for.
    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> Result<Outcome> {
        let outcome = self.shop.crossdock(arguments)?;
        self.holds_none(&outcome);
        if arguments.contains(&"--json") {
            let said = if outcome.stdout.is_empty() { &outcome.stderr } else { &outcome.stdout };
            let _: Value = serde_json::from_str(said).with_context(|| format!("not JSON\n{}", outcome.all()))?;
        }
        Ok(outcome)
    }

    /// The same as text, as JSON and with everything that can be traced.
    #[track_caller]
    fn ask_all(&self, arguments: &[&str]) -> Result<Outcome> {
        let _ = self.ask(&[arguments, &["-v", "-v", "-v"]].concat())?;
        let _ = self.ask(&[arguments, &["--json"]].concat())?;
        self.ask(arguments)
    }

    #[track_caller]
    fn holds_none(&self, outcome: &Outcome) {
        for said in [&outcome.stdout, &outcome.stderr] {
            for (name, form) in &self.needles {
                let Some(at) = said.find(form.as_str()) else { continue };
                let from = said.floor_char_boundary(at.saturating_sub(300));
                panic!("{name} is in what {} says:\n…{}…", outcome.shown, &said[from..at + form.len()]);
            }
            let raw = said.chars().find(|c| c.is_control() && !"\n\r\t\u{1b}".contains(*c));
            assert_eq!(raw, None, "{}", outcome.shown);
        }
    }
}

#[test]
fn no_secret_comes_out_of_any_command() -> Result<()> {
    let server = HostileServer::start()?;
    let leaky = Leaky::open(&server)?;
    let ask = |line: &str| leaky.ask_all(&line.split(' ').collect::<Vec<_>>());

    let _ = ask("check routes/leaks.toml")?.exits(0);
    let _ = ask("check routes/settings.toml")?.exits(2).says(&["[secret TOKEN]"]);
    let _ = ask("check routes/pasted.toml")?.exits(2).says(&["[secret TOKEN]"]);
    let _ = ask("connectors check routes/check.toml")?.says(&["[secret TOKEN]"]);
    let _ = ask("plugin inspect plugins/guest-leaker.wasm")?.exits(0);
    // An id stays as it is wherever it is kept, so this one is not taken at all.
    let _ = ask("run routes/ids.toml")?.says(&["the id of record 0 holds the secret TOKEN"]);

    let traced = leaky.ask(&["run", "routes/leaks.toml", "-v", "-v", "-v"])?;
    let _ = traced.says(&[
        "crossdock::plugin",
        "[secret TOKEN]",
        "[secret PASSWORD]",
        "[secret KEY]",
        "[secret QUOTED]",
        "log messages",
    ]);
    assert!(server.seen().iter().any(|seen| seen.header("authorization") == Some(&format!("Bearer {TOKEN}"))));
    let _ = leaky.ask(&["run", "routes/leaks.toml"])?;
    let _ = leaky.ask(&["run", "routes/leaks.toml", "--json"])?;

    for line in [
        "report",
        "failures",
        "failures --csv -",
        "records",
        "records --groups",
        "records --csv -",
        "runs",
        "events",
        "events --oldest-first --limit 10000",
        "rollback list",
        "verify",
        "resync --route leaks --status failed,rejected,indeterminate --plan --all",
        "resync --route leaks --status failed,rejected,indeterminate --recorded",
        "ledger prune --dry-run",
        "explain fault-trap",
    ] {
        // CSV is not for programs that want JSON.
        let _ = if line.contains("--csv") { leaky.ask(&line.split(' ').collect::<Vec<_>>())? } else { ask(line)? };
    }
    for (n, way) in WAYS.iter().enumerate() {
        let page = ask(&format!("record r{n} --route leaks"))?.exits(0);
        let page = page.says(&["[secret TOKEN]"]);
        if *way != "nothing" {
            // Its content holds them all; so something was there to be taken out.
            let _ = page.says(&["[secret PASSWORD]", "[secret KEY]"]);
        }
        let document = leaky.ask(&["record", &format!("r{n}"), "--route", "leaks", "--json"])?.json()?;
        assert!(document.to_string().contains("[secret QUOTED]"), "{way}");
    }

    // What a person says is kept as well.
    let reason = format!("the token is {TOKEN}");
    let _ = leaky.ask(&["skip", "--route", "leaks", "--record", "r0", "--reason", &reason, "--yes"])?;
    let _ =
        leaky.ask(&["rollback", "mark-done", "--route", "leaks", "--record", "r1", "--reason", &reason, "--yes"])?;
    for line in ["probe", "resolve --applied --reason seen", "cancel --reason enough", "rollback resume --reason again"]
    {
        let words: Vec<&str> = line.split(' ').collect();
        let _ = leaky.ask(&[words.as_slice(), &["--route", "leaks", "--yes"]].concat())?;
        let _ = leaky.ask(&[words.as_slice(), &["--route", "leaks", "--yes", "--json"]].concat())?;
    }
    leaky.shop.write("edited.json", format!("{{\"id\":\"r2\",\"way\":\"way-rejected {TOKEN}\"}}"))?;
    let edit = ["resync", "--route", "leaks", "--record", "r2", "--edit", "edited.json"];
    let _ = leaky.ask(&[&edit[..], &["--plan"]].concat())?;
    let _ = leaky.ask(&[&edit[..], &["--yes", "--json"]].concat())?;
    for line in ["events --limit 10000", "report", "record r2 --route leaks", "rollback list"] {
        let _ = ask(line)?;
    }
    let _ = leaky.ask(&["ledger", "backup", "backup"])?.exits(0);
    let _ = ask("ledger verify-backup backup")?.exits(0);
    let _ = leaky.ask(&["ledger", "restore", "backup", "--replace", "--json"])?.exits(0);
    let _ = leaky.ask(&["ledger", "prune", "--json"])?;
    // From here on nobody knows them; that there is something to be found at all is seen by what is found now.
    leaky.shop.replace("crossdock.toml", "TOKEN = { env = \"CANARY_TOKEN\" }", "TOKEN = { env = \"CANARY_NONE\" }")?;
    let shown = leaky.shop.crossdock(&["record", "r6", "--route", "leaks", "--json"])?.exits(0);
    assert!(shown.stdout.contains(TOKEN), "the test has nothing to look for\n{}", shown.all());
    Ok(())
}

/// What was kept while nobody knew that it is a secret: an id, a target id, content, and what an operator said.
#[test]
fn a_secret_that_becomes_known_later_is_not_shown_from_then_on() -> Result<()> {
    let server = HostileServer::start()?;
    let leaky = Leaky::open(&server)?;
    let (known, unknown) = ("TOKEN = { env = \"CANARY_TOKEN\" }", "TOKEN = { env = \"CANARY_NONE\" }");
    leaky.shop.replace("crossdock.toml", known, unknown)?;
    let _ = leaky.shop.crossdock(&["run", "routes/ids.toml"])?.exits(0);
    assert!(leaky.shop.crossdock(&["records"])?.exits(0).stdout.contains(TOKEN));
    leaky.shop.replace("crossdock.toml", unknown, known)?;
    for line in ["records", "record TOKEN", "report", "runs", "events", "verify", "skip --record TOKEN --reason why"] {
        let line = line.replace("TOKEN", TOKEN);
        let _ = leaky.ask_all(&line.split(' ').collect::<Vec<_>>())?;
    }
    let _ = leaky.ask(&["records"])?.says(&["[secret TOKEN]"]);
    let _ = leaky.ask(&["records", "--csv", "-"])?.says(&["[secret TOKEN]"]);
    let document = leaky.ask(&["records", "--json"])?.json()?;
    assert_eq!(document["records"][0]["id"], "[secret TOKEN]");
    Ok(())
}
