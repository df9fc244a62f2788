//! Faults: what the stand-in does wrong on purpose, by rules that can be changed while it runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One rule: which requests it meets, and what happens to them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Meets only documents with these references. In a batch, `answer` then meets those items alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<Vec<String>>,
    /// Meets only requests with this method; `*` is any. Without it `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Happens this often, then no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Happens to every n-th request that the rule meets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,

    /// Answers with this status, 400 to 599, and applies nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<u16>,
    /// With `answer`: the header `Retry-After`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// With `answer`: the field that the error names, as a JSON pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// With `answer`: the error's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Closes the connection without an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Answers this much later. The request takes effect at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

/// When the connection is cut.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Before the request takes effect.
    Before,
    /// After it took effect.
    After,
}

/// Rules that contradict themselves.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidFaults {
    position: usize,
    problem: &'static str,
}

impl std::fmt::Display for InvalidFaults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fault {}: {}", self.position + 1, self.problem)
    }
}

impl std::error::Error for InvalidFaults {}

/// The rules in force, and how often each of them met and happened.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Counted>);

#[derive(Clone, Debug, Serialize)]
struct Counted {
    #[serde(flatten)]
    rule: Rule,
    met: u64,
    happened: u64,
}

/// What the rules make of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Answer the whole request with this.
    pub(crate) answer: Option<Rule>,
    pub(crate) cut: Option<Cut>,
    pub(crate) delay: Duration,
}

impl Faults {
    /// Puts rules in force, all counts at zero.
    ///
    /// # Errors
    /// If a rule does nothing, or says two things that exclude each other.
    pub fn new(rules: Vec<Rule>) -> Result<Self, InvalidFaults> {
        for (position, rule) in rules.iter().enumerate() {
            if let Some(problem) = problem(rule) {
                return Err(InvalidFaults { position, problem });
            }
        }
        Ok(Self(rules.into_iter().map(|rule| Counted { rule, met: 0, happened: 0 }).collect()))
    }

    /// What happens to a request for these references. The first rule that answers or cuts decides; delays add up.
    pub(crate) fn meet(&mut self, method: &str, references: &[&str]) -> Verdict {
        let mut verdict = Verdict::default();
        for counted in &mut self.0 {
            let of_an_item = counted.rule.answer.is_some() && references.len() > 1 && counted.rule.references.is_some();
            let decided = verdict.answer.is_some() || verdict.cut.is_some();
            let decides = counted.rule.answer.is_some() || counted.rule.cut.is_some();
            if of_an_item || (decided && decides) || !counted.happens(method, references) {
                continue;
            }
            verdict.delay += Duration::from_millis(counted.rule.delay_ms.unwrap_or(0));
            verdict.cut = verdict.cut.or(counted.rule.cut);
            if counted.rule.answer.is_some() {
                verdict.answer = Some(counted.rule.clone());
            }
        }
        verdict
    }

    /// The answer for one item of a batch, if a rule refuses it by its reference.
    pub(crate) fn meet_item(&mut self, method: &str, reference: &str) -> Option<Rule> {
        self.0
            .iter_mut()
            .filter(|counted| counted.rule.answer.is_some() && counted.rule.references.is_some())
            .find_map(|counted| counted.happens(method, &[reference]).then(|| counted.rule.clone()))
    }

    pub(crate) fn as_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).unwrap_or_default()
    }
}

impl Counted {
    fn happens(&mut self, method: &str, references: &[&str]) -> bool {
        let wanted = self.rule.method.as_deref().unwrap_or("POST");
        let method_fits = wanted == "*" || wanted.eq_ignore_ascii_case(method);
        let reference_fits = self.rule.references.as_ref().is_none_or(|list| {
            references.iter().any(|reference| list.iter().any(|wanted| wanted.as_str() == *reference))
        });
        if !method_fits || !reference_fits || self.rule.times.is_some_and(|times| self.happened >= times) {
            return false;
        }
        self.met += 1;
        let happens = self.met.is_multiple_of(self.rule.every.unwrap_or(1));
        self.happened += u64::from(happens);
        happens
    }
}

fn problem(rule: &Rule) -> Option<&'static str> {
    let refines_answer = rule.retry_after_s.is_some() || rule.field.is_some() || rule.message.is_some();
    match (rule.answer, rule.cut, rule.delay_ms) {
        (None, None, None) => Some("does nothing: give one of \"answer\", \"cut\", \"delay_ms\""),
        (Some(_), Some(_), _) => Some("\"answer\" and \"cut\" exclude each other"),
        (Some(status), ..) if !(400..=599).contains(&status) => Some("\"answer\" must be a status from 400 to 599"),
        (None, ..) if refines_answer => {
            Some("\"retry_after_s\", \"field\" and \"message\" need an \"answer\" they belong to")
        }
        _ if rule.every == Some(0) => Some("\"every\" must be 1 or more"),
        _ => None,
    }
}
