//! Plugins from elsewhere, through the command line: from a real registry and from a server, signed and not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::{Lines, Shop};
use crossdock_devkit::{OciRegistry, REGISTRY_PASSWORD, REGISTRY_USER};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

const ROUTE: &str = "routes/cdnow.toml";
const LOCK: &str = "crossdock.lock";
const MAP: &str = "plugins/map.wasm";
const STORE: &str = ".crossdock/plugins";

/// A shop whose `map` comes from elsewhere and is no longer in its own folder; and the bytes of it.
fn without_map(entry: &str, more: &str) -> Result<(Shop, Vec<u8>)> {
    let shop = Shop::open(Lines::First(10))?;
    let bytes = fs::read(shop.path(MAP))?;
    fs::rename(shop.path(MAP), shop.path("map.wasm"))?;
    shop.replace("crossdock.toml", "map = { path = \"plugins/map.wasm\" }", &format!("map = {{ {entry} }}"))?;
    shop.write("crossdock.toml", format!("{}\n{more}", shop.text("crossdock.toml")?))?;
    Ok((shop, bytes))
}

/// Another file that does the same: with a section that nobody reads.
fn other(bytes: &[u8], mark: u8) -> Vec<u8> {
    [bytes, &[0, 2, 1, mark]].concat()
}

/// The digest of a file, as `plugin inspect` shows it.
fn sha256(shop: &Shop, file: &str) -> Result<String> {
    let inspected = shop.json(&["plugin", "inspect", file])?;
    Ok(inspected["digest"].as_str().context("no digest")?.to_owned())
}

/// A new key in a file, and its public half.
fn key(shop: &Shop, file: &str) -> Result<String> {
    let made = shop.json(&["plugin", "keygen", file])?;
    Ok(made["public_key"].as_str().context("no key")?.to_owned())
}

fn publisher(public: &str) -> String {
    format!("[publishers]\nacme = {{ key = {public:?} }}\n")
}

/// The run is refused with this code and exit code; nothing is sent.
#[track_caller]
fn refused(shop: &Shop, exit: i32, code: &str, parts: &[&str]) -> Result<()> {
    let posts = shop.books()?.posts(None).len();
    let _ = shop.run()?.exits(exit).says(&[code]).says(parts);
    ensure!(shop.books()?.posts(None).len() == posts, "something was sent");
    let _ = shop.crossdock(&["explain", code])?.exits(0).says(&["Cause", "What to check", "What to do"]);
    Ok(())
}

#[test]
fn a_route_runs_with_a_plugin_from_a_registry_and_goes_on_without_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(registry) = OciRegistry::start(folder.path(), false)? else { return Ok(()) };
    let reference = format!("{}/acme/map:0.1.0", registry.host());
    let (shop, bytes) = without_map(&format!("oci = {reference:?}"), "")?;
    let digest = sha256(&shop, "map.wasm")?;
    refused(&shop, 2, "registry-not-found", &[&reference, "404"])?;
    let pushed = shop.crossdock(&["plugin", "push", "map.wasm", &reference])?.exits(0);
    let _ = pushed.says(&[&digest, "map 0.1.0", "nobody", "In a project:"]);

    // With --locked nothing is fetched that is not in the lock.
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(2).says(&["plugin-not-locked", &reference]);
    let _ = shop.crossdock(&["--locked", "plugin", "pull"])?.exits(2).says(&["plugin-not-locked"]);
    ensure!(!shop.path(STORE).exists() && !shop.path(LOCK).exists(), "something was fetched");
    let _ = shop.crossdock(&["plugin", "list"])?.exits(0).says(&["not-fetched", &reference, "plugin pull"]);

    let _ = shop.run()?.exits(0);
    let lock = shop.text(LOCK)?;
    ensure!(lock.contains(&format!("from = {reference:?}\nsha256 = {digest:?}")), "{lock}");
    let _ = shop.crossdock(&["plugin", "list"])?.exits(0).says(&["locked", &reference]);
    shop.books()?.hold(shop.worthwhile());

    // The tag is given to another file: what was fetched goes on, and on a new machine the other one is refused.
    shop.write("other.wasm", other(&bytes, b'x'))?;
    let moved = sha256(&shop, "other.wasm")?;
    let _ = shop.crossdock(&["plugin", "push", "other.wasm", &reference])?.exits(0);
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);
    fs::remove_dir_all(shop.path(STORE))?;
    refused(&shop, 2, "registry-digest", &[&digest, &moved, &reference])?;
    let _ = shop.crossdock(&["plugin", "approve", "map"])?.exits(5).says(&[&digest, &moved, &reference]);
    let _ = shop.crossdock(&["plugin", "approve", "map", "--yes"])?.exits(0);
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);

    // With the registry gone it runs again, from what was fetched; what was damaged there is not believed.
    drop(registry);
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);
    let _ = shop.crossdock(&["plugin", "pull"])?.exits(0).says(&["was here", &reference]);
    let kept = shop.path(&format!("{STORE}/sha256-{moved}.wasm"));
    fs::write(&kept, other(&bytes, b'y'))?;
    refused(&shop, 3, "registry-unreachable", &["looking for", &reference])?;
    fs::write(&kept, other(&bytes, b'x'))?;
    let _ = shop.run()?.exits(0);
    // Another reference is another plugin, even if this one is here.
    shop.replace("crossdock.toml", "map:0.1.0", "map:0.2.0")?;
    refused(&shop, 2, "plugin-changed", &["map:0.1.0", "map:0.2.0", "plugin approve map"])?;
    shop.verify()
}

#[test]
fn what_was_pulled_needs_no_network() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(registry) = OciRegistry::start(folder.path(), false)? else { return Ok(()) };
    let reference = format!("{}/acme/map:0.1.0", registry.host());
    let (shop, _) = without_map(&format!("oci = {reference:?}"), "")?;
    let _ = shop.crossdock(&["plugin", "push", "map.wasm", &reference])?.exits(0);
    let pulled = shop.json(&["plugin", "pull"])?;
    let map = pulled["plugins"].as_array().context("no plugins")?.iter().find(|plugin| plugin["name"] == "map");
    ensure!(map.context("no map")?["fetched"] == true, "{pulled}");
    ensure!(pulled["added_to_lock"].as_array().is_some_and(|added| added.len() == 3), "{pulled}");
    drop(registry);
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);
    let _ = shop.crossdock(&["--locked", "plugin", "pull"])?.exits(0).says(&["was here"]);
    shop.books()?.hold(shop.worthwhile());
    Ok(())
}

#[test]
fn only_what_its_publisher_signed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(registry) = OciRegistry::start(folder.path(), false)? else { return Ok(()) };
    let reference = format!("{}/acme/map:0.1.0", registry.host());
    let (shop, bytes) = without_map(&format!("oci = {reference:?}, publisher = \"acme\""), "")?;
    shop.write("project.toml", shop.text("crossdock.toml")?)?;
    shop.write("crossdock.toml", "")?;
    let (acme, evil) = (key(&shop, "acme.key")?, key(&shop, "evil.key")?);
    shop.write("crossdock.toml", format!("{}{}", shop.text("project.toml")?, publisher(&acme)))?;

    let push = ["plugin", "push", "map.wasm", &reference];
    let _ = shop.crossdock(&push)?.exits(0);
    refused(&shop, 2, "signature-missing", &["com.crossdock.signature", "acme"])?;
    let _ = shop.crossdock(&[&push[..], &["--sign", "evil.key"]].concat())?.exits(0).says(&[&evil]);
    refused(&shop, 2, "signature-other-key", &[&acme, &evil])?;
    ensure!(!shop.path(LOCK).exists(), "something was let in");
    let _ = shop.crossdock(&["plugin", "approve", "map"])?.exits(2).says(&["signature-other-key"]);
    let _ = shop.crossdock(&[&push[..], &["--sign", "acme.key"]].concat())?.exits(0).says(&[&acme]);
    let _ = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());

    // The signature goes along with the file, and with the network gone both are still there.
    let _ = shop.crossdock(&["plugin", "sign", "map.wasm", "--key", "acme.key"])?.exits(0).says(&[&acme]);
    let _ =
        shop.crossdock(&["plugin", "verify", "map.wasm", "--publisher", "acme"])?.exits(0).says(&["signed by acme"]);
    let _ = shop.crossdock(&["plugin", "verify", "map.wasm", "--key", &evil])?.exits(2).says(&["signature-other-key"]);
    let _ = shop.crossdock(&["plugin", "verify", "map.wasm", "--publisher", "nobody"])?.exits(2).says(&["key-public"]);
    let pushed = shop.json(&push)?;
    ensure!(pushed["signed_by"] == acme.as_str(), "{pushed}");
    drop(registry);
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);

    // The file of this machine is held against its signature as well.
    let entry = format!("oci = {reference:?}");
    shop.replace("crossdock.toml", &entry, "path = \"map.wasm\"")?;
    let _ = shop.crossdock(&["plugin", "approve", "map", "--yes"])?.exits(0);
    let _ = shop.run()?.exits(0);
    shop.write("map.wasm", other(&bytes, b'x'))?;
    let _ = shop.crossdock(&["plugin", "approve", "map"])?.exits(2).says(&["signature-wrong", "another file"]);
    let _ = shop.crossdock(&push)?.exits(2).says(&["signature-wrong"]);
    fs::remove_file(shop.path("map.wasm.sig"))?;
    shop.write("map.wasm", &bytes)?;
    refused(&shop, 2, "signature-missing", &["map.wasm.sig"])?;
    let _ = shop.crossdock(&["plugin", "list"])?.exits(5).says(&["unusable", "is not signed"]);
    shop.verify()
}

#[test]
fn credentials_are_used_and_never_shown() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let Some(registry) = OciRegistry::start(folder.path(), true)? else { return Ok(()) };
    let host = registry.host();
    let reference = format!("{host}/acme/map:0.1.0");
    let more = format!(
        "[registries]\n{host:?} = {{ user = {REGISTRY_USER:?}, password = \"REGISTRY\" }}\n\n[secrets]\nREGISTRY = {{ file = \"word\" }}\n"
    );
    let (mut shop, _) = without_map(&format!("oci = {reference:?}"), &more)?;
    shop.set_environment("RUST_LOG", "trace");
    let push = ["plugin", "push", "map.wasm", &reference, "-vv"];
    let _ = shop.crossdock(&push)?.exits(3).says(&["host-secret-unreadable", "REGISTRY"]);
    shop.write("word", "not the right one")?;
    let wrong = shop.crossdock(&push)?.exits(2).says(&["registry-unauthorized", "with these credentials"]);
    ensure!(!wrong.all().contains("not the right one"), "{}", wrong.all());
    shop.write("word", format!("{REGISTRY_PASSWORD}\n"))?;
    let pushed = shop.crossdock(&push)?.exits(0);
    let run = shop.crossdock(&["run", ROUTE, "-vv"])?.exits(0);
    let basic = "YWNtZTpvcGVuIHNlc2FtZSAxMjM0";
    for outcome in [pushed, run] {
        ensure!(!outcome.all().contains(REGISTRY_PASSWORD) && !outcome.all().contains(basic), "{}", outcome.all());
    }
    shop.books()?.hold(shop.worthwhile());

    // Without anything in the project, what `docker login` has written is used.
    let text = shop.text("crossdock.toml")?;
    shop.write("crossdock.toml", text.split("[registries]").next().unwrap())?;
    fs::remove_dir_all(shop.path(STORE))?;
    shop.set_environment("DOCKER_CONFIG", "docker");
    refused(&shop, 2, "registry-unauthorized", &["without credentials", "docker login"])?;
    shop.write("docker/config.json", format!("{{\"auths\":{{{host:?}:{{\"auth\":{basic:?}}}}}}}"))?;
    let _ = shop.run()?.exits(0);
    Ok(())
}

/// The files of a server, by their paths.
type Files = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server that has files, and can be told to have others.
fn serve(files: Files) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let host = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let mut stream = BufReader::new(stream);
            let (mut first, mut line) = (String::new(), String::new());
            let _ = stream.read_line(&mut first);
            while line != "\r\n"
                && matches!(
                    stream.read_line({
                        line.clear();
                        &mut line
                    }),
                    Ok(1..)
                )
            {}
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let found = files.lock().unwrap().iter().find(|(name, _)| *name == path).map(|(_, bytes)| bytes.clone());
            let (status, body) = found.map_or(("404 Not Found", Vec::new()), |bytes| ("200 OK", bytes));
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            let _ = stream.get_mut().write_all(&[head.as_bytes(), &body].concat());
        }
    });
    Ok(host)
}

#[test]
fn a_plugin_from_a_url() -> Result<()> {
    let files = Arc::new(Mutex::new(Vec::new()));
    let set = |name: &str, bytes: &[u8]| {
        let mut files = files.lock().unwrap();
        files.retain(|(there, _)| there != name);
        files.push((name.to_owned(), bytes.to_owned()));
    };
    let host = serve(Arc::clone(&files))?;
    let (shop, bytes) = without_map("path = \"map.wasm\"", "")?;
    let digest = sha256(&shop, "map.wasm")?;
    let public = key(&shop, "acme.key")?;
    let _ = shop.crossdock(&["plugin", "sign", "map.wasm", "--key", "acme.key"])?.exits(0);
    let entry = format!("url = \"http://{host}/p/map.wasm\", digest = \"sha256:{digest}\", publisher = \"acme\"");
    shop.replace("crossdock.toml", "path = \"map.wasm\"", &entry)?;
    shop.write("crossdock.toml", format!("{}{}", shop.text("crossdock.toml")?, publisher(&public)))?;

    refused(&shop, 2, "registry-not-found", &["p/map.wasm", "404"])?;
    set("/p/map.wasm", &other(&bytes, b'x'));
    refused(&shop, 2, "registry-digest", &[&digest])?;
    ensure!(!shop.path(STORE).exists(), "something was kept");
    set("/p/map.wasm", &bytes);
    refused(&shop, 2, "signature-missing", &[".sig"])?;
    set("/p/map.wasm.sig", b"signed, believe me");
    refused(&shop, 2, "signature-wrong", &["damaged"])?;
    set("/p/map.wasm.sig", &fs::read(shop.path("map.wasm.sig"))?);
    let _ = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    // What was fetched and signed needs the server no more.
    files.lock().unwrap().clear();
    let _ = shop.crossdock(&["--locked", "run", ROUTE])?.exits(0);
    let _ = shop.crossdock(&["plugin", "list"])?.exits(0).says(&["locked", &host]);
    // No plugin can be granted what is kept there.
    ensure!(Path::new(&shop.path(STORE)).read_dir()?.count() == 2, "something else is kept");
    shop.verify()
}

#[test]
fn references_that_cannot_be_pushed_to() -> Result<()> {
    let (shop, _) = without_map("path = \"map.wasm\"", "")?;
    let digest = format!("127.0.0.1:1/acme/map@sha256:{}", "0".repeat(64));
    for (reference, part) in [
        ("acme/map:1", "the registry is missing"),
        ("127.0.0.1:1/acme/map", "neither tag nor digest"),
        (digest.as_str(), "the digest comes out"),
    ] {
        let _ = shop.crossdock(&["plugin", "push", "map.wasm", reference])?.exits(2).says(&["push-reference", part]);
    }
    let gone = ["plugin", "push", "map.wasm", "127.0.0.1:1/acme/map:1"];
    let _ = shop.crossdock(&gone)?.exits(3).says(&["registry-unreachable", "127.0.0.1:1"]);
    shop.write("open.key", "")?;
    let open = ["plugin", "sign", "map.wasm", "--key", "open.key"];
    let _ = shop.crossdock(&open)?.exits(2).says(&["key-file", "chmod 600"]);
    let _ = shop.crossdock(&["plugin", "keygen", "open.key"])?.exits(3).says(&["key-unwritable"]);
    Ok(())
}
