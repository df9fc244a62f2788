//! Undoing records: one request a record, newest first, one after the other.

use crossdock_sdk::{CallError, Failure, Undo, UndoAnswers, UndoBatch, UndoRecord, http};

use crate::{
    answer::{Mood, into_undo},
    pace::Pace,
    plan::{self, Plan},
    request::Rendered,
    values::Undoing,
};

/// Undoes a batch.
///
/// # Errors
/// The settings have no request for it, or the grant does not cover the address and nothing was sent.
pub(crate) fn undo(plan: &Plan, batch: &UndoBatch<'_>, answers: &mut UndoAnswers<'_>) -> Result<(), CallError> {
    let Some(undo) = &plan.undo else {
        return Err(CallError::invalid_settings("the settings have no `compensate`, so nothing can be undone"));
    };
    let mut pace = Pace::new(plan.timeout_ms);
    let mut sent = false;
    for record in batch.iter() {
        let Some(timeout_ms) = pace.next() else { break };
        let request = match render(undo, record) {
            Ok(rendered) => rendered.request(&plan.credentials, timeout_ms, Some(record.handle())),
            Err(failure) => {
                answers.set(&record, Undo::rejected(failure));
                continue;
            }
        };
        let answer = pace.time(|| http::send(request));
        match &answer {
            Err(error @ http::HttpError::NotGranted(_)) if !sent => {
                return Err(CallError::not_granted(Failure::from(error.clone())));
            }
            Err(error) => sent |= error.may_have_been_sent(),
            Ok(_) => sent = true,
        }
        let judged = undo.reading.judge(&answer);
        let mut mood = Mood::default();
        mood.notice(&answer, &judged);
        answers.set(&record, into_undo(judged));
        if mood.says_stop() {
            break;
        }
    }
    answers.leave_rest_untouched();
    Ok(())
}

fn render(undo: &plan::Undo, record: UndoRecord<'_>) -> Result<Rendered, Failure> {
    undo.template.render(&Undoing::new(record)?)
}
