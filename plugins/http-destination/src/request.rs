//! Requests: from templates and one record's values to what is sent.

use std::time::Duration;

use crossdock_sdk::{
    Failure, http,
    rest::{Credentials, Pointer},
};

use crate::{
    body::Body,
    settings::Method,
    template::{Into, Place, Text, Values},
};

/// A request with placeholders.
#[derive(Debug)]
pub(crate) struct Template {
    pub(crate) method: Method,
    pub(crate) url: Text,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) body: Option<Body>,
}

/// A request with the values of one record in it.
#[derive(Debug, Clone)]
pub(crate) struct Rendered {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
}

impl Template {
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn places(&self) -> Vec<&Place> {
        let headers = self.headers.iter().flat_map(|(_, value)| value.places());
        let body = self.body.iter().flat_map(Body::places);
        self.url.places().chain(headers).chain(body).collect()
    }

    /// Where a value is asked for first, as a JSON pointer into the settings that the template was made of.
    pub(crate) fn place_of(&self, wanted: &Place) -> Option<String> {
        if self.url.places().any(|place| place == wanted) {
            return Some("/path".to_owned());
        }
        let header = self.headers.iter().find(|(_, value)| value.places().any(|place| place == wanted));
        match header {
            Some((name, _)) => Some(format!("/headers{}", Pointer::of([name.clone()]))),
            None => self.body.as_ref()?.place_of(wanted).map(|place| format!("/body{place}")),
        }
    }

    /// The request for one record.
    ///
    /// # Errors
    /// The record lacks a value, or has one that cannot stand where the template wants it.
    pub(crate) fn render(&self, values: &dyn Values) -> Result<Rendered, Failure> {
        let url = self.url.render(values, Into::Url)?;
        if has_dot_segment(&url) {
            let message = "a value makes `.` or `..` a segment of the address, which would lead elsewhere";
            return Err(Failure::new("unsafe-address", message).detail(url));
        }
        let header = |(name, value): &(String, Text)| Ok((name.clone(), value.render(values, Into::Header)?));
        let headers = self.headers.iter().map(header).collect::<Result<_, Failure>>()?;
        let body = match &self.body {
            None => None,
            Some(template) => {
                let mut body = Vec::new();
                template.render(values, &mut body)?;
                Some(body)
            }
        };
        Ok(Rendered { method: self.method, url, headers, body })
    }
}

impl Rendered {
    /// The request as it is sent.
    pub(crate) fn request(self, credentials: &Credentials, timeout_ms: u64, handle: Option<u32>) -> http::Request {
        let mut request = http::Request::new(self.method.as_str(), self.url).timeout(Duration::from_millis(timeout_ms));
        let told = |name: &str| self.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !told("accept") {
            request = request.header("accept", "application/json");
        }
        if self.body.is_some() && !told("content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request = credentials.on(request);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        match handle {
            Some(handle) => request.handle(handle),
            None => request,
        }
    }
}

/// Why a template cannot follow the base of an address, if it cannot.
pub(crate) fn path_problem(path: &Text) -> Option<&'static str> {
    let first = path.first_literal();
    let empty = first.is_empty() && path.places().next().is_none();
    if !empty && !first.starts_with(['/', '?']) {
        return Some("it must begin with `/`, so that no record can change the host");
    }
    if path.literals().any(|literal| !literal.bytes().all(|byte| byte.is_ascii_graphic()) || literal.contains('#')) {
        return Some("blanks, `#` and all but ASCII must be written percent-encoded");
    }
    path.literals().any(has_dot_segment).then_some("`.` and `..` cannot be segments of it")
}

/// Whether a segment of the path is `.` or `..`, in plain text or percent-encoded: servers and clients resolve it.
fn has_dot_segment(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| {
        // `%2e%2e` is the longest of them.
        (1..=6).contains(&segment.len())
            && matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    };
    path.split('/').any(is_dots)
}
