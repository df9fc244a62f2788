//! JSON by its text, with serde_json as the judge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::json::{Kind, Members, Value, push_text};
use proptest::prelude::*;
use serde::de::IgnoredAny;

/// What is JSON here is JSON for serde_json, and the other way round; and what is found in it is the same.
fn check(text: &[u8]) {
    let shown = String::from_utf8_lossy(text);
    let expected = serde_json::from_slice::<IgnoredAny>(text).is_ok() && std::str::from_utf8(text).is_ok();
    let found = Value::parse(text);
    assert_eq!(found.is_ok(), expected, "{shown}: {found:?}");
    let scanned: Option<Result<Vec<_>, _>> = Members::scan(text).map(Iterator::collect);
    match found {
        Ok(value) => {
            let whole = scanned.transpose().expect("members of what is JSON").unwrap_or_default();
            assert_eq!(value.members().collect::<Vec<_>>(), whole, "{shown}");
            if let Ok(parsed) = serde_json::from_slice::<serde_json::Value>(text) {
                same(value, &parsed);
            }
        }
        Err(error) => {
            assert!(error.at() <= text.len(), "{shown}: {error}");
            assert!(!matches!(scanned, Some(Ok(_))), "{shown}: its members are in order");
        }
    }
}

/// The same content, as deep as it goes.
fn same(value: Value<'_>, parsed: &serde_json::Value) {
    use serde_json::Value as Parsed;
    match parsed {
        Parsed::Null => assert_eq!(value.kind(), Kind::Null),
        Parsed::Bool(truth) => assert_eq!(value.raw(), truth.to_string()),
        Parsed::Number(_) => assert_eq!(value.kind(), Kind::Number),
        Parsed::String(text) => assert_eq!(value.text().as_deref(), Some(text.as_str())),
        Parsed::Array(list) => {
            let elements: Vec<_> = value.elements().collect();
            assert_eq!(elements.len(), list.len(), "{}", value.raw());
            elements.into_iter().zip(list).for_each(|(element, parsed)| same(element, parsed));
        }
        Parsed::Object(object) => {
            for (name, parsed) in object {
                same(value.get(name).unwrap_or_else(|| panic!("no {name} in {}", value.raw())), parsed);
            }
            assert!(value.members().all(|member| object.contains_key(&*member.name())));
        }
    }
}

#[test]
fn json_and_what_only_looks_like_it() {
    for text in [
        "",
        " ",
        "null",
        " true ",
        "false",
        "nul",
        "truefalse",
        "0",
        "-0",
        "01",
        "1.",
        "1.5e+3",
        "1e",
        "-",
        "--1",
        "1x",
        "\"\"",
        "\"",
        "\"a\nb\"",
        "\"\\n\\u00e9\\/\"",
        "\"\\x\"",
        "\"\\u00g0\"",
        "\"\\ud800\"",
        "\"eight by\"",
        "12345678",
        "-1234567890.1234567890e-1234567890",
        "123456789x",
        "1234567/",
        "1234567:",
        "1234567\u{e4}",
        "\"ü\"",
        "{}",
        "{ }",
        "{\"a\":1}",
        "{\"a\" : 1 , \"a\":2}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1",
        "{\"a\":1]",
        "{\"\\u0061\":1}",
        "{\"a\":{\"b\":[1,{\"c\":[]}]}}",
        "{} {}",
        "{}x",
        "[]",
        "[ ]",
        "[1,2]",
        "[1,]",
        "[,]",
        "[1 2]",
        "[[[]]]",
        "[[]",
        "[1}",
        "]",
        "}",
        ",",
        "\u{feff}{}",
        "{\"a\":\u{a0}1}",
        "{\"long name, longer than eight\":\"and \\\"quotes\\\" in a long text\"}",
    ] {
        check(text.as_bytes());
    }
    for bytes in [
        &b"\"\xff\""[..],
        b"{\"a\xc3\":1}",
        b"\xef\xbb\xbf",
        b"{\"a\":\"\x00\"}",
        b"\"\x1f\"",
        b"\"\x7f\"",
        b"\"eight by\xc3\"",
        b"\"\\n\xff\"",
        b"12345\xb0\xb1",
    ] {
        check(bytes);
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(Value::parse(nested(128).as_bytes()).is_ok());
    assert!(Value::parse(nested(129).as_bytes()).unwrap_err().to_string().contains("too deep"));
    let member = |depth: usize| format!("{{\"a\":{}}}", nested(depth));
    check(member(127).as_bytes());
    let deep = member(128);
    assert!(Value::parse(deep.as_bytes()).unwrap_err().to_string().contains("too deep"));
    assert!(Members::scan(deep.as_bytes()).unwrap().any(|member| member.is_err()));
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(Value::parse(objects.as_bytes()).unwrap_err().to_string().contains("too deep"));
}

#[test]
fn what_is_wrong_and_where() {
    let check = |text: &str, expected: &str| {
        assert_eq!(Value::parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
    };
    check("{\"a\":}", "no value at column 6");
    check("{\"a\":1", "an object that does not end at column 7");
    check("{\"a\":1 \"b\":2}", "neither a comma nor the end of the object at column 8");
    check("{\"a\":\"x", "a string that does not end at column 8");
    check("[1, 02]", "a number with a zero in front at column 5");
    check("{} x", "something behind the end at column 4");
    check("", "a value is missing at column 1");
}

/// JSON, or nearly.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\":",
        "\"a\"",
        "\"\\u00fc\"",
        "\"12345678\"",
        "null",
        "true",
        "-1.5e3",
        "0",
        "12",
        ".",
        "e",
        " ",
        "\n",
        "\u{fc}",
        "\u{1f600}",
        "\u{1}",
        "\\ud83d\\ude00",
    ]);
    let loose = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    let whole = leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    });
    let whole = (whole, any::<bool>()).prop_map(|(value, pretty)| match pretty {
        true => serde_json::to_vec_pretty(&value).unwrap(),
        false => serde_json::to_vec(&value).unwrap(),
    });
    let spoiled = (whole.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut text, index, byte)| {
        let at = index.index(text.len());
        text[at] = byte;
        text
    });
    prop_oneof![loose, whole, spoiled]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn as_serde_json_sees_it(text in texts()) {
        check(&text);
    }

    #[test]
    fn text_is_written_as_serde_json_does(text in any::<String>()) {
        let mut out = Vec::new();
        push_text(&mut out, &text);
        prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }
}
