//! Texts of strangers, made fit to be kept and shown.

use super::parts;
use crate::Target;
use crossdock_sandbox::{PluginText, Redactor};

/// A secret, and a text that may hold it.
pub(super) const TEXTS: Target = Target {
    name: "texts",
    more_seeds: &[],
    words: &[
        "\n---\n",
        "\u{1b}[31m",
        "\r",
        "\u{202e}",
        "\u{2028}",
        "\u{feff}",
        "%22",
        "%2F",
        "\\u0022",
        "\\\"",
        "+",
        "0a",
        "==",
    ],
    short_run: 300,
    run: texts,
};

/// Shorter ones are found in any text.
const SECRET_MIN_BYTES: usize = 8;

fn texts(bytes: &[u8]) {
    let [secret, text] = parts(bytes)[..] else { return };
    if !(SECRET_MIN_BYTES..=1_024).contains(&secret.len()) {
        return;
    }
    // The secret as it is stands in the middle too, whatever else the text holds.
    let text = String::from_utf8_lossy(text);
    let half = text.floor_char_boundary(text.len() / 2);
    let with = format!("{}{}{}", &text[..half], String::from_utf8_lossy(secret), &text[half..]);
    let redactor = Redactor::new([("TOKEN", secret)]);
    for text in [&*text, &with] {
        for max_bytes in [0, 1, 64, 1_024, 8_192, usize::MAX] {
            check(PluginText::line(text, max_bytes, &redactor).as_str(), max_bytes, secret, false);
            check(PluginText::lines(text, max_bytes, &redactor).as_str(), max_bytes, secret, true);
        }
    }
}

fn check(shown: &str, max_bytes: usize, secret: &[u8], lines: bool) {
    assert!(shown.len() <= max_bytes, "{} bytes, {max_bytes} are allowed", shown.len());
    let unfit =
        |c: char| (c.is_control() && !(lines && matches!(c, '\n' | '\t'))) || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!shown.contains(unfit), "{shown:?} is not fit to be shown");
    // What is escaped could make a secret of what was none; who knows it need not be told.
    let Ok(plain) = std::str::from_utf8(secret) else { return };
    if plain.contains("\\u{") || plain.contains("[secret TOKEN]") || "[secret TOKEN]".contains(plain) {
        return;
    }
    let json = serde_json::to_string(plain).expect("a text can be written as JSON");
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for form in [plain, &json[1..json.len() - 1], &hex, &hex.to_uppercase()] {
        assert!(!shown.contains(form), "{form:?} is shown in {shown:?}");
    }
}
