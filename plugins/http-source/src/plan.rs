//! The settings as meant: checked, pointers read, secrets opened; and the requests that come of them.

use std::time::Duration;

use crossdock_sdk::{
    CallError, Failure, http,
    rest::{Credentials, Pointer, base, check_header, invalid_setting as invalid, milliseconds},
};

use crate::{
    position::Position,
    settings::{Next, PageSize, Settings},
};

/// The shortest time that settings may give a request.
const TIMEOUT_MIN_MS: u64 = 100;

/// What the source does with these settings.
#[derive(Debug)]
pub(crate) struct Plan {
    base: String,
    path: String,
    headers: Vec<(String, String)>,
    credentials: Credentials,
    timeout: Duration,
    check: Option<String>,
    page_size: Option<PageSize>,
    pub(crate) records: Pointer,
    pub(crate) id: Vec<Pointer>,
    pub(crate) order_key: Vec<Pointer>,
    pub(crate) next: NextPlan,
    pub(crate) more: Option<Pointer>,
    pub(crate) re_reads: bool,
}

/// How the rest of the list is asked for.
#[derive(Debug)]
pub(crate) enum NextPlan {
    None,
    Link(Pointer),
    LinkHeader,
    Continuation { at: Pointer, parameter: String },
    Number { parameter: String, first: u64 },
    Since { at: Pointer, parameter: String, first: Option<String> },
}

impl Plan {
    pub(crate) fn new(settings: &Settings) -> Result<Self, CallError> {
        let base = base(&settings.base)?;
        let timeout_ms = milliseconds(&settings.timeout).filter(|ms| *ms >= TIMEOUT_MIN_MS).ok_or_else(|| {
            invalid("/timeout", "a time of at least 100ms, such as `500ms`, `30s` or `2m`, is wanted")
        })?;
        check_path("/path", &settings.path)?;
        if let Some(path) = &settings.check {
            check_path("/check", path)?;
        }
        for (name, value) in &settings.headers {
            check_one_header(name, value)?;
        }
        if settings.id.is_empty() {
            return Err(invalid("/id", "at least one value must make the id, for example `[\"/id\"]`"));
        }
        let page_size = settings.page_size.clone();
        if page_size.as_ref().is_some_and(|size| !(1..=10_000).contains(&size.records)) {
            return Err(invalid("/page_size/records", "an answer can have 1 to 10,000 records"));
        }
        let next = next(&settings.next)?;
        let parameters = [
            ("/next", next.parameter()),
            ("/page_size/parameter", page_size.as_ref().map(|size| size.parameter.as_str())),
        ];
        for (place, parameter) in parameters {
            check_parameter(place, parameter, &settings.path)?;
        }
        if parameters[0].1.is_some() && parameters[0].1 == parameters[1].1 {
            return Err(invalid("/page_size/parameter", "`next` has the same field of the query"));
        }
        let taken = settings.headers.keys().map(String::as_str);
        Ok(Self {
            base,
            path: settings.path.clone(),
            headers: settings.headers.clone().into_iter().collect(),
            credentials: settings.auth.as_ref().map_or(Ok(Credentials::None), |auth| auth.open(taken))?,
            timeout: Duration::from_millis(timeout_ms),
            check: settings.check.clone(),
            page_size,
            records: pointer("/records", &settings.records)?,
            id: pointers("/id", &settings.id)?,
            order_key: pointers("/order_key", &settings.order_key)?,
            next,
            more: settings.more.as_ref().map(|text| pointer("/more", text)).transpose()?,
            re_reads: settings.re_reads,
        })
    }

    /// The request for the page at a position.
    pub(crate) fn request(&self, position: &Position) -> http::Request {
        let page = position.page.as_deref();
        let parameter = match &self.next {
            NextPlan::None => None,
            // Such an address has everything in it.
            NextPlan::Link(_) | NextPlan::LinkHeader => match page {
                Some(address) => return self.to(address.to_owned()),
                None => None,
            },
            NextPlan::Continuation { parameter, .. } => page.map(|value| (parameter, value.to_owned())),
            NextPlan::Number { parameter, first } => {
                Some((parameter, page.map_or_else(|| first.to_string(), str::to_owned)))
            }
            NextPlan::Since { parameter, first, .. } => {
                let value = position.since.as_ref().map(|since| since.value.clone()).or_else(|| first.clone());
                value.map(|value| (parameter, value))
            }
        };
        let mut request = self.to(format!("{}{}", self.base, self.path));
        if let Some(PageSize { parameter, records }) = &self.page_size {
            request = request.query(parameter.clone(), records.to_string());
        }
        match parameter {
            Some((name, value)) => request.query(name.clone(), value),
            None => request,
        }
    }

    /// The request that finds out whether the API can be used, and whether its answer is the list.
    pub(crate) fn check_request(&self) -> (http::Request, bool) {
        match &self.check {
            Some(path) => (self.to(format!("{}{path}", self.base)), false),
            None => (self.request(&Position::beginning()), true),
        }
    }

    /// A full address for what an answer says of the next page.
    ///
    /// # Errors
    /// It leads to another host, or nobody can tell where to.
    pub(crate) fn address(&self, found: &str) -> Result<String, CallError> {
        let host_end = self.base.find("://").map_or(0, |at| at + 3);
        let origin_end = self.base[host_end..].find('/').map_or(self.base.len(), |at| host_end + at);
        let origin = &self.base[..origin_end];
        if !found.bytes().all(|byte| byte.is_ascii_graphic()) || found.len() > 4096 {
            return Err(odd_address(found, "an address has at most 4,096 characters, all of them ASCII"));
        }
        if found.starts_with('/') && !found.starts_with("//") {
            return Ok(format!("{origin}{found}"));
        }
        if found.starts_with('?') {
            let path = self.path.split('?').next().unwrap_or_default();
            return Ok(format!("{}{path}{found}", self.base));
        }
        match found.strip_prefix(origin) {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '?']) => Ok(found.to_owned()),
            _ => Err(odd_address(found, "it must lead to the host of `base`, or begin with `/` or `?`")),
        }
    }

    /// How many records an answer has that is full, if that is known.
    pub(crate) fn full(&self) -> Option<usize> {
        self.page_size.as_ref().map(|size| size.records as usize)
    }

    fn to(&self, url: String) -> http::Request {
        let mut request = http::Request::get(url).timeout(self.timeout);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header("accept", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        self.credentials.on(request)
    }
}

impl NextPlan {
    /// The answer itself says how to ask for the next page.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self, Self::Link(_) | Self::LinkHeader | Self::Continuation { .. })
    }

    fn parameter(&self) -> Option<&str> {
        match self {
            Self::None | Self::Link(_) | Self::LinkHeader => None,
            Self::Continuation { parameter, .. } | Self::Number { parameter, .. } | Self::Since { parameter, .. } => {
                Some(parameter)
            }
        }
    }
}

fn next(written: &Next) -> Result<NextPlan, CallError> {
    Ok(match written.clone() {
        Next::None => NextPlan::None,
        Next::Link(at) => NextPlan::Link(pointer("/next/link", &at)?),
        Next::LinkHeader => NextPlan::LinkHeader,
        Next::Continuation { at, parameter } => {
            NextPlan::Continuation { at: pointer("/next/continuation/at", &at)?, parameter }
        }
        Next::Number { parameter, first } => NextPlan::Number { parameter, first },
        Next::Since { at, parameter, first } => {
            NextPlan::Since { at: pointer("/next/since/at", &at)?, parameter, first }
        }
    })
}

fn odd_address(found: &str, problem: &str) -> CallError {
    let message = format!("the answer's address of the next page cannot be followed: {problem}");
    CallError::invalid_settings(Failure::new("odd-address", message).pointer("/next").detail(found))
}

fn pointer(place: &str, text: &str) -> Result<Pointer, CallError> {
    Pointer::parse(text).map_err(|problem| invalid(place, problem))
}

fn pointers(place: &str, texts: &[String]) -> Result<Vec<Pointer>, CallError> {
    texts.iter().enumerate().map(|(index, text)| pointer(&format!("{place}/{index}"), text)).collect()
}

fn check_path(place: &str, path: &str) -> Result<(), CallError> {
    if !path.is_empty() && !path.starts_with(['/', '?']) {
        return Err(invalid(place, "it must begin with `/`"));
    }
    if path.contains("{{") {
        return Err(invalid(
            place,
            "no placeholder can stand here: what changes from page to page belongs into `next`",
        ));
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains('#') {
        return Err(invalid(place, "blanks, `#` and all but ASCII must be written percent-encoded"));
    }
    let plain = path.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    if plain.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(invalid(place, "`.` and `..` cannot be segments of it"));
    }
    Ok(())
}

fn check_one_header(name: &str, value: &str) -> Result<(), CallError> {
    let place = format!("/headers{}", Pointer::of([name.to_owned()]));
    check_header(&place, name)?;
    if ["authorization", "proxy-authorization", "cookie"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Err(invalid(&place, "credentials belong into `auth`, which names secrets and holds none"));
    }
    if value.chars().any(char::is_control) {
        return Err(invalid(&place, "a header cannot hold control characters"));
    }
    Ok(())
}

fn check_parameter(place: &str, parameter: Option<&str>, path: &str) -> Result<(), CallError> {
    let Some(parameter) = parameter else { return Ok(()) };
    if parameter.is_empty() {
        return Err(invalid(place, "the field of the query has no name"));
    }
    let query = path.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|field| field.split('=').next() == Some(parameter)) {
        return Err(invalid(place, format!("the field `{parameter}` stands in the query of `path` too")));
    }
    Ok(())
}
