//! The members of an object.

use super::scan::{self, Invalid, Wrong, wrong};
use super::value::{Value, utf8};
use std::borrow::Cow;

/// One member of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Between the quotes, escapes and all.
    raw_name: &'a str,
    escaped: bool,
    /// Its value.
    pub value: Value<'a>,
}

impl<'a> Member<'a> {
    /// Its name; copied only if it has escapes. A name whose escapes make no sense is given as it is written.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        match self.escaped {
            false => Cow::Borrowed(self.raw_name),
            true => unescaped(self.raw_name).map_or(Cow::Borrowed(self.raw_name), Cow::Owned),
        }
    }

    /// Whether it has this name.
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        if self.escaped { self.name() == name } else { self.raw_name == name }
    }
}

#[cold]
fn unescaped(raw: &str) -> Option<String> {
    serde_json::from_str(&format!("\"{raw}\"")).ok()
}

/// Goes through the members of an object once, checking what it passes: an object need not be scanned before.
///
/// ```
/// use crossdock_sdk::json::Members;
///
/// let mut members = Members::scan(br#"{ "id": 7, "rest": [1, 2] }"#)?.expect("an object");
/// assert!(members.next().unwrap()?.is("id"));
/// assert_eq!(members.next().unwrap()?.value.raw(), "[1, 2]");
/// assert!(members.next().is_none());
/// # Ok::<(), crossdock_sdk::json::Invalid>(())
/// ```
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    /// From the object on.
    begin: &'a [u8],
    rest: &'a [u8],
    next: Next,
}

/// What stands at the beginning of what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The first name, or the end of the object.
    First,
    /// A comma, or the end of the object.
    Further,
    /// Nothing that is still to be said.
    Done,
}

impl<'a> Members<'a> {
    /// The members of a payload that is an object; `None` if it begins like something else.
    ///
    /// # Errors
    /// The payload is not UTF-8. What else is wrong with it is found on the way.
    pub fn scan(payload: &'a [u8]) -> Result<Option<Self>, Invalid> {
        Ok(Self::scan_text(utf8(payload)?))
    }

    /// As [`Members::scan`], for what is known to be UTF-8. What is wrong with it is found on the way.
    #[must_use]
    pub fn scan_text(text: &'a str) -> Option<Self> {
        let begin = scan::blank(text.as_bytes());
        let [b'{', tail @ ..] = begin else { return None };
        Some(Self { text, begin, rest: scan::blank(tail), next: Next::First })
    }

    /// The members of a value that was scanned before.
    pub(super) fn of(value: Value<'a>) -> impl Iterator<Item = Member<'a>> + use<'a> {
        Self::scan_text(value.raw()).into_iter().flatten().map_while(Result::ok)
    }

    #[inline]
    fn member(&mut self) -> Result<Option<Member<'a>>, Wrong> {
        let rest = match (self.rest, self.next) {
            ([b'}', tail @ ..], _) => {
                self.rest = tail;
                return scan::end(tail).map(|()| None);
            }
            (rest @ [_, ..], Next::First) => rest,
            ([b',', tail @ ..], _) => scan::blank(tail),
            (left @ [_, ..], _) => return wrong("neither a comma nor the end of the object", left),
            (left, _) => return wrong("an object that does not end", left),
        };
        let [b'"', name @ ..] = rest else { return wrong("something else than a name", rest) };
        let (behind, escaped) = scan::string(name)?;
        let length = self.text.len();
        let raw_name = self.text.get(length - name.len()..length - behind.len() - 1).unwrap_or_default();
        let value = scan::colon(behind)?;
        let behind = scan::value(value, 1)?;
        self.rest = scan::blank(behind);
        self.next = Next::Further;
        Ok(Some(Member { raw_name, escaped, value: Value::between(self.text, value, behind) }))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Invalid>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == Next::Done {
            return None;
        }
        let found = self.member();
        if !matches!(found, Ok(Some(_))) {
            self.next = Next::Done;
        }
        found.map_err(|wrong| wrong.within(self.text.as_bytes())).transpose()
    }
}

/// An object whose members were found, to look several of them up.
///
/// ```
/// use crossdock_sdk::json::Object;
///
/// let order = Object::parse(br#"{ "id": 7, "customer": { "name": "Ann" } }"#)?.expect("an object");
/// assert_eq!(order.get("id").unwrap().raw(), "7");
/// assert_eq!(order.members().len(), 2);
/// # Ok::<(), crossdock_sdk::json::Invalid>(())
/// ```
#[derive(Debug, Clone)]
pub struct Object<'a> {
    value: Value<'a>,
    members: Vec<Member<'a>>,
}

/// How many members there is room for from the start.
const MEMBERS_EXPECTED: usize = 16;

impl<'a> Object<'a> {
    /// Reads a payload, in one pass over it; `None` if it begins like something else than an object.
    ///
    /// # Errors
    /// Where it is not JSON, or not UTF-8.
    pub fn parse(payload: &'a [u8]) -> Result<Option<Self>, Invalid> {
        let Some(mut found) = Members::scan(payload)? else { return Ok(None) };
        let mut members = Vec::with_capacity(MEMBERS_EXPECTED);
        while let Some(member) = found.member().map_err(|wrong| wrong.within(payload))? {
            members.push(member);
        }
        Ok(Some(Self { value: Value::between(found.text, found.begin, found.rest), members }))
    }

    /// The members of a value; none if it is no object.
    #[must_use]
    pub fn of(value: Value<'a>) -> Self {
        Self { value, members: value.members().collect() }
    }

    /// The object itself.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        self.value
    }

    /// Its members in the order in which they are written.
    #[must_use]
    pub fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// The value of the member with this name; of several the last.
    #[inline]
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members.iter().rev().find(|member| member.is(name)).map(|member| member.value)
    }
}
