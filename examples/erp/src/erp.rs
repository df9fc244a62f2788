//! The ERP itself: what it answers to each request, and what it books.

use serde_json::{Value, json, value::RawValue};

use crate::{
    document::{Document, Refusal},
    faults::{Cut, Faults, Rule},
    orders::Orders,
    reply::{Call, Reply, body, error, query},
    store::{Change, Entry, Kept, Store},
};

/// What a request asks for.
enum Ask {
    Create(Box<RawValue>),
    CreateBatch(Vec<Box<RawValue>>),
    Show(String),
    Find { reference: Option<String>, key: Option<String> },
    Cancel(String),
    Orders(Orders),
    Health,
    Nonsense(u16, String),
}

const BATCH_MAX_ITEMS: usize = 1_000;

/// Answers one request and writes it down; both happen, or neither.
pub(crate) fn answer(store: &mut Store, faults: &mut Faults, call: &Call<'_>) -> rusqlite::Result<Reply> {
    let change = store.begin()?;
    let ask = Ask::of(call);
    let references = ask.references(&change)?;
    let names: Vec<&str> = references.iter().map(String::as_str).collect();
    let verdict = faults.meet(call.method, &names);
    let mut reply = if verdict.cut == Some(Cut::Before) {
        Reply::default()
    } else if let Some(rule) = &verdict.answer {
        fault_reply(rule)
    } else if call.authorized {
        ask.apply(&change, faults, call)?
    } else {
        error(401, "UNAUTHORIZED", "", "The token is missing or wrong")
    };
    reply.cut = verdict.cut.is_some();
    reply.delay = verdict.delay;
    change.commit(&Entry {
        method: call.method.to_owned(),
        path: call.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        key: call.key.map(str::to_owned),
        reference: <[String; 1]>::try_from(references).ok().map(|[only]| only),
        status: reply.status,
        answered: !reply.cut,
        applied: reply.applied.take(),
        items: reply.items.take(),
    })?;
    Ok(reply)
}

impl Ask {
    fn of(call: &Call<'_>) -> Self {
        let parts: Vec<&str> = call.uri.path().trim_matches('/').split('/').collect();
        match (call.method, parts.as_slice()) {
            ("GET", ["health"]) => Self::Health,
            ("POST", ["documents"]) => match serde_json::from_slice(call.body) {
                Ok(body) => Self::Create(body),
                Err(error) => Self::Nonsense(400, format!("The body is not JSON: {error}")),
            },
            ("POST", ["documents", "batch"]) => match serde_json::from_slice::<Vec<_>>(call.body) {
                Ok(items) if items.len() <= BATCH_MAX_ITEMS => Self::CreateBatch(items),
                Ok(_) => Self::Nonsense(413, format!("A batch takes at most {BATCH_MAX_ITEMS} documents")),
                Err(error) => Self::Nonsense(400, format!("The body is not a JSON array: {error}")),
            },
            ("GET", ["documents"]) => {
                let (reference, key) = (query(call.uri, "reference"), query(call.uri, "key"));
                if reference.is_none() && key.is_none() {
                    return Self::Nonsense(400, "Give ?reference= or ?key=".to_owned());
                }
                Self::Find { reference, key }
            }
            ("GET", ["documents", id]) => Self::Show((*id).to_owned()),
            ("DELETE", ["documents", id]) => Self::Cancel((*id).to_owned()),
            (method, ["orders" | "notices", ..]) => match Orders::of(method, &parts, call) {
                Ok(ask) => Self::Orders(ask),
                Err((status, problem)) => Self::Nonsense(status, problem),
            },
            (_, ["documents" | "health", ..]) => Self::Nonsense(405, "No such method here".to_owned()),
            _ => Self::Nonsense(404, "No such address".to_owned()),
        }
    }

    /// The references that the request is about, as far as they can be told.
    fn references(&self, change: &Change<'_>) -> rusqlite::Result<Vec<String>> {
        Ok(match self {
            Self::Create(body) => vec![reference_of(body)],
            Self::CreateBatch(items) => items.iter().map(|item| reference_of(item)).collect(),
            Self::Show(id) | Self::Cancel(id) => change.by_id(id)?.map(|kept| kept.reference).into_iter().collect(),
            Self::Find { reference, .. } => reference.iter().cloned().collect(),
            Self::Orders(ask) => ask.order().map(str::to_owned).into_iter().collect(),
            Self::Health | Self::Nonsense(..) => Vec::new(),
        })
    }

    fn apply(&self, change: &Change<'_>, faults: &mut Faults, call: &Call<'_>) -> rusqlite::Result<Reply> {
        match self {
            Self::Create(body) => create(change, body, call.key),
            Self::CreateBatch(items) => create_batch(change, faults, items, call.method),
            Self::Show(id) => Ok(match change.by_id(id)? {
                None => error(404, "NOT_FOUND", "", "No such document"),
                Some(kept) if kept.cancelled.is_some() => error(410, "CANCELLED", "", "The document was cancelled"),
                Some(kept) => body(200, kept.as_json()),
            }),
            Self::Find { reference, key } => find(change, reference.as_deref(), key.as_deref()),
            Self::Cancel(id) => cancel(change, id),
            Self::Orders(ask) => ask.apply(change, call.key),
            Self::Health => Ok(body(200, json!({ "status": "up" }))),
            Self::Nonsense(status, message) => Ok(error(*status, "BAD_REQUEST", "", message)),
        }
    }
}

fn create(change: &Change<'_>, raw: &RawValue, key: Option<&str>) -> rusqlite::Result<Reply> {
    let document = match Document::check(raw) {
        Ok(document) => document,
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let key = key.or(document.key.as_deref());
    if let Some(kept) = key.map(|key| change.by_key(key)).transpose()?.flatten() {
        if kept.body != document.body {
            return Ok(error(409, "KEY_REUSED", "", "The idempotency key was used for another document"));
        }
        return Ok(Reply { replayed: true, ..body(200, receipt(&kept)) });
    }
    let kept = change.create(&document.reference, key, &document.body)?;
    Ok(Reply { applied: Some(format!("created {}", kept.id())), ..body(201, receipt(&kept)) })
}

/// Books what can be booked, and answers item by item.
fn create_batch(
    change: &Change<'_>,
    faults: &mut Faults,
    items: &[Box<RawValue>],
    method: &str,
) -> rusqlite::Result<Reply> {
    let mut answers = Vec::with_capacity(items.len());
    let mut entries = Vec::with_capacity(items.len());
    for item in items {
        let reference = reference_of(item);
        let reply = match faults.meet_item(method, &reference) {
            Some(rule) => fault_reply(&rule),
            None => create(change, item, None)?,
        };
        let mut answer = reply.body.unwrap_or_else(|| json!({}));
        answer["status"] = reply.status.into();
        entries.push(json!({ "reference": reference, "status": reply.status, "applied": reply.applied }));
        answers.push(answer);
    }
    Ok(Reply { items: Some(entries.into()), ..body(200, answers.into()) })
}

fn find(change: &Change<'_>, reference: Option<&str>, key: Option<&str>) -> rusqlite::Result<Reply> {
    let mut found = match (reference, key) {
        (_, Some(key)) => change.by_key(key)?.into_iter().collect(),
        (Some(reference), None) => change.by_reference(reference)?,
        (None, None) => Vec::new(),
    };
    found.retain(|kept| reference.is_none_or(|reference| kept.reference == reference));
    Ok(body(200, found.iter().map(Kept::as_json).collect()))
}

fn cancel(change: &Change<'_>, id: &str) -> rusqlite::Result<Reply> {
    Ok(match change.by_id(id)? {
        None => error(404, "NOT_FOUND", "", "No such document"),
        Some(kept) if kept.cancelled.is_some() => error(410, "CANCELLED", "", "The document was cancelled before"),
        Some(kept) => {
            change.cancel(&kept)?;
            Reply { status: 204, applied: Some(format!("cancelled {}", kept.id())), ..Reply::default() }
        }
    })
}

fn receipt(kept: &Kept) -> Value {
    json!({ "id": kept.id(), "reference": kept.reference })
}

fn reference_of(raw: &RawValue) -> String {
    let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    value["reference"].as_str().unwrap_or_default().to_owned()
}

fn refused(refusal: &Refusal) -> Reply {
    error(refusal.status, refusal.code, refusal.field, &refusal.message)
}

fn fault_reply(rule: &Rule) -> Reply {
    let status = rule.answer.unwrap_or(503);
    let (code, message) = match status {
        401 | 403 => ("UNAUTHORIZED", "The token is not accepted"),
        429 => ("TOO_MANY_REQUESTS", "Slow down"),
        400..=499 => ("BUSINESS_RULE", "The document is not accepted"),
        503 => ("UNAVAILABLE", "Maintenance, try again later"),
        _ => ("INTERNAL", "Something went wrong"),
    };
    let field = rule.field.as_deref().unwrap_or_default();
    let reply = error(status, code, field, rule.message.as_deref().unwrap_or(message));
    Reply { retry_after_s: rule.retry_after_s, ..reply }
}
