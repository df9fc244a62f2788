//! Sources as authors write them, through the code that runs in the sandbox.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::{
    CallError, Description, Failure, Limits, More, Page, Source, control, log, metrics, state, testing,
};

/// Counts to a number.
struct Counter(Settings);

#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
struct Settings {
    to: u32,
    /// What goes wrong.
    mistake: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { to: 5, mistake: String::new() }
    }
}

impl Source for Counter {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new("counter", "1.0.0", "Counts.")
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Ok(Self(settings))
    }

    fn re_reads(&self) -> bool {
        true
    }

    fn read(&mut self, checkpoint: Option<&[u8]>, page: &mut Page) -> Result<More, CallError> {
        let begin = match checkpoint {
            None => 1,
            Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
                CallError::checkpoint_refused(Failure::new("not-mine", "the checkpoint is not one of this source"))
            })?,
        };
        let mut next = begin;
        while next <= self.0.to && !(page.is_full() && self.0.mistake != "overfull") {
            let payload = "x".repeat(next as usize);
            if !page.fits(1 + payload.len()) && self.0.mistake != "overfull" {
                break;
            }
            let id = if self.0.mistake == "same-id" { "1".to_owned() } else { next.to_string() };
            let record = page.push(&id, payload).order_key(if next % 2 == 0 { "even" } else { "odd" });
            match next {
                3 => drop(record.unreadable(Failure::new("three", "it is three")).attribute("note", "third")),
                4 => drop(record.attribute("note", "first word").attribute("note", "fourth").order_key("four")),
                _ => {}
            }
            next += 1;
        }
        metrics::count("pages", 1);
        if self.0.mistake != "stands-still" {
            page.checkpoint(next.to_string());
        }
        Ok(if next > self.0.to { More::End } else { More::More })
    }
}

crossdock_sdk::export_source!(Counter);

const WIDE: Limits = Limits { max_records: 100, max_bytes: 100_000 };

/// Reads everything and shows it as one line a page.
fn check(limits: Limits, expected: &[&str]) {
    testing::reset();
    let mut counter = testing::source::<Counter>("{}").unwrap();
    let pages = testing::read_all(&mut counter, limits).unwrap();
    let record = |record: &testing::ReadRecord| {
        let note: String =
            record.attributes.iter().map(|(_, note)| format!("({})", String::from_utf8_lossy(note))).collect();
        let failure = record.failure.as_ref().map_or("", |failure| failure.code());
        format!("{}:{}{note}{failure}", record.id, String::from_utf8_lossy(&record.order_key))
    };
    let page = |page: &testing::ReadPage| {
        page.records.iter().map(record).collect::<Vec<_>>().join(" ")
            + " > "
            + &String::from_utf8_lossy(&page.checkpoint)
    };
    assert_eq!(pages.iter().map(page).collect::<Vec<_>>(), expected);
    assert_eq!(testing::counter("pages"), pages.len() as u64);
}

#[test]
fn pages_keep_their_limits() {
    check(WIDE, &["1:odd 2:even 3:odd(third)three 4:four(fourth) 5:odd > 6"]);
    check(
        Limits { max_records: 2, ..WIDE },
        &["1:odd 2:even > 3", "3:odd(third)three 4:four(fourth) > 5", "5:odd > 6"],
    );
    check(Limits { max_bytes: 9, ..WIDE }, &["1:odd 2:even 3:odd(third)three > 4", "4:four(fourth) > 5", "5:odd > 6"]);
    // A record that is too large for any page makes a page of its own.
    check(
        Limits { max_bytes: 1, ..WIDE },
        &["1:odd > 2", "2:even > 3", "3:odd(third)three > 4", "4:four(fourth) > 5", "5:odd > 6"],
    );
}

#[test]
fn a_foreign_checkpoint_is_refused() {
    let mut counter = testing::source::<Counter>("{}").unwrap();
    let error = testing::read(&mut counter, Some(b"elsewhere"), WIDE).unwrap_err();
    assert_eq!(error.kind(), crossdock_sdk::ErrorKind::CheckpointRefused);
}

/// The rule that the test host finds broken.
fn broken(mistake: &'static str, limits: Limits) -> String {
    let caught = std::panic::catch_unwind(|| {
        let mut counter = testing::source::<Counter>(format!(r#"{{ "mistake": "{mistake}" }}"#)).unwrap();
        testing::read_all(&mut counter, limits)
    });
    *caught.unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn the_test_host_is_strict() {
    assert!(broken("same-id", WIDE).contains("have the id 1"));
    assert!(broken("stands-still", WIDE).contains("must move the checkpoint"));
    assert!(broken("overfull", Limits { max_records: 2, ..WIDE }).contains("do not fit"));
}

#[test]
fn the_test_host_answers_imports() {
    testing::reset();
    testing::now_ms(1_700_000_000_000);
    assert_eq!(control::now_ms(), 1_700_000_000_000);
    log::warn("look");
    assert_eq!(testing::messages(), [(log::Level::Warn, "look".to_owned())]);
    metrics::gauge("depth", 2.5);
    assert_eq!(testing::gauge("depth"), Some(2.5));
    assert_eq!(state::get("k"), None);
    state::set("k", b"v").unwrap();
    assert_eq!(state::get("k").as_deref(), Some(&b"v"[..]));
    assert_eq!(state::set("", b"v"), Err(state::StateError::TooLarge));
    assert_eq!(state::set("k", &[0; 64 * 1024 + 1]), Err(state::StateError::TooLarge));
    for index in 0..16 {
        let kept = state::set(&format!("big{index}"), &[0; 64 * 1024]);
        assert_eq!(kept.is_ok(), index < 15, "{index}");
    }
    state::delete("k");
    assert_eq!(testing::state("k"), None);
}
