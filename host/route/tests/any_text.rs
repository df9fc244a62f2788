//! Whatever is given, reading answers: a route, or mistakes that can be shown.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "proptest reads its settings from the environment")]

use crossdock_route::{ProjectFile, RouteFile};
use proptest::prelude::*;

fn check(text: &str) {
    for mistakes in [RouteFile::parse("any.toml", text).err(), ProjectFile::parse("any.toml", text).err()] {
        let Some(mistakes) = mistakes else { continue };
        assert!(!mistakes.list().is_empty());
        assert!(!mistakes.render(false).is_empty());
        assert!(!mistakes.render(true).is_empty());
        assert!(!mistakes.to_string().is_empty());
        serde_json::to_string(&mistakes).unwrap();
    }
}

/// Pieces of route and project files, and of what breaks them.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "name",
        "trigger",
        "on_error",
        "batch",
        "source",
        "step",
        "plugin",
        "settings",
        "grants",
        "dirs",
        "http",
        "secrets",
        "plugins",
        "retry",
        "limits",
        "rate",
        "breaker",
        "rollback",
        "on_failure",
        "on_run_ok",
        "retention",
        "[on_run_failed]",
        "[step.on_rollback]",
        "max_failed_window = 500\n",
        "rollback = 'run'\n",
        "=",
        " = ",
        ".",
        ",",
        "{",
        "}",
        "[",
        "]",
        "[[",
        "]]",
        "[source]",
        "[[step]]",
        "[step.settings]",
        "[plugins]",
        "\n",
        "\r\n",
        "\"",
        "'",
        "\"\"\"",
        "\"x\"",
        "'1s'",
        "\"é\"",
        "ü",
        "1",
        "-1",
        "0x_f",
        "1e400",
        "nan",
        "true",
        "1979-05-27T07:32:00Z",
        "99999999999999999999",
        "#",
        "\t",
        "\u{feff}",
        "\u{0}",
        "\u{202e}",
        "日本",
        "\u{1b}[31m",
        "key = 'value'\n",
        "name = \"orders\"\n",
        "{ host = 'a', guest = '/a' }",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_text(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn any_pieces(pieces in prop::collection::vec(piece(), 0..60)) {
        check(&pieces.concat());
    }

    /// A right file with something put into it, or cut off.
    #[test]
    fn nearly_right(at in any::<prop::sample::Index>(), cut in any::<bool>(), put in piece()) {
        let text = include_str!("cases/all-keys.toml");
        let at = text.floor_char_boundary(at.index(text.len() + 1));
        let rest = if cut { "" } else { &text[at..] };
        check(&format!("{}{put}{rest}", &text[..at]));
    }
}

#[test]
fn deep_and_long() {
    for text in [
        format!("a{} = 1", ".a".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("a = {}", "[".repeat(20_000)),
        format!("a = {}1{}", "[".repeat(70), "]".repeat(70)),
        format!("a = {}", "{ a = ".repeat(20_000)),
        format!("{} = 1", "a".repeat(500_000)),
        format!("name = '{}'", "a".repeat(500_000)),
        (0..20_000).map(|i| format!("key{i} = 1\n")).collect(),
        "\n".repeat(500_000),
        format!("[secrets]\n{}", (0..20_000).map(|i| format!("K{i} = 'x'\n")).collect::<String>()),
    ] {
        check(&text);
    }
}

#[test]
fn more_mistakes_than_are_shown_are_counted() {
    let text: String = (0..200).map(|i| format!("key{i} = 1\n")).collect();
    let mistakes = ProjectFile::parse("crossdock.toml", &text).unwrap_err();
    assert_eq!((mistakes.list().len(), mistakes.left_out()), (crossdock_route::MISTAKES_MAX, 150));
    assert!(mistakes.render(false).ends_with("200 mistakes in crossdock.toml; 150 of them not shown\n"));
}
