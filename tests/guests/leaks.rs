/// The ways in which a secret is written that the host says it finds, whoever wrote them.
pub(crate) fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let bytes = secret.as_bytes();
    let each = |write: fn(u8) -> String| bytes.iter().map(|&byte| write(byte)).collect::<String>();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let percent = |blank: &str, lower: bool| {
        let one = |&byte: &u8| match byte {
            b' ' => blank.to_string(),
            byte if is_plain(byte) => char::from(byte).to_string(),
            byte if lower => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        };
        bytes.iter().map(one).collect::<String>()
    };
    let json: String = secret.chars().map(|c| json_char(c, false)).collect();
    let ascii: String = secret.chars().map(|c| json_char(c, true)).collect();
    let html = secret.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('\'', "&#39;");
    let mut forms = vec![
        ("plain", secret.to_string()),
        ("in capitals", secret.to_ascii_uppercase()),
        ("JSON", json.clone()),
        ("JSON in ASCII", ascii),
        ("JSON twice", json.replace('\\', "\\\\").replace('"', "\\\"")),
        ("JSON with slashes", json.replace('/', "\\/")),
        ("JSON, all escaped", secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()),
        ("percent", percent("%20", false)),
        ("percent, lower", percent("%20", true)),
        ("percent, form", percent("+", false)),
        ("percent, all", each(|byte| format!("%{byte:02X}"))),
        ("percent twice", percent("%20", false).replace('%', "%25")),
        ("hex", each(|byte| format!("{byte:02x}"))),
        ("HEX", each(|byte| format!("{byte:02X}"))),
        ("HTML", html.clone()),
        ("HTML, decimal", html.replace("&quot;", "&#34;")),
    ];
    for (url, user) in
        [(false, ""), (false, "u"), (false, "us"), (false, "user:"), (true, ""), (true, "u:"), (true, "abcde")]
    {
        forms.push(("base64", base64(format!("{user}{secret}").as_bytes(), url)));
    }
    forms
}

fn json_char(c: char, ascii: bool) -> String {
    match c {
        '"' => "\\\"".to_string(),
        '\\' => "\\\\".to_string(),
        '\n' => "\\n".to_string(),
        c if c.is_ascii() || !ascii => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    }
}

fn base64(bytes: &[u8], url: bool) -> String {
    let mut alphabet = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if url {
        alphabet[62..].copy_from_slice(b"-_");
    }
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |sum, &byte| sum << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let index = (number >> (18 - 6 * place)) as usize & 63;
            text.push(if place <= three.len() { char::from(alphabet[index]) } else { '=' });
        }
    }
    if url { text.trim_end_matches('=').to_string() } else { text }
}
