//! The members of an object.

use super::scan::{self, Invalid, Wrong, wrong};
use super::value::Value;
use crate::text::text_of;
use std::borrow::Cow;
use std::fmt;

/// One member of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Between the quotes, escapes and all.
    raw_name: &'a [u8],
    escaped: bool,
    /// Its value.
    pub value: Value<'a>,
}

impl fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name()).field("value", &self.value).finish()
    }
}

impl<'a> Member<'a> {
    /// Its name; copied only if it has escapes. A name whose escapes make no sense is given as it is written.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        let raw = text_of(self.raw_name);
        match self.escaped {
            false => Cow::Borrowed(raw),
            true => unescaped(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
        }
    }

    /// Whether it has this name.
    #[inline]
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        if self.escaped { self.name() == name } else { same(self.raw_name, name.as_bytes()) }
    }
}

/// Whether two names are equal, in as few turns as can be.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.split_first_chunk::<4>(), other.split_first_chunk::<4>()) {
        // The last four bytes may be some of the first four again.
        (Some((first, rest)), Some((other_first, other_rest))) => {
            first == other_first
                && one.last_chunk::<4>() == other.last_chunk::<4>()
                && (rest.len() <= 4 || rest == other_rest)
        }
        _ => one == other,
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
/// let mut members = Members::scan(br#"{ "id": 7, "rest": [1, 2] }"#).expect("an object");
/// assert!(members.next().unwrap()?.is("id"));
/// assert_eq!(members.next().unwrap()?.value.raw(), "[1, 2]");
/// assert!(members.next().is_none());
/// # Ok::<(), crossdock_sdk::json::Invalid>(())
/// ```
#[derive(Debug, Clone)]
pub struct Members<'a> {
    payload: &'a [u8],
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
    /// The members of a payload that is an object; `None` if it begins like something else. What is wrong with it is
    /// found on the way.
    #[must_use]
    pub fn scan(payload: &'a [u8]) -> Option<Self> {
        let begin = scan::blank(payload);
        let [b'{', tail @ ..] = begin else { return None };
        Some(Self { payload, begin, rest: scan::blank(tail), next: Next::First })
    }

    /// The next member; none at the end, and whoever asks further is told what is wrong with what stands behind it.
    #[inline]
    pub(super) fn member(&mut self) -> Result<Option<Member<'a>>, Wrong> {
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
        let raw_name = name.get(..name.len() - behind.len() - 1).unwrap_or_default();
        let value = scan::colon(behind)?;
        let behind = scan::value(value, 1)?;
        self.rest = scan::blank(behind);
        self.next = Next::Further;
        Ok(Some(Member { raw_name, escaped, value: Value::between(value, behind) }))
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
        found.map_err(|wrong| wrong.within(self.payload)).transpose()
    }
}

impl<'a> Value<'a> {
    /// The member of an object with this name; of several the last. `None` if there is none, or it is no object.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        let (mut members, mut found) = (Members::scan(self.bytes())?, None);
        while let Ok(Some(member)) = members.member() {
            if member.is(name) {
                found = Some(member.value);
            }
        }
        found
    }

    /// The members of an object in the order in which they are written; none if it is no object.
    pub fn members(self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        Members::scan(self.bytes()).into_iter().flatten().map_while(Result::ok)
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
        let Some(mut found) = Members::scan(payload) else { return Ok(None) };
        let mut members = Vec::with_capacity(MEMBERS_EXPECTED);
        while let Some(member) = found.member().map_err(|wrong| wrong.within(payload))? {
            members.push(member);
        }
        Ok(Some(Self { value: Value::between(found.begin, found.rest), members }))
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
