//! The settings as meant: checked, templates read, secrets opened. Nothing but `Plan::new` makes a plan.

use std::collections::BTreeMap;

use crossdock_sdk::{
    CallError, Failure, Idempotency,
    rest::{Credentials, Pointer, Pointers, base, check_header, invalid_setting as invalid, milliseconds},
};
use serde_json::Value;

use crate::{
    body::Body,
    pace::TIMEOUT_MIN_MS,
    request::{Template, path_problem},
    settings::{Batch, Check, Compensate, Condition, Method, Probe, ProbeStatuses, Settings, StatusPattern, Statuses},
    status::{Done, Meaning, NotDone, Seen, Table, TableError},
    template::{Place, Spot, Text},
};

/// What the destination does with these settings.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) credentials: Credentials,
    pub(crate) timeout_ms: u64,
    pub(crate) in_flight: u32,
    pub(crate) idempotency: Idempotency,
    pub(crate) write: Write,
    pub(crate) undo: Option<Undo>,
    pub(crate) probe: Option<Ask>,
    pub(crate) check: CheckPlan,
}

#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) template: Template,
    pub(crate) idempotency_header: Option<String>,
    pub(crate) reading: Reading,
    /// Many records in one request.
    pub(crate) many: Option<Many>,
    /// Values that undoing a record will need and the host does not keep by itself.
    pub(crate) kept: Vec<Place>,
    /// All that is asked of a payload.
    pub(crate) wanted: Pointers,
}

/// How an answer, or one record's part of it, is read.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) statuses: Table<Meaning>,
    /// The same request again does no harm.
    pub(crate) repeatable: bool,
    pub(crate) ok_if: Option<Holds>,
    pub(crate) target_id: Option<Pointer>,
    pub(crate) error_message: Option<Pointer>,
    pub(crate) error_field: Option<Pointer>,
}

/// A condition on an answer's body.
#[derive(Debug)]
pub(crate) struct Holds {
    pub(crate) pointer: Pointer,
    pub(crate) equals: Option<Value>,
}

#[derive(Debug)]
pub(crate) struct Many {
    pub(crate) records: usize,
    pub(crate) body: Body,
    pub(crate) answers: Option<Pointer>,
    pub(crate) status: Option<Pointer>,
}

#[derive(Debug)]
pub(crate) struct Undo {
    pub(crate) template: Template,
    pub(crate) reading: Reading,
}

#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) template: Template,
    pub(crate) statuses: Table<Seen>,
    pub(crate) applied: Option<Holds>,
    pub(crate) not_applied: Option<Holds>,
    pub(crate) target_id: Option<Pointer>,
}

#[derive(Debug)]
pub(crate) struct CheckPlan {
    pub(crate) template: Template,
    pub(crate) ok: Table<()>,
    /// Nobody said how to check: any answer but a server's error shows that the API is reachable.
    pub(crate) any_answer: bool,
}

impl Plan {
    pub(crate) fn new(settings: Settings) -> Result<Self, CallError> {
        let base = base(&settings.base)?;
        let timeout_ms = milliseconds(&settings.timeout).filter(|ms| *ms >= TIMEOUT_MIN_MS).ok_or_else(|| {
            invalid("/timeout", "a time of at least 100ms, such as `500ms`, `30s` or `2m`, is wanted")
        })?;
        if !(1..=64).contains(&settings.in_flight) {
            return Err(invalid("/in_flight", "1 to 64 requests can be in flight"));
        }
        let undo = settings.compensate.as_ref().map(|undo| self::undo(&base, undo, &settings)).transpose()?;
        let probe = settings.probe.as_ref().map(|probe| ask(&base, probe)).transpose()?;
        let check = check(&base, settings.check.as_ref())?;
        let write = write(&base, &settings, undo.as_ref())?;
        let idempotency = idempotency(&settings, &write)?;
        if let Some(ask) = &probe {
            can_find(ask, &write)?;
        }
        let taken = write.template.header_names().chain(undo.iter().flat_map(|undo| undo.template.header_names()));
        let credentials = settings.auth.as_ref().map_or(Ok(Credentials::None), |auth| auth.open(taken))?;
        Ok(Self { credentials, timeout_ms, in_flight: settings.in_flight, idempotency, write, undo, probe, check })
    }
}

fn write(base: &str, settings: &Settings, undo: Option<&Undo>) -> Result<Write, CallError> {
    let around = if settings.batch.is_some() { Spot::Fixed } else { Spot::Record };
    let body = match (&settings.body, settings.method) {
        (Some(body), _) => Some(read_body("/body", body, Spot::Record)?),
        (None, Method::Get | Method::Delete) if settings.batch.is_none() => None,
        (None, _) => Some(Body::payload()),
    };
    let template = Template {
        method: settings.method,
        url: url(base, "/path", &settings.path, around)?,
        headers: headers("/headers", &settings.headers, around)?,
        body,
    };
    if let Some(name) = &settings.idempotency_header {
        check_header("/idempotency_header", name)?;
        if template.header_names().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(invalid("/idempotency_header", format!("the header `{name}` stands in `headers` too")));
        }
    }
    let kept = undo.map(|undo| undo.template.places()).unwrap_or_default();
    let kept: Vec<Place> =
        kept.into_iter().filter(|place| !matches!(place, Place::Id | Place::Key | Place::TargetId)).cloned().collect();
    let reading = Reading {
        statuses: meanings("/statuses", &settings.statuses, &[])?,
        repeatable: settings.idempotency_header.is_some() || settings.key_in_request || settings.upsert,
        ok_if: settings.ok_if.as_ref().map(|condition| holds("/ok_if", condition)).transpose()?,
        target_id: pointer("/target_id", settings.target_id.as_deref())?,
        error_message: pointer("/error_message", settings.error_message.as_deref())?,
        error_field: pointer("/error_field", settings.error_field.as_deref())?,
    };
    let many = settings.batch.as_ref().map(|batch| many(batch, settings)).transpose()?;
    if undo.is_some_and(|undo| undo.template.places().contains(&&Place::TargetId)) && reading.target_id.is_none() {
        return Err(invalid("/target_id", "`compensate` needs `{{ target_id }}`: say where it stands in the answer"));
    }
    let places = template.places().into_iter().chain(&kept);
    let wanted = Pointers::of(places.filter_map(Place::payload_pointer));
    Ok(Write { template, idempotency_header: settings.idempotency_header.clone(), reading, many, kept, wanted })
}

fn many(batch: &Batch, settings: &Settings) -> Result<Many, CallError> {
    if !(2..=1000).contains(&batch.records) {
        return Err(invalid("/batch/records", "2 to 1,000 records go into one request"));
    }
    if settings.idempotency_header.is_some() {
        let problem = "a header holds one key, and a request of many records needs many: put `{{ key }}` into `body` and \
                       say `key_in_request = true`";
        return Err(invalid("/idempotency_header", problem));
    }
    let body = match &batch.body {
        Some(body) => read_body("/batch/body", body, Spot::Records)?,
        None => Body::records(),
    };
    if body.places().len() != 1 {
        return Err(invalid("/batch/body", "`{{ records }}` must stand in it, once"));
    }
    let answers = pointer("/batch/answers", batch.answers.as_deref())?;
    let status = pointer("/batch/status", batch.status.as_deref())?;
    match &answers {
        Some(_) if status.is_none() && settings.ok_if.is_none() => {
            Err(invalid("/batch/answers", "say with `batch.status` or `ok_if` what each answer means"))
        }
        None if status.is_some() => Err(invalid("/batch/status", "it needs `batch.answers`, in which it stands")),
        None if settings.target_id.is_some() => {
            Err(invalid("/target_id", "one id for many records makes no sense: it needs `batch.answers`"))
        }
        _ => Ok(Many { records: batch.records as usize, body, answers, status }),
    }
}

fn undo(base: &str, written: &Compensate, settings: &Settings) -> Result<Undo, CallError> {
    let custom = [StatusPattern::Code(404), StatusPattern::Code(410)];
    let template = Template {
        method: written.method,
        url: url(base, "/compensate/path", &written.path, Spot::Undo)?,
        headers: headers("/compensate/headers", &written.headers, Spot::Undo)?,
        body: written.body.as_ref().map(|body| read_body("/compensate/body", body, Spot::Undo)).transpose()?,
    };
    let reading = Reading {
        statuses: meanings("/compensate/statuses", &written.statuses, &custom)?,
        repeatable: true,
        ok_if: None,
        target_id: None,
        error_message: pointer("/error_message", settings.error_message.as_deref())?,
        error_field: None,
    };
    Ok(Undo { template, reading })
}

fn ask(base: &str, written: &Probe) -> Result<Ask, CallError> {
    let ProbeStatuses { answered, not_applied, retryable, unauthorized } = &written.statuses;
    let lists: [(Seen, &str, &[StatusPattern]); 4] = [
        (Seen::Answered, "answered", answered),
        (Seen::NotApplied, "not_applied", not_applied),
        (Seen::Later, "retryable", retryable),
        (Seen::Unauthorized, "unauthorized", unauthorized),
    ];
    Ok(Ask {
        template: Template {
            method: written.method,
            url: url(base, "/probe/path", &written.path, Spot::Record)?,
            headers: headers("/probe/headers", &written.headers, Spot::Record)?,
            body: written.body.as_ref().map(|body| read_body("/probe/body", body, Spot::Record)).transpose()?,
        },
        statuses: table("/probe/statuses", &lists)?,
        applied: written.applied.as_ref().map(|condition| holds("/probe/applied", condition)).transpose()?,
        not_applied: written
            .not_applied
            .as_ref()
            .map(|condition| holds("/probe/not_applied", condition))
            .transpose()?,
        target_id: pointer("/probe/target_id", written.target_id.as_deref())?,
    })
}

/// A probe that looks for a key which no write sends would find nothing, say "not applied", and have the record
/// written twice.
fn can_find(ask: &Ask, write: &Write) -> Result<(), CallError> {
    if write.idempotency_header.is_some() || write.template.places().contains(&&Place::Key) {
        return Ok(());
    }
    let Some(place) = ask.template.place_of(&Place::Key) else { return Ok(()) };
    let problem = "the probe looks for `{{ key }}`, which no write sends: it would never find anything";
    let fix = "say in which header the API wants the key with `idempotency_header`, put `{{ key }}` into `path`, \
               `headers` or `body` of the write, or have the probe look for something that the write does send, such as \
               `{{ id }}` or a value of the payload";
    let failure = Failure::new("invalid-settings", problem).pointer(format!("/probe{place}")).detail(fix);
    Err(CallError::invalid_settings(failure))
}

fn check(base: &str, written: Option<&Check>) -> Result<CheckPlan, CallError> {
    let any_success = [StatusPattern::Class("2xx".to_owned())];
    let (method, path, ok) = match written {
        Some(check) => (check.method, check.path.as_str(), check.ok.as_slice()),
        None => (Method::Get, "", [].as_slice()),
    };
    let ok = if ok.is_empty() { &any_success } else { ok };
    let url = url(base, "/check/path", path, Spot::Fixed)?;
    Ok(CheckPlan {
        template: Template { method, url, headers: Vec::new(), body: None },
        ok: table("/check", &[((), "ok", ok)])?,
        any_answer: written.is_none(),
    })
}

fn idempotency(settings: &Settings, write: &Write) -> Result<Idempotency, CallError> {
    let promises = [settings.idempotency_header.is_some(), settings.key_in_request, settings.upsert];
    if promises.iter().filter(|promise| **promise).count() > 1 {
        return Err(invalid("", "of `idempotency_header`, `key_in_request` and `upsert` only one can be"));
    }
    if settings.key_in_request && !write.template.places().contains(&&Place::Key) {
        return Err(invalid("/key_in_request", "no template of the write has `{{ key }}` in it"));
    }
    Ok(match (settings.upsert, promises.contains(&true), &settings.probe) {
        (true, ..) => Idempotency::Upsert,
        (false, true, _) => Idempotency::NativeKey,
        (false, false, Some(_)) => Idempotency::Probe,
        (false, false, None) => Idempotency::None,
    })
}

fn url(base: &str, place: &str, path: &str, spot: Spot) -> Result<Text, CallError> {
    let text = Text::parse(path, spot).map_err(|problem| invalid(place, problem))?;
    match path_problem(&text) {
        Some(problem) => Err(invalid(place, problem)),
        None => Ok(text.after(base)),
    }
}

fn headers(place: &str, written: &BTreeMap<String, String>, spot: Spot) -> Result<Vec<(String, Text)>, CallError> {
    let header = |(name, value): (&String, &String)| {
        let place = format!("{place}{}", Pointer::of([name.clone()]));
        check_header(&place, name)?;
        if ["authorization", "proxy-authorization", "cookie"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return Err(invalid(&place, "credentials belong into `auth`, which names secrets and holds none"));
        }
        let text = Text::parse(value, spot).map_err(|problem| invalid(&place, problem))?;
        if text.literals().any(|literal| literal.chars().any(char::is_control)) {
            return Err(invalid(&place, "a header cannot hold control characters"));
        }
        Ok((name.clone(), text))
    };
    written.iter().map(header).collect()
}

fn read_body(place: &str, written: &Value, spot: Spot) -> Result<Body, CallError> {
    Body::parse(written, spot).map_err(|error| invalid(&format!("{place}{}", error.pointer), error.problem))
}

fn pointer(place: &str, written: Option<&str>) -> Result<Option<Pointer>, CallError> {
    written.map(|text| Pointer::parse(text).map_err(|problem| invalid(place, problem))).transpose()
}

fn holds(place: &str, written: &Condition) -> Result<Holds, CallError> {
    let pointer = Pointer::parse(&written.pointer).map_err(|problem| invalid(&format!("{place}/pointer"), problem))?;
    Ok(Holds { pointer, equals: written.equals.clone() })
}

/// The table of a write or an undo; `unchanged` counts as written where the settings say nothing of these statuses.
fn meanings(place: &str, written: &Statuses, unchanged: &[StatusPattern]) -> Result<Table<Meaning>, CallError> {
    let Statuses { ok, unchanged: same, rejected, retryable, unauthorized, unknown } = written;
    let lists: [(Meaning, &str, &[StatusPattern]); 6] = [
        (Ok(Done::Now), "ok", ok),
        (Ok(Done::Before), "unchanged", same),
        (Err(NotDone::Rejected), "rejected", rejected),
        (Err(NotDone::Retryable), "retryable", retryable),
        (Err(NotDone::Unauthorized), "unauthorized", unauthorized),
        (Err(NotDone::Unknown), "unknown", unknown),
    ];
    let table = table(place, &lists)?;
    let silent = |pattern: &&StatusPattern| match pattern {
        StatusPattern::Code(code) => table.of(*code).is_none(),
        StatusPattern::Class(_) => true,
    };
    let custom: Vec<StatusPattern> = unchanged.iter().filter(silent).chain(same).cloned().collect();
    let with_custom = lists.map(|(meaning, name, list)| match meaning {
        Ok(Done::Before) => (meaning, name, custom.as_slice()),
        _ => (meaning, name, list),
    });
    self::table(place, &with_custom)
}

fn table<M: Copy + PartialEq>(place: &str, lists: &[(M, &str, &[StatusPattern])]) -> Result<Table<M>, CallError> {
    let bare: Vec<(M, &[StatusPattern])> = lists.iter().map(|(meaning, _, list)| (*meaning, *list)).collect();
    Table::new(&bare).map_err(|TableError { list, position, problem }| {
        let name = lists.iter().find(|(meaning, ..)| *meaning == list).map_or("", |(_, name, _)| name);
        invalid(&format!("{place}/{name}/{position}"), problem)
    })
}
