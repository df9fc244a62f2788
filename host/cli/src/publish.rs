//! Plugins on their way: fetched beforehand, pushed, signed.

use crate::args::{KeygenArgs, PushArgs, SignArgs, VerifyPluginArgs};
use crate::fail::Fail;
use crate::out::Out;
use crate::plugins::added;
use crate::text::{Cell, bytes, clean, quote};
use crossdock::{Host, PulledPlugin, generate_key};
use serde_json::json;

/// Fetches all plugins of the project.
///
/// # Errors
/// When one of them cannot be fetched, or is refused.
pub(crate) async fn pull(out: &Out, host: &Host) -> Result<(), Fail> {
    let pulled = host.pull_plugins().await?;
    if out.json {
        return out.document(&pulled);
    }
    let mut table = out.table(&["name", "", "sha-256", "size", "signed by", "from"]);
    for plugin in &pulled.plugins {
        table.add(vec![
            Cell::new(plugin.name.as_str()),
            Cell::new(if plugin.fetched { "fetched" } else { "was here" }),
            Cell::new(plugin.digest.trim_start_matches("sha256:").chars().take(12).collect::<String>()),
            Cell::new(bytes(plugin.size_bytes)),
            Cell::new(plugin.publisher.as_deref().unwrap_or_default()),
            Cell::new(from(plugin)),
        ]);
    }
    out.text(&table.render(0))?;
    if let Some(line) = added(&pulled.added_to_lock) {
        out.note(&line);
    }
    Ok(())
}

fn from(plugin: &PulledPlugin) -> String {
    match &plugin.origin {
        Some(origin) => clean(origin).into_owned(),
        None => plugin.path.display().to_string(),
    }
}

/// Pushes a plugin to a registry.
///
/// # Errors
/// When it is no plugin, or the registry does not take it.
pub(crate) async fn push(out: &Out, host: &Host, args: &PushArgs) -> Result<(), Fail> {
    let pushed = host.push_plugin(&args.file, &args.reference, args.sign.as_deref()).await?;
    if out.json {
        return out.document(&pushed);
    }
    let signed = match &pushed.signed_by {
        Some(key) => format!("signed by  {key}\n"),
        None => "signed by  nobody\n".to_owned(),
    };
    out.text(&format!(
        "Pushed {} {} to {}\nfile       {}\nmanifest   {}\n{signed}\nIn a project:\n  {} = {{ oci = {:?}, digest = {:?} }}\n",
        clean(&pushed.plugin),
        clean(&pushed.version),
        clean(&pushed.reference),
        pushed.digest,
        pushed.manifest_digest,
        clean(&pushed.plugin),
        pushed.reference,
        pushed.digest,
    ))
}

/// Makes a key.
///
/// # Errors
/// When its file cannot be written.
pub(crate) fn keygen(out: &Out, args: &KeygenArgs) -> Result<(), Fail> {
    let public = generate_key(&args.file)?;
    let file = args.file.display().to_string();
    if out.json {
        return out.document(&json!({ "path": file, "public_key": public }));
    }
    out.text(&format!(
        "The private key is in {}: keep it to yourself, and a copy of it in a safe place.\n\nIn the projects that use your \
         plugins:\n  [publishers]\n  NAME = {{ key = {public:?} }}\n",
        quote(&file)
    ))
}

/// Signs a plugin.
///
/// # Errors
/// When file or key cannot be read, or the signature cannot be written.
pub(crate) async fn sign(out: &Out, host: &Host, args: &SignArgs) -> Result<(), Fail> {
    let signed = host.sign_plugin(&args.file, &args.key).await?;
    if out.json {
        return out.document(&signed);
    }
    out.text(&format!(
        "Signed {}\nfile       {}\nkey        {}\n",
        quote(&signed.signature.display().to_string()),
        signed.digest,
        signed.key
    ))
}

/// Says whether a plugin is signed by somebody.
///
/// # Errors
/// When it is not.
pub(crate) async fn verify(out: &Out, host: &Host, args: &VerifyPluginArgs) -> Result<(), Fail> {
    let verified = match (&args.publisher, &args.key) {
        (Some(publisher), _) => host.verify_with_publisher(&args.file, publisher).await?,
        (None, key) => host.verify_with_key(&args.file, key.as_deref().unwrap_or_default()).await?,
    };
    if out.json {
        return out.document(&verified);
    }
    let by = args.publisher.as_deref().map_or("that key".to_owned(), |name| clean(name).into_owned());
    out.text(&format!(
        "{} is signed by {by}\nfile       {}\nkey        {}\n",
        quote(&args.file.display().to_string()),
        verified.digest,
        verified.key
    ))
}
