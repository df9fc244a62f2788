//! Requests to where nobody granted anything, and servers that answer as they like.

use crate::case::{Case, LIMITS, lines};
use anyhow::ensure;
use crossdock::Status;

fn sends(name: &'static str, what: &'static str, control: &'static str, orders: &[&str]) -> Case {
    sends_within(&LIMITS.replace("1500ms", "5s"), name, what, control, orders)
}

fn sends_within(limits: &str, name: &'static str, what: &'static str, control: &'static str, orders: &[&str]) -> Case {
    let mut lines = lines();
    lines.truncate(8 - orders.len());
    lines.extend(orders.iter().map(|order| format!("{{\"send\":\"{order}\"}}")));
    let step = format!(
        "plugin = \"guest-destination\"\nsettings = {{ misbehave = \"send\" }}\n{limits}\
         grants = {{ http = [\"$SERVER\"], secrets = [\"TOKEN\"] }}\nretry = {{ attempts = 1 }}"
    );
    Case::new(name, what, control).lines(lines).step(&step)
}

/// All these fail with one code.
fn rejected(
    name: &'static str,
    what: &'static str,
    control: &'static str,
    code: &'static str,
    orders: &[&str],
) -> Case {
    let count = orders.len() as u64;
    sends(name, what, control, orders).records(8 - count, vec![(count, Status::Failed, code)])
}

pub(super) fn cases() -> Vec<Case> {
    addresses().into_iter().chain(answers()).collect()
}

/// Requests to where nobody granted anything.
fn addresses() -> Vec<Case> {
    let granted = "the address is compared as it will be used";
    vec![
        rejected(
            "other-address",
            "asks other addresses than it was granted",
            granted,
            "not-granted",
            &[
                "GET http://169.254.169.254/latest/meta-data/",
                "GET http://127.0.0.1:1/",
                "GET https://example.com/",
                "GET http://[::ffff:169.254.169.254]/",
            ],
        ),
        rejected(
            "address-in-disguise",
            "writes an address in other ways",
            granted,
            "not-granted",
            &[
                "GET http://2852039166/latest/",
                "GET http://0xa9.0xfe.0xa9.0xfe/",
                "GET http://127.1:1/",
                "GET http://localhost:1/",
            ],
        ),
        rejected(
            "address-with-user",
            "hides an address behind credentials",
            granted,
            "invalid",
            &["GET $SERVER@169.254.169.254/", "GET http://user:word@169.254.169.254/"],
        ),
        sends(
            "redirect",
            "is sent on to an address that it was not granted",
            "redirects are not followed",
            &["GET $SERVER/redirect", "GET $SERVER/redirect?to=/must-not-be-asked"],
        )
        .also(|site| {
            let asked = site.seen().iter().any(|request| request.path() == "/must-not-be-asked");
            ensure!(!asked, "the redirect was followed");
            Ok(())
        }),
        rejected(
            "header-injection",
            "puts line ends into headers",
            "headers are checked",
            "invalid",
            &[
                "GET $SERVER/echo x-a=b\\\\nx-forged:1",
                "GET $SERVER/echo host=elsewhere",
                "GET $SERVER/echo transfer-encoding=chunked",
                "GET $SERVER/echo content-length=3",
            ],
        ),
    ]
}

/// Servers that answer as they like.
fn answers() -> Vec<Case> {
    let whole = "an answer has a size, a head and an end, or it is none";
    vec![
        rejected(
            "slow-head",
            "gets a head a byte every 20 ms",
            "time of a request",
            "no-answer",
            &["GET $SERVER/slow-head timeout=400"],
        ),
        rejected(
            "slow-body",
            "gets a body a byte every 20 ms",
            "time of a request",
            "no-answer",
            &["GET $SERVER/trickle timeout=400"],
        ),
        rejected(
            "silent-server",
            "gets no answer at all",
            "time of a request",
            "no-answer",
            &["GET $SERVER/silent timeout=400"],
        ),
        rejected(
            "endless-body",
            "gets a body without end",
            "4 MiB an answer",
            "too-large",
            &["GET $SERVER/endless", "GET $SERVER/endless-close"],
        ),
        rejected(
            "endless-head",
            "gets headers without end",
            whole,
            "no-answer",
            &["GET $SERVER/endless-head timeout=400"],
        ),
        rejected(
            "endless-header",
            "gets one header without end",
            whole,
            "no-answer",
            &["GET $SERVER/endless-header timeout=400"],
        ),
        rejected(
            "endless-promises",
            "gets provisional answers without end",
            "time of a request",
            "no-answer",
            &["GET $SERVER/1xx timeout=400"],
        ),
        rejected(
            "gzip-bomb",
            "gets 8 MiB of zeros, packed",
            "4 MiB after unpacking",
            "too-large",
            &["GET $SERVER/gzip?mib=8"],
        ),
        rejected(
            "garbage",
            "gets answers that are none",
            whole,
            "no-answer",
            &["GET $SERVER/garbage", "GET $SERVER/shorter", "GET $SERVER/bad-chunk", "GET $SERVER/http2"],
        ),
        sends_within(
            "limits = { cpu_time = \"10s\", call_time = \"20s\", memory = \"256MiB\" }\n",
            "answers-gathered",
            "gathers 60 answers of 4 MB in one call",
            "one sum for all answers of a call",
            &[&["GET $SERVER/bytes?bytes=4000000"; 60].join(" && ")],
        )
        .one(Status::Failed, "too-large")
        // The sum of 64 MiB, once more while it is handed over, and in the memory of the guest that takes them.
        .memory(256),
    ]
}
