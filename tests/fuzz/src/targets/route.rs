//! Route and project files.

use crate::Target;
use crossdock_model::Explained as _;
use crossdock_route::{Mistakes, Project, ProjectFile, Role, Route, RouteAbilities, RouteFile, Span, StepAbilities};

/// A route file.
pub(super) const ROUTE: Target = Target {
    name: "route",
    more_seeds: &["host/route/tests/cases"],
    words: WORDS,
    short_run: 2_000,
    run: |bytes| with_text(bytes, route),
};

/// A project file.
pub(super) const PROJECT: Target = Target {
    name: "project",
    more_seeds: &["host/route/tests/cases"],
    words: WORDS,
    short_run: 2_000,
    run: |bytes| with_text(bytes, project),
};

const WORDS: &[&str] = &[
    "[source]\n",
    "[[step]]\n",
    "[step.retry]\n",
    "[plugins]\n",
    "[secrets]\n",
    "[limits]\n",
    "[retention]\n",
    "plugin = \"map\"\n",
    "name = \"orders\"\n",
    "grants = { http = [\"https://a.test\"], secrets = [\"T\"] }\n",
    "on_error = \"continue\"\n",
    "max_failed = 1\n",
    "settings = {}\n",
    "\"\"\"",
    "'''",
    "{",
    "}",
    "[[",
    "]]",
    "= ",
    ".",
    "\"",
    "'",
    "\\u0000",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[31m",
    "1e400",
    "nan",
    "0x_f",
    "99999999999999999999",
    "1979-05-27T07:32:00Z",
    "\r\n",
    "#",
    "é",
    "日本",
    "a.a.a.a.a.a.a.a",
    "\"5m\"",
    "\"1 GiB\"",
];

fn with_text(bytes: &[u8], read: fn(&str)) {
    // Files that are not UTF-8 are refused before they are read.
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
}

fn route(text: &str) {
    match RouteFile::parse("routes/any.toml", text) {
        Err(mistakes) => check_mistakes(text, &mistakes),
        Ok(route) => check_route(text, &route),
    }
}

/// What a route says is checked against a project without anything, and against plugins that can do nothing.
fn check_route(text: &str, route: &Route) {
    assert_eq!(route.text(), text, "the route keeps its text");
    serde_json::to_string(route).expect("a route can be shown");
    if let Ok(empty) = ProjectFile::parse("crossdock.toml", "")
        && let Err(mistakes) = route.check_project(&empty)
    {
        check_mistakes(text, &mistakes);
    }
    let step = |role| Some(StepAbilities::of(role));
    let abilities = RouteAbilities {
        source: step(Role::Source),
        steps: route.steps().iter().map(|_| step(Role::Destination)).collect(),
        handlers: route.handlers().iter().map(|_| step(Role::Destination)).collect(),
    };
    if let Err(mistakes) = route.check_abilities(&abilities) {
        check_mistakes(text, &mistakes);
    }
    let again = RouteFile::parse("routes/any.toml", route.text()).expect("what was right stays right");
    assert_eq!(again.hash(), route.hash(), "the same text has the same hash");
}

fn project(text: &str) {
    match ProjectFile::parse("crossdock.toml", text) {
        Err(mistakes) => check_mistakes(text, &mistakes),
        Ok(project) => check_project(text, &project),
    }
}

fn check_project(text: &str, project: &Project) {
    serde_json::to_string(project).expect("a project can be shown");
    for secret in project.secrets() {
        within(text, project.span_of_secret(&secret.name));
    }
}

/// Mistakes can be shown, in every way there is, and their places are in the text.
fn check_mistakes(text: &str, mistakes: &Mistakes) {
    assert!(!mistakes.list().is_empty(), "who refuses says why");
    for mistake in mistakes.list() {
        assert!(!mistake.message.is_empty(), "{mistake:?} says nothing");
        for span in mistake.span.into_iter().chain(mistake.related.iter().map(|related| related.span)) {
            within(text, span);
        }
        if let Some(position) = mistakes.position(mistake) {
            assert!(position.line <= text.lines().count() + 1, "{position:?} is no line of the text");
        }
    }
    for shown in [mistakes.render(false), mistakes.to_string()] {
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "a control character is shown: {shown:?}");
    }
    assert!(!mistakes.render(true).is_empty() && !mistakes.code().is_empty());
    serde_json::to_string(mistakes).expect("mistakes can be shown as JSON");
}

fn within(text: &str, Span { start, end }: Span) {
    assert!(start <= end && end <= text.len(), "{start}..{end} is not within {} bytes", text.len());
    assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{start}..{end} cuts a character");
}
