//! The ERP wants a token. It is found in nothing that Crossdock says or keeps.

use anyhow::Result;
use crossdock_acceptance::{Lines, Outcome, Shop};
use std::fs;
use std::path::Path;

const TOKEN: &str = "tok-5EcReT-9f8e7d6c5b4a";
const VARIABLE: &str = "SHOP_ERP_TOKEN";

fn shop(secret: &str) -> Result<Shop> {
    let shop = Shop::guarded(Lines::First(30), Some(TOKEN))?;
    shop.edit_route("\n[step.settings]\nbase", "\n[step.settings]\nauth = { bearer = \"ERP_TOKEN\" }\nbase")?;
    shop.replace_line(
        "grants = { http",
        &format!("grants = {{ http = [\"{}\"], secrets = [\"ERP_TOKEN\"] }}", shop.erp_url()),
    )?;
    // Credentials may be replaced while a run waits for that; here nobody will.
    let brief = "breaker = { failures = 3, open = \"20ms\", max = \"50ms\", total = \"200ms\" }";
    shop.edit_route("\n[step.settings]\nauth", &format!("{brief}\n\n[step.settings]\nauth"))?;
    shop.replace("crossdock.toml", "[plugins]\n", &format!("[secrets]\nERP_TOKEN = {secret}\n\n[plugins]\n"))?;
    Ok(shop)
}

/// All commands that show something, and every byte that was kept.
fn appears_nowhere(shop: &Shop, said: &[Outcome]) -> Result<()> {
    let id = shop.purchases()[3].id.clone();
    let mut said = said.to_vec();
    for arguments in [
        vec!["check", "routes/cdnow.toml"],
        vec!["connectors", "check", "routes/cdnow.toml"],
        vec!["records"],
        vec!["record", &id],
        vec!["record", &id, "--json"],
        vec!["events"],
        vec!["runs"],
        vec!["verify"],
    ] {
        said.push(shop.crossdock(&arguments)?);
    }
    for outcome in &said {
        assert!(!outcome.all().contains(TOKEN), "the token is in\n{}", outcome.all());
    }
    let mut files = 0;
    search(&shop.path(".crossdock"), &mut files)?;
    assert!(files >= 3, "only {files} files were searched");
    Ok(())
}

fn search(folder: &Path, files: &mut u32) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            search(&path, files)?;
        } else {
            *files += 1;
            let bytes = fs::read(&path)?;
            let found = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
            assert!(!found, "the token is in {}", path.display());
        }
    }
    Ok(())
}

/// A plugin that is granted two addresses cannot have the secret of one sent to the other.
#[test]
fn bound_to_another_address() -> Result<()> {
    let mut shop = shop(&format!("{{ env = \"{VARIABLE}\", to = [\"https://pay.example.com\"] }}"))?;
    shop.set_environment(VARIABLE, TOKEN);
    let both = format!(
        "grants = {{ http = [\"{}\", \"https://pay.example.com\"], secrets = [\"ERP_TOKEN\"] }}",
        shop.erp_url()
    );
    shop.replace_line("grants = { http", &both)?;
    let refused = shop.run()?.exits(2).says(&["http-not-granted", "ERP_TOKEN is bound to other origins"]);
    assert!(shop.books()?.posts(None).is_empty());
    appears_nowhere(&shop, &[refused])?;

    // Bound to both, it arrives.
    let bound = format!("to = [\"https://pay.example.com\", \"{}\"]", shop.erp_url());
    shop.replace("crossdock.toml", "to = [\"https://pay.example.com\"]", &bound)?;
    let _ = shop.run()?.exits(0);
    Ok(())
}

#[test]
fn from_the_environment() -> Result<()> {
    let mut shop = shop(&format!("{{ env = \"{VARIABLE}\" }}"))?;

    // Not there at all: nothing is done, and the name is said.
    let missing = shop.run()?.exits(2).says(&["ERP_TOKEN", VARIABLE]);
    assert!(!shop.has_ledger());
    assert!(shop.books()?.posts(None).is_empty());

    // A wrong one: the run stops, and nothing is held against the records.
    shop.set_environment(VARIABLE, "tok-of-somebody-else");
    let wrong = shop.run()?.exits(3).says(&["connector-unauthorized"]);
    assert_eq!(shop.ids("failed")?, [""; 0]);
    assert_eq!(shop.books()?.references().count(), 0);
    shop.verify()?;

    shop.set_environment(VARIABLE, TOKEN);
    let right = shop.crossdock(&["-v", "-v", "run", "routes/cdnow.toml"])?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()?;
    appears_nowhere(&shop, &[missing, wrong, right])
}

#[test]
fn from_a_file() -> Result<()> {
    let shop = shop("{ file = \"keys/erp\" }")?;
    shop.write("keys/erp", format!("{TOKEN}\n"))?;
    let run = shop.run()?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    appears_nowhere(&shop, &[run])
}
