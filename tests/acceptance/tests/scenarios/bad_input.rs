//! What cannot work: refused with place and remedy, before anything is written or sent.

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::{Lines, Shop};
use serde_json::json;
use std::fs;
use std::time::Duration;

const ROUTE: &str = "routes/cdnow.toml";

/// Breaks something, runs the route, and expects exit code 2, a message with these parts, no ledger and no request.
#[track_caller]
fn check(what: &str, damage: impl Fn(&Shop) -> Result<()>, parts: &[&str]) {
    check_command(what, damage, &["run", ROUTE], parts);
}

#[track_caller]
fn check_command(what: &str, damage: impl Fn(&Shop) -> Result<()>, command: &[&str], parts: &[&str]) {
    let refused = || -> Result<_> {
        let shop = Shop::open(Lines::First(10))?;
        damage(&shop)?;
        let text = fs::read_to_string(shop.path(ROUTE))?;
        let outcome = shop.crossdock(command)?;
        ensure!(!shop.has_ledger(), "a ledger was made\n{}", outcome.all());
        ensure!(shop.books()?.posts(None).is_empty(), "something was sent\n{}", outcome.all());
        Ok((outcome, text))
    };
    match refused() {
        Ok((outcome, text)) => {
            eprintln!("{what}\n{}", outcome.all());
            let parts: Vec<String> = parts.iter().map(|part| place(&text, part)).collect();
            let _ = outcome.exits(2).says(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// `@BEGINNING` is the place of the first line of the route that begins like this.
fn place(route: &str, part: &str) -> String {
    let Some(beginning) = part.strip_prefix('@') else { return part.to_owned() };
    let line = route.lines().position(|line| line.starts_with(beginning)).expect(beginning);
    format!("{ROUTE}:{}:", line + 1)
}

#[test]
fn files_that_are_missing() {
    let nothing = |_: &Shop| Ok(());
    check_command(
        "route",
        nothing,
        &["run", "routes/none.toml"],
        &["host-file-unreadable", "routes/none.toml", "Check the path"],
    );
    check_command(
        "route to check",
        nothing,
        &["check", "routes/none.toml"],
        &["host-file-unreadable", "routes/none.toml"],
    );
    let no_project = |shop: &Shop| Ok(fs::remove_file(shop.path("crossdock.toml"))?);
    check("project", no_project, &["host-no-project", "crossdock.toml"]);
    let no_plugin = |shop: &Shop| Ok(fs::remove_file(shop.path("plugins/map.wasm"))?);
    check("plugin", no_plugin, &["plugin-not-found", r#"@plugin = "map"#, "plugins/map.wasm"]);
    let no_folder = |shop: &Shop| Ok(fs::remove_dir_all(shop.path("data"))?);
    check(
        "granted folder",
        no_folder,
        &["route-missing-grant", "@grants = { dirs", "is not a directory", "make the directory"],
    );
}

#[test]
fn mistakes_in_the_route() {
    let edit = |from: &'static str, to: &'static str| move |shop: &Shop| shop.edit_route(from, to);
    check("key", edit("on_error", "on_eror"), &["config-unknown-key", "@on_eror", "on_eror", "^^^^^^^", "on_error"]);
    check("value", edit("\"continue\"", "\"contine\""), &["config-bad-value", "@on_error", "continue"]);
    check("syntax", edit("[source]", "[source"), &["config-syntax", "@[source"]);
    check(
        "plugin",
        edit("plugin = \"map\"", "plugin = \"mapp\""),
        &["route-unknown-plugin", r#"@plugin = "map"#, "did you mean `map`"],
    );
    check(
        "role",
        edit("plugin = \"map\"", "plugin = \"text-source\""),
        &["route-wrong-role", "`text-source` is a source", "[source]"],
    );
    check("setting", edit("in_flight = 4", "in_flght = 4"), &["route-settings", "in_flght", "^^^^^^^^", "in_flight"]);
    check(
        "type",
        edit("in_flight = 4", "in_flight = \"four\""),
        &["route-settings", "in_flight", "\"four\"", "^^^^^^", "plugin inspect"],
    );
    check("meaning", edit("path = \"/documents\"", "path = \"/documents/{{ nonsense }}\""), &["nonsense", "^^^^"]);
    // A destination that cannot recognise what it has must not be asked twice.
    let unsafe_retry = |shop: &Shop| {
        shop.replace_line("idempotency_header", "")?;
        shop.replace_line("probe", "")
    };
    check("dangerous", unsafe_retry, &["route-unsafe-retry", "attempts = 1", "^"]);
    // All mistakes at once.
    let two = |shop: &Shop| {
        shop.edit_route("on_error", "on_eror")?;
        shop.edit_route("retry = {", "retri = {")
    };
    check("two", two, &["@on_eror", "@retri = "]);
    let two = |shop: &Shop| {
        shop.edit_route("in_flight = 4", "in_flight = \"four\"")?;
        shop.edit_route("type = \"integer\"", "type = \"entier\"")
    };
    check("two of different plugins", two, &["\"four\"", "entier"]);
    check(
        "project",
        |shop| shop.replace("crossdock.toml", "[plugins]", "[plugin]"),
        &["crossdock.toml", "[plugin", "plugins"],
    );
}

#[test]
fn grants_that_are_missing() {
    check(
        "none",
        |shop| shop.replace_line("grants = { http", ""),
        &["route-missing-grant", "http-destination", "grants = { http"],
    );
    check(
        "no folder",
        |shop| shop.replace_line("grants = { dirs", ""),
        &["route-missing-grant", "text-source", "dirs"],
    );
    let secret = |shop: &Shop| shop.edit_route("in_flight = 4", "in_flight = 4\nauth = { bearer = \"ERP_TOKEN\" }");
    check("secret", secret, &["ERP_TOKEN", "grant"]);
    let unknown = |shop: &Shop| {
        let line = format!("grants = {{ http = [\"{}\"], secrets = [\"ERP_TOKEN\"] }}", shop.erp_url());
        shop.replace_line("grants = { http", &line)
    };
    check("unknown secret", unknown, &["route-unknown-secret", "ERP_TOKEN", "[secrets]", "crossdock.toml"]);
}

/// Granted directories, and what of the host's own a plugin would reach through them.
#[test]
fn grants_that_reach_the_hosts_own_files() {
    let own = |what: &str, grant: &'static str, part: &str| {
        let damage = move |shop: &Shop| {
            fs::create_dir_all(shop.path("keys"))?;
            fs::write(shop.path("keys/token"), "canary-1")?;
            std::os::unix::fs::symlink("../keys", shop.path("data/link"))?;
            shop.replace("crossdock.toml", "[plugins]", "[secrets]\nTOKEN = { file = \"keys/token\" }\n\n[plugins]")?;
            shop.replace_line("grants = { dirs", &format!("grants = {{ dirs = [{grant}] }}"))
        };
        check(what, damage, &["grant-own-files", "@grants = { dirs", part]);
    };
    own("the project", r#"{ host = ".", guest = "/in" }"#, "the data folder");
    own("a secret", r#"{ host = "keys", guest = "/in" }"#, "secret TOKEN");
    own("a secret, through a link", r#"{ host = "data/link", guest = "/in" }"#, "secret TOKEN");
    own("routes", r#"{ host = "routes", guest = "/in", write = true }"#, "the folder of routes");
    own("plugins", r#"{ host = "plugins", guest = "/in", write = true }"#, "the file of plugin");
}

#[test]
fn secrets_that_may_not_go_there() {
    let secret = |to: &'static str, addresses: &'static str| {
        move |shop: &Shop| {
            let secrets = format!("[secrets]\nERP_TOKEN = {{ env = \"HOME\"{to} }}\n\n[plugins]\n");
            shop.replace("crossdock.toml", "[plugins]\n", &secrets)?;
            let line = format!("grants = {{ http = [\"{}\"{addresses}], secrets = [\"ERP_TOKEN\"] }}", shop.erp_url());
            shop.replace_line("grants = { http", &line)
        }
    };
    let several = secret("", ", \"https://pay.example.com\"");
    check("several", several, &["route-secret-destination", "@grants = { http", "several origins", "^^^", "to = ["]);
    let others = secret(", to = [\"https://pay.example.com\"]", "");
    check("others", others, &["route-secret-destination", "@grants = { http", "grant https://pay.example.com"]);
    let ranges = secret("", ", { origin = \"https://erp.corp.example\", addresses = [\"10.1.2.3/16\"] }");
    check("ranges", ranges, &["config-bad-value", "@grants = { http", "10.1.0.0/16"]);
    let certificates = |shop: &Shop| {
        shop.replace("crossdock.toml", "[plugins]\n", "[network]\ncertificates = [\"ca.pem\"]\n\n[plugins]\n")
    };
    check("certificates", certificates, &["host-certificates", "ca.pem", "[network] certificates"]);
}

/// Only the request itself shows that another address was meant; nothing is sent, and nothing held against the records.
#[test]
fn a_grant_for_another_address() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    let granted = format!("grants = {{ http = [\"{}\"] }}", shop.erp_url());
    shop.replace_line("grants = { http", "grants = { http = [\"https://erp.example.com\"] }")?;
    let _ = shop.run()?.exits(2).says(&["http-not-granted", &shop.erp_url()]);
    let _ = shop.crossdock(&["connectors", "check", ROUTE])?.exits(3).says(&["http-not-granted", "book"]);
    assert!(shop.books()?.posts(None).is_empty());
    assert!(shop.ids("failed")?.is_empty());
    shop.replace_line("grants = { http", &granted)?;
    let _ = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

#[test]
fn files_that_are_no_plugins() {
    let write = |bytes: &'static [u8]| move |shop: &Shop| shop.write("plugins/map.wasm", bytes);
    check("text", write(b"hello"), &["plugin-not-wasm", r#"@plugin = "map"#, "hello"]);
    check("nothing", write(b""), &["plugin-not-wasm", "empty"]);
    check("core module", write(b"\0asm\x01\0\0\0"), &["plugin-core-module", r#"@plugin = "map"#, "wasm32-wasip2"]);
    check("component", write(b"\0asm\x0d\0\x01\0"), &["plugin-contract-version", "crossdock:contract", "0.1.0"]);
    let cut_short = |shop: &Shop| {
        let bytes = fs::read(shop.path("plugins/map.wasm"))?;
        shop.write("plugins/map.wasm", &bytes[..bytes.len() / 2])
    };
    check("cut short", cut_short, &["plugin-damaged", r#"@plugin = "map"#]);
    check("another contract", another_contract, &["plugin-contract-version", "version 0.2.0", "version 0.1.0"]);
    let inspect = ["plugin", "inspect", "plugins/map.wasm"];
    check_command("inspected", another_contract, &inspect, &["plugin-contract-version", "0.2.0"]);
    let pinned = |shop: &Shop| {
        let digest = format!("digest = \"sha256:{}\"", "0".repeat(64));
        shop.replace("crossdock.toml", "plugins/map.wasm\"", &format!("plugins/map.wasm\", {digest}"))
    };
    check("another file than pinned", pinned, &["plugin-digest", r#"@plugin = "map"#, "sha256:"]);
}

/// The same component, built for a later version of the contract.
fn another_contract(shop: &Shop) -> Result<()> {
    patch(shop, "plugins/map.wasm", b"crossdock:contract0.1.0", b"crossdock:contract0.2.0")
}

/// Replaces bytes that stand once in a file.
fn patch(shop: &Shop, file: &str, from: &[u8], to: &[u8]) -> Result<()> {
    let mut bytes = fs::read(shop.path(file)).with_context(|| format!("reading {file}"))?;
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    ensure!(places.len() == 1, "{:?} stands {} times in {file}", from.escape_ascii().to_string(), places.len());
    bytes[places[0]..places[0] + to.len()].copy_from_slice(to);
    shop.write(file, bytes)
}

#[test]
fn no_data() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    fs::rename(shop.path("data/CDNOW_sample.txt"), shop.path("elsewhere.txt"))?;
    let _ = shop.run()?.exits(3).says(&["no-file", "/in/CDNOW_sample.txt", "put it there"]);
    assert!(shop.books()?.posts(None).is_empty());
    assert!(!shop.has_ledger(), "a ledger was made");
    fs::rename(shop.path("elsewhere.txt"), shop.path("data/CDNOW_sample.txt"))?;
    let _ = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

#[test]
fn a_line_that_does_not_parse_is_rejected_with_its_number() -> Result<()> {
    let shop = Shop::open(Lines::First(30))?;
    let file = "data/CDNOW_sample.txt";
    let text = fs::read_to_string(shop.path(file))?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines[9] = "one word too few";
    lines[19] = " 00111 0006 19980118  many   84.46";
    shop.write(file, lines.join("\r\n") + "\r\n")?;
    let (broken, unfit) = (&shop.purchases()[9].id, &shop.purchases()[19].id);

    let run = shop.run_json()?.exits(4).json()?;
    assert_eq!((&run["status"], &run["counts"]["rejected"]), (&json!("completed-with-failures"), &json!(2)));
    shop.books()?.hold(shop.worthwhile().filter(|purchase| ![broken, unfit].contains(&&purchase.id)));
    let rejected = shop.records(&["--status", "rejected"])?;
    let find = |id: &str| rejected.iter().find(|record| record["id"] == id).with_context(|| format!("{rejected:?}"));
    let by_source = find("CDNOW_sample.txt:10")?;
    assert_eq!((&by_source["step"], &by_source["code"]), (&json!("source"), &json!("wrong-number-of-fields")));
    let by_map = find(unfit)?;
    assert_eq!(by_map["step"], "shape");
    let _ = shop.crossdock(&["record", "CDNOW_sample.txt:10"])?.exits(0).says(&["one word too few", "line 10"]);
    let _ = shop.crossdock(&["record", unfit])?.exits(0).says(&["/cds", "many"]);
    shop.verify()
}

#[test]
fn a_data_folder_that_another_process_uses() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    shop.faults(&json!([{ "delay_ms": 100_000 }]))?;
    let mut first = shop.start(&["run", ROUTE])?;
    // All that the route sends at once (`in_flight = 4`): nothing follows until these are answered.
    assert!(shop.until_met(&mut first, 4)?, "the first run ended");
    let seen = 4;
    let in_the_books = (0..1_000).any(|_| shop.books().is_ok_and(|books| books.posts(None).len() == seen));
    assert!(in_the_books, "the ERP met {seen} requests and did not write them down");
    let second = shop.run()?.exits(3).says(&["ledger-in-use", ".crossdock", &first.id().to_string(), "--data"]);
    assert!(!second.stdout.contains("read"), "{}", second.all());
    // Reports need no lock.
    let _ = shop.crossdock(&["records"])?.exits(0);
    let _ = shop.crossdock(&["runs"])?.exits(0).says(&["running"]);
    assert_eq!(shop.books()?.posts(None).len(), seen, "the second run sent something");
    assert!(first.kill()?, "the first run was disturbed");
    // The lock ends with its process.
    shop.lift_faults()?;
    let _ = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}

#[test]
fn a_ledger_of_a_newer_version() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    let _ = shop.run()?.exits(0);
    let requests = shop.books()?.posts(None).len();
    patch(&shop, ".crossdock/ledger.db", b"format2", b"format3")?;
    let before = fs::read(shop.path(".crossdock/ledger.db"))?;
    for command in [vec!["run", ROUTE], vec!["records"], vec!["verify"], vec!["resync", "--status", "failed"]] {
        let _ = shop.crossdock(&command)?.exits(2).says(&["ledger-newer-version", ".crossdock", "later"]);
    }
    assert!(fs::read(shop.path(".crossdock/ledger.db"))? == before, "the ledger was changed");
    assert_eq!(shop.books()?.posts(None).len(), requests);
    patch(&shop, ".crossdock/ledger.db", b"format3", b"format2")?;
    shop.verify()
}

#[test]
fn commands_that_are_typed_wrong() -> Result<()> {
    let shop = Shop::open(Lines::First(10))?;
    for (command, parts) in [
        (vec!["runn"], vec!["runn", "run"]),
        (vec!["records", "--status", "faild"], vec!["faild", "failed"]),
        (vec!["records"], vec!["ledger-missing", "Run a route first"]),
        (vec!["explain", "no-such-code"], vec!["no-such-code"]),
    ] {
        let _ = shop.crossdock(&command)?.exits(2).says(&parts);
    }
    assert!(!shop.has_ledger());
    let mut run = shop.start(&["run", ROUTE])?;
    while !run.ends_within(Duration::from_secs(1)) {}
    let _ = run.finish()?.exits(0);
    let _ = shop.crossdock(&["record", "none"])?.exits(2).says(&["none"]);
    Ok(())
}
