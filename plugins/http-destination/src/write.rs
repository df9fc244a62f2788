//! Writing a batch: one record a request, or many.

use std::collections::VecDeque;

use crossdock_sdk::{Answers, Batch, CallError, Failure, Record, Write, http, log};
use http::{HttpError, Response};
use serde_json::value::RawValue;

use crate::{
    answer::{Judged, Mood, capped, into_write},
    pace::{Pace, Timer},
    plan::{Many, Plan},
    request::Rendered,
    status::{Done, NotDone},
    values::{self, Receipt, RecordsValue},
};

/// The host keeps at most so much of a target id.
pub(crate) const TARGET_ID_MAX_BYTES: usize = 512;

/// Records whose request is ready to be sent.
struct Ready<'a> {
    records: Vec<(Record<'a>, Receipt)>,
    request: Rendered,
}

/// Records whose request was begun.
struct Begun<'a> {
    number: http::Begun,
    records: Vec<(Record<'a>, Receipt)>,
    timer: Timer,
}

/// One call of `write`.
struct Writing<'p, 'a, 'b> {
    plan: &'p Plan,
    answers: &'p mut Answers<'b>,
    pace: Pace,
    mood: Mood,
    /// Records that go into one request together; one alone if they are not applied together.
    queue: VecDeque<Vec<Record<'a>>>,
    begun: Vec<Begun<'a>>,
    /// Something may have reached the other system.
    sent: bool,
    /// No more requests are begun, whatever comes of those that were.
    stopped: bool,
    /// The address that the grant does not cover.
    not_granted: Option<HttpError>,
}

/// Writes a batch.
///
/// # Errors
/// The grant does not cover the address, and nothing was sent.
pub(crate) fn write(plan: &Plan, batch: &Batch<'_>, answers: &mut Answers<'_>) -> Result<(), CallError> {
    let in_order = answers.stop_at_first_failure();
    // An answer for many can hold failures in front of successes, so in order means one by one.
    let together = plan.write.many.as_ref().filter(|_| !in_order).map_or(1, |many| many.records);
    let records: Vec<Record<'_>> = batch.iter().collect();
    let queue = records.chunks(together).map(<[Record<'_>]>::to_vec).collect();
    let mut writing = Writing {
        plan,
        answers,
        pace: Pace::new(plan.timeout_ms),
        mood: Mood::default(),
        queue,
        begun: Vec::new(),
        sent: false,
        stopped: false,
        not_granted: None,
    };
    writing.run(if in_order { 1 } else { plan.in_flight as usize });
    match writing.not_granted {
        Some(error) if !writing.sent => return Err(CallError::not_granted(Failure::from(error))),
        _ => answers.leave_rest_untouched(),
    }
    Ok(())
}

impl<'a> Writing<'_, 'a, '_> {
    /// Sends requests, as many at once as there are lanes: when one is answered, the next one is begun.
    fn run(&mut self, lanes: usize) {
        loop {
            while self.begun.len() < lanes && self.begin() {}
            match http::next() {
                Some((number, answer)) => self.take(number, &answer),
                None => break,
            }
        }
        let lost = Err(HttpError::NoAnswer("the host gave no answer to the request".to_owned()));
        for begun in std::mem::take(&mut self.begun) {
            self.settle_one(begun, &lost);
        }
    }

    /// Begins one more request. False if no more should be sent now.
    fn begin(&mut self) -> bool {
        while !self.stopped && !self.mood.says_stop() {
            // A queue that is empty now is filled again when a rejected request is taken apart.
            if self.queue.is_empty() {
                return false;
            }
            let Some(timeout_ms) = self.pace.next() else {
                self.stopped = true;
                return false;
            };
            let Some(records) = self.queue.pop_front() else { return false };
            match self.prepare(records) {
                Some(Ready { records, request }) => {
                    let handle = match records.as_slice() {
                        [(record, _)] => Some(record.handle()),
                        _ => None,
                    };
                    let timer = Timer::start();
                    let number = http::begin(request.request(&self.plan.credentials, timeout_ms, handle));
                    self.begun.push(Begun { number, records, timer });
                    return true;
                }
                // The failure was the record's own, and nothing behind it may be touched.
                None => self.stopped |= self.answers.stop_at_first_failure(),
            }
        }
        false
    }

    /// Says what became of the records of a request.
    fn take(&mut self, number: http::Begun, answer: &Result<Response, HttpError>) {
        let Some(place) = self.begun.iter().position(|begun| begun.number == number) else { return };
        let begun = self.begun.swap_remove(place);
        self.settle_one(begun, answer);
    }

    fn settle_one(&mut self, begun: Begun<'a>, answer: &Result<Response, HttpError>) {
        self.pace.took(begun.timer);
        match answer {
            Err(error @ HttpError::NotGranted(_)) => {
                self.not_granted.get_or_insert_with(|| error.clone());
            }
            Err(HttpError::NotConnected(_) | HttpError::Invalid(_)) => {}
            _ => self.sent = true,
        }
        let by_item = self.plan.write.many.as_ref().is_some_and(|many| many.answers.is_some());
        let reading = &self.plan.write.reading;
        let judged = if by_item { reading.judge_whole(answer) } else { reading.judge(answer) };
        self.mood.notice(answer, &judged);
        let done = self.settle(begun.records, answer, judged);
        self.stopped |= !done && self.answers.stop_at_first_failure();
    }

    /// The request for these records, without those that cannot be in one: they are rejected. None if none is left.
    fn prepare(&mut self, records: Vec<Record<'a>>) -> Option<Ready<'a>> {
        let mut fit = Vec::with_capacity(records.len());
        let mut bodies = Vec::with_capacity(records.len());
        for record in records {
            match self.render(&record) {
                Ok((receipt, rendered)) => {
                    fit.push((record, receipt));
                    bodies.push(rendered);
                }
                Err(failure) => self.answers.set(&record, Write::rejected(failure)),
            }
        }
        if bodies.is_empty() {
            return None;
        }
        let request = match &self.plan.write.many {
            None => Ok(bodies.swap_remove(0)),
            Some(many) => joined(bodies, many),
        };
        match request {
            Ok(request) => Some(Ready { records: fit, request }),
            Err(failure) => {
                for (record, _) in fit {
                    self.answers.set(&record, Write::rejected(failure.clone()));
                }
                None
            }
        }
    }

    fn render(&self, record: &Record<'a>) -> Result<(Receipt, Rendered), Failure> {
        let write = &self.plan.write;
        let values = values::Writing::new(*record, &write.wanted);
        let receipt = Receipt::of_record(&write.kept, &values)?;
        let mut rendered = write.template.render(&values)?;
        if let Some(header) = &write.idempotency_header {
            rendered.headers.push((header.clone(), record.key().to_owned()));
        }
        Ok((receipt, rendered))
    }

    /// Says what became of the records of one request. False if one of them is not done.
    fn settle(
        &mut self,
        records: Vec<(Record<'a>, Receipt)>,
        answer: &Result<Response, HttpError>,
        judged: Judged,
    ) -> bool {
        let many = self.plan.write.many.as_ref();
        let answers = many.and_then(|many| many.answers.as_ref()).zip(answer.as_ref().ok());
        if let (Ok(_), Some((pointer, response))) = (&judged, answers) {
            let items = pointer.find(&response.body).ok().flatten();
            let items = items.and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok());
            return self.settle_items(records, response, &items.unwrap_or_default());
        }
        if matches!(judged, Err((NotDone::Rejected, _))) && records.len() > 1 {
            // Nothing was applied, and one record may be to blame for it: look for it in halves.
            let mut first: Vec<Record<'a>> = records.into_iter().map(|(record, _)| record).collect();
            let second = first.split_off(first.len() / 2);
            self.queue.push_front(second);
            self.queue.push_front(first);
            return true;
        }
        let done = judged.is_ok();
        let body = answer.as_ref().map(|response| response.body.as_slice()).unwrap_or_default();
        for (record, receipt) in records {
            self.set(&record, receipt, judged.clone(), body);
        }
        done
    }

    /// Says what became of each record by its own part of the answer.
    fn settle_items(&mut self, records: Vec<(Record<'a>, Receipt)>, response: &Response, items: &[&RawValue]) -> bool {
        if items.len() != records.len() {
            let message = format!(
                "the other system gave {} answers for {} records, so nobody can tell which is whose",
                items.len(),
                records.len()
            );
            let failure = Failure::new("answers-do-not-match", message).detail(capped(&response.body));
            for (record, _) in &records {
                self.answers.set(record, Write::unknown(failure.clone()));
            }
            return false;
        }
        let status = self.plan.write.many.as_ref().and_then(|many| many.status.as_ref());
        let mut all_done = true;
        for ((record, receipt), item) in records.into_iter().zip(items) {
            let part = item.get().as_bytes();
            let judged = self.plan.write.reading.judge_item(status, response, part);
            all_done &= judged.is_ok();
            self.set(&record, receipt, judged, part);
        }
        all_done
    }

    fn set(&mut self, record: &Record<'_>, mut receipt: Receipt, judged: Judged, part: &[u8]) {
        let reading = &self.plan.write.reading;
        let done = match judged {
            Ok(done) => done,
            Err((not_done, failure)) => {
                let failure = self.blaming(failure, part);
                return self.answers.set(record, into_write(Err((not_done, failure))));
            }
        };
        let mut write = into_write(Ok(done));
        let id = reading.target_id(part);
        match &id {
            Some(id) if id.len() <= TARGET_ID_MAX_BYTES => write = write.target_id(id.clone()),
            Some(_) => log::warn(format!("record {}: the target id is longer than 512 bytes", record.id())),
            None if reading.target_id.is_some() => {
                log::warn(format!("record {}: written, but the answer holds no target id", record.id()));
            }
            None => {}
        }
        // What was there before this write is not this write's to undo.
        if done == Done::Now && self.plan.undo.is_some() {
            receipt.target_id = id;
            receipt.add_answer(&self.plan.write.kept, part);
            match receipt.finish() {
                Some(bytes) => write = write.receipt(bytes),
                None => log::warn(format!("record {}: what undoing it needs is larger than 16 KiB", record.id())),
            }
        }
        self.answers.set(record, write);
    }

    /// The failure with a pointer to the field of the payload that the answer blames, if it blames one.
    fn blaming(&self, failure: Failure, part: &[u8]) -> Failure {
        let blamed = self.plan.write.reading.blamed(part);
        let origin =
            blamed.zip(self.plan.write.template.body.as_ref()).and_then(|(sent, body)| body.origin(sent.tokens()));
        match origin {
            Some(pointer) => failure.pointer(pointer.to_string()),
            None => failure,
        }
    }
}

/// One request for many records.
fn joined(bodies: Vec<Rendered>, many: &Many) -> Result<Rendered, Failure> {
    let mut bodies = bodies.into_iter();
    let mut array = vec![b'['];
    let mut request = None;
    for rendered in bodies.by_ref() {
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend_from_slice(rendered.body.as_deref().unwrap_or(b"null"));
        request.get_or_insert(Rendered { body: None, ..rendered });
    }
    array.push(b']');
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new("not-json", format!("the records do not make one JSON array: {error}"))
    };
    let text = String::from_utf8(array).map_err(|error| unreadable(&error))?;
    let raw = RawValue::from_string(text).map_err(|error| unreadable(&error))?;
    let mut body = Vec::new();
    many.body.render(&RecordsValue(&raw), &mut body)?;
    let request = request.map_or_else(|| Err(unreadable(&"there are none")), Ok)?;
    Ok(Rendered { body: Some(body), ..request })
}
