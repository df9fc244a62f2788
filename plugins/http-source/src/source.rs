//! Reads the list, one request a page at most.

use std::collections::{HashSet, VecDeque};

use crossdock_sdk::{CallError, Description, Failure, More, Page, Source, http, log};

use crate::{
    answer::{NoPage, good, list, next_page, repeats, says_no},
    items::{Item, check_ascending},
    plan::{NextPlan, Plan},
    position::{Position, Since},
    settings::Settings,
};

/// How many records of a list are remembered, to leave out what comes twice; then it begins anew to remember.
const REMEMBERED_MAX: usize = 1_000_000;

/// How many pages in a row may have nothing but what was read before.
const REPEATED_PAGES_MAX: u32 = 10;

/// The source. What it keeps between two calls saves work and leaves out what comes twice; everything that must survive
/// is in the checkpoint.
#[derive(Debug)]
pub struct HttpSource {
    plan: Plan,
    /// The checkpoint that the rest belongs to; `None` is the beginning.
    checkpoint: Option<Vec<u8>>,
    position: Position,
    /// The position comes from a checkpoint, and nothing was asked since.
    taken_up: bool,
    /// What was asked for and not given yet.
    waiting: VecDeque<Item>,
    /// What comes when nothing waits any more: the position, and whether to ask again at once.
    then: (Position, More),
    /// Fingerprints of the ids that were given of this list.
    given: HashSet<u64>,
    repeated_pages: u32,
}

impl Source for HttpSource {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            "http-source",
            env!("CARGO_PKG_VERSION"),
            "Reads records from lists of a JSON REST API, page by page.",
        )
        .wants_http("the API that `base` names")
        .wants_secret("the credentials that `auth` names, if it names any")
        .max_batch(10_000)
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        Ok(Self {
            plan: Plan::new(&settings)?,
            checkpoint: None,
            position: Position::beginning(),
            taken_up: false,
            waiting: VecDeque::new(),
            then: (Position::beginning(), More::Idle),
            given: HashSet::new(),
            repeated_pages: 0,
        })
    }

    fn re_reads(&self) -> bool {
        self.plan.re_reads
    }

    fn read(&mut self, checkpoint: Option<&[u8]>, page: &mut Page) -> Result<More, CallError> {
        if self.checkpoint.as_deref() != checkpoint {
            let position = checkpoint.map(Position::decode).transpose()?;
            self.forget();
            self.taken_up = position.is_some();
            self.position = position.unwrap_or_else(Position::beginning);
        }
        let read = self.fill(page);
        match &read {
            Ok((_, checkpoint)) => {
                page.checkpoint(checkpoint.clone());
                self.checkpoint = Some(checkpoint.clone());
            }
            Err(_) => {
                // Asked again, it begins where the host says.
                self.forget();
                self.position = checkpoint.map(Position::decode).transpose()?.unwrap_or_else(Position::beginning);
                self.checkpoint = checkpoint.map(<[u8]>::to_vec);
                self.taken_up = checkpoint.is_some();
            }
        }
        read.map(|(more, _)| more)
    }

    fn check(&mut self) -> Result<(), CallError> {
        let (request, is_list) = self.plan.check_request();
        let response = good(http::send(request))?;
        if is_list {
            list(&self.plan, &response)?;
        }
        Ok(())
    }
}

impl HttpSource {
    fn forget(&mut self) {
        self.checkpoint = None;
        self.waiting.clear();
        self.given.clear();
        self.repeated_pages = 0;
    }

    /// Fills a page, and says what comes after it and where that is.
    fn fill(&mut self, page: &mut Page) -> Result<(More, Vec<u8>), CallError> {
        if self.waiting.is_empty() {
            self.ask()?;
        }
        let mut last = None;
        while let Some(item) = self.waiting.pop_front() {
            if page.is_full() || !page.fits(item.id.len() + item.payload.len()) {
                self.waiting.push_front(item);
                break;
            }
            let record = page.push(&item.id, &item.payload);
            let record = match &item.order_key {
                Some(key) => record.order_key(key),
                None => record,
            };
            if let Some(failure) = item.failure {
                record.unreadable(failure);
            }
            last = Some(item.id);
        }
        let (position, more) = if self.waiting.is_empty() {
            let (then, more) = self.then.clone();
            if more != More::More {
                // The list is at its end; what is asked for later is another one.
                self.given.clear();
                self.repeated_pages = 0;
            }
            (then, more)
        } else {
            let position = self.position.clone();
            (last.clone().map_or(position.clone(), |id| position.after(id)), More::More)
        };
        // A list without records that was asked for from its beginning has not moved anything.
        if last.is_some() || position != self.position {
            self.position = position.counted_on(&self.position);
        }
        Ok((more, self.position.encode()?))
    }

    /// Asks for the page at the position, and notes what is in it and what comes then.
    fn ask(&mut self) -> Result<(), CallError> {
        let goes_on = matches!(self.plan.next, NextPlan::Since { .. });
        let answer = good(http::send(self.plan.request(&self.position)));
        let response = match answer {
            Ok(response) => response,
            Err(NoPage::Gone(status, error)) if self.position.page.is_some() => {
                return self.page_is_gone(status, error);
            }
            Err(error) => return Err(error.into()),
        };
        self.taken_up = false;
        let raw = list(&self.plan, &response)?;
        let items: Vec<Item> = raw.into_iter().map(|raw| Item::new(&self.plan, raw)).collect();
        let asked_for = items.len();
        if goes_on {
            self.go_on(items, says_no(self.plan.more.as_ref(), &response))
        } else {
            let next = next_page(&self.plan, &self.position, &response, asked_for)?;
            self.list_anew(items, next)
        }
    }

    /// A later page is not there. Of numbered pages that is the end; and what asks for a page may be too old if it comes
    /// from a checkpoint: then the list is asked for anew.
    fn page_is_gone(&mut self, status: u16, error: CallError) -> Result<(), CallError> {
        let anew = self.position.anew();
        if self.taken_up {
            log::warn(format!("the list is asked for anew, because the page in the checkpoint is gone: {error}"));
            self.taken_up = false;
            self.position = anew;
            return self.ask();
        }
        if status == 404 && matches!(self.plan.next, NextPlan::Number { .. }) {
            self.then = (anew, More::Idle);
            return Ok(());
        }
        Err(error)
    }

    /// A page of a list that each run asks for anew.
    fn list_anew(&mut self, items: Vec<Item>, next: Option<String>) -> Result<(), CallError> {
        let on_page = items.len();
        let mut items = self.without_repeats(items);
        let fresh = items.len();
        // What was given before the host began again here. If the last of it is gone, all the others are given again.
        let after = self.position.after.as_ref();
        if let Some(at) = after.and_then(|after| items.iter().position(|item| item.id == *after)) {
            items.drain(..=at);
        }
        if self.given.len() > REMEMBERED_MAX {
            self.given.clear();
        }
        self.given.extend(items.iter().map(Item::fingerprint));
        self.repeated_pages = if on_page > 0 && fresh == 0 { self.repeated_pages + 1 } else { 0 };
        if self.repeated_pages > REPEATED_PAGES_MAX {
            return Err(repeats("one page after the other has only records that were read before"));
        }
        let anew = self.position.anew();
        self.then = match next {
            Some(page) => (anew.on_page(page), More::More),
            None => (anew, More::Idle),
        };
        self.waiting = items.into();
        Ok(())
    }

    /// A page of a list that goes on from run to run.
    fn go_on(&mut self, items: Vec<Item>, is_last: bool) -> Result<(), CallError> {
        let before = self.position.since.clone();
        check_ascending(before.as_ref().map(|since| since.value.as_str()), &items)?;
        let on_page = items.len();
        let mut items = self.without_repeats(items);
        items.retain(|item| !before.as_ref().is_some_and(|since| since.ids.contains(&item.id)));
        let fresh = items.len();
        let is_full = self.plan.full().is_some_and(|full| on_page >= full);
        let says_more = self.plan.more.is_some() && !is_last;
        if fresh == 0 && on_page > 0 && (is_full || says_more) {
            let message = "a full page has only records that were read before, all of them with the same value: raise \
                           `page_size`, or take a value that tells records apart better";
            return Err(CallError::invalid_settings(Failure::new("stuck-at-one-value", message).pointer("/page_size")));
        }
        let mut since = before;
        for item in &items {
            if let Some(value) = &item.value {
                since = Some(Since::passed(since, value, &item.id)?);
            }
        }
        if let Some(after) = &self.position.after
            && let Some(at) = items.iter().position(|item| item.id == *after)
        {
            items.drain(..=at);
        }
        let more = if is_last || fresh == 0 { More::Idle } else { More::More };
        self.then = (self.position.anew().read_to(since), more);
        self.waiting = items.into();
        Ok(())
    }

    /// Leaves out what was given of this list already, and of what stands twice in a page all but the first; what has
    /// the id of another record, and other content, cannot be read.
    fn without_repeats(&self, items: Vec<Item>) -> Vec<Item> {
        let mut kept: Vec<Item> = Vec::with_capacity(items.len());
        let mut places = std::collections::HashMap::new();
        for item in items {
            if self.given.contains(&item.fingerprint()) {
                continue;
            }
            let item = match places.get(&item.id).map(|place: &usize| &kept[*place]) {
                None => item,
                Some(first) if first.payload == item.payload => continue,
                Some(_) => item.repeated(),
            };
            if places.contains_key(&item.id) {
                continue;
            }
            places.insert(item.id.clone(), kept.len());
            kept.push(item);
        }
        kept
    }
}
