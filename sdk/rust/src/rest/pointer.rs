//! Values within JSON text, by JSON pointer, exactly as they are written: a number never passes through a float.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON pointer (RFC 6901), taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

impl Pointer {
    /// The whole text.
    #[must_use]
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// A pointer of these names and positions.
    pub fn of(tokens: impl IntoIterator<Item = String>) -> Self {
        Self(tokens.into_iter().collect())
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("`{text}` is not a JSON pointer: it must be empty or begin with `/`"));
        };
        let unescaped = |token: &str| match token.replace("~0", "").replace("~1", "").contains('~') {
            true => Err(format!("`{text}` is not a JSON pointer: `~` stands only in `~0` and `~1`")),
            false => Ok(token.replace("~1", "/").replace("~0", "~")),
        };
        rest.split('/').map(unescaped).collect::<Result<_, _>>().map(Self)
    }

    /// Its names and positions.
    #[must_use]
    pub fn tokens(&self) -> &[String] {
        &self.0
    }

    /// What this pointer finds in JSON text, if anything stands there.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn find<'a>(&self, text: &'a [u8]) -> Result<Option<&'a RawValue>, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let found = Seek(&self.0).deserialize(&mut reader)?;
        reader.end()?;
        Ok(found)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

/// Walks down the tokens and skips everything else.
struct Seek<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(reader).map(Some),
            [_, ..] => reader.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((token, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(fits) = map.next_key_seed(Is(token))? {
            if fits {
                found = map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let Some((token, rest)) = self.0.split_first() else { return Ok(None) };
        let canonical = |index: &usize| index.to_string() == *token;
        let wanted = token.parse::<usize>().ok().filter(canonical);
        let mut found = None;
        for index in 0.. {
            if Some(index) == wanted {
                match seq.next_element_seed(Seek(rest))? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Several pointers, looked for in one pass over the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pointers {
    known: Vec<Pointer>,
    root: Node,
}

/// What is looked for at a place and below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    /// Which pointer ends here.
    here: Option<usize>,
    below: Vec<(String, Node)>,
}

impl Pointers {
    /// These pointers, each once.
    #[must_use]
    pub fn of<'p>(pointers: impl IntoIterator<Item = &'p Pointer>) -> Self {
        let mut all = Self::default();
        for pointer in pointers {
            if all.place(pointer).is_some() {
                continue;
            }
            let mut node = &mut all.root;
            for token in &pointer.0 {
                let place = node.below.iter().position(|(known, _)| known == token).unwrap_or_else(|| {
                    node.below.push((token.clone(), Node::default()));
                    node.below.len() - 1
                });
                node = &mut node.below[place].1;
            }
            node.here = Some(all.known.len());
            all.known.push(pointer.clone());
        }
        all
    }

    /// Where [`Pointers::find`] says what a pointer found; `None` if it is not among these.
    #[must_use]
    pub fn place(&self, pointer: &Pointer) -> Option<usize> {
        self.known.iter().position(|known| known == pointer)
    }

    /// What each of them finds, as [`Pointer::find`] would.
    ///
    /// # Errors
    /// The text is not JSON.
    pub fn find<'a>(&self, text: &'a [u8]) -> Result<Vec<Option<&'a RawValue>>, serde_json::Error> {
        let mut found = vec![None; self.known.len()];
        let mut reader = serde_json::Deserializer::from_slice(text);
        SeekAll { node: &self.root, found: &mut found }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(found)
    }
}

impl Node {
    fn token(&self, token: &str) -> Option<&Node> {
        self.below.iter().find(|(known, _)| known == token).map(|(_, node)| node)
    }

    /// Forgets what was found here and below: of two equal keys the later one counts.
    fn forget(&self, found: &mut [Option<&RawValue>]) {
        if let Some(found) = self.here.and_then(|here| found.get_mut(here)) {
            *found = None;
        }
        self.below.iter().for_each(|(_, node)| node.forget(found));
    }
}

/// Walks down all tokens of a node and skips everything else.
struct SeekAll<'n, 'f, 'de> {
    node: &'n Node,
    found: &'f mut [Option<&'de RawValue>],
}

impl<'de> DeserializeSeed<'de> for SeekAll<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        let Self { node, found } = self;
        let Some(here) = node.here else { return reader.deserialize_any(Self { node, found }) };
        let raw = <&RawValue>::deserialize(reader)?;
        if let Some(found) = found.get_mut(here) {
            *found = Some(raw);
        }
        if node.below.is_empty() {
            return Ok(());
        }
        serde_json::Deserializer::from_str(raw.get()).deserialize_any(Self { node, found }).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for SeekAll<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(node) = map.next_key_seed(Among(self.node))? {
            match node {
                Some(node) => {
                    node.forget(self.found);
                    map.next_value_seed(SeekAll { node, found: &mut *self.found })?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let more = match self.node.token(&index.to_string()) {
                Some(node) => seq.next_element_seed(SeekAll { node, found: &mut *self.found })?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// The node that a key leads to, if any does.
struct Among<'n>(&'n Node);

impl<'de, 'n> DeserializeSeed<'de> for Among<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Among<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.token(key))
    }
}

/// Whether a key is the one looked for.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// The text of a JSON scalar: a string's content, a number or boolean as written. None for the rest.
#[must_use]
pub fn scalar_text(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::{Pointer, Pointers};

    #[test]
    fn all_at_once_find_what_each_finds() {
        let pointers =
            ["", "/a", "/a/b", "/a/b/0", "/a/b/1/c", "/a/", "/a2", "/a2/b", "/t/x", "/x~1y", "/s/0", "/b/00"];
        let pointers: Vec<Pointer> = pointers.iter().map(|text| Pointer::parse(text).unwrap()).collect();
        let check = |json: &str, skip: usize| {
            let some = &pointers[skip..];
            let all = Pointers::of(some.iter().chain(some));
            let found = all.find(json.as_bytes()).unwrap();
            for pointer in some {
                let alone = pointer.find(json.as_bytes()).unwrap().map(serde_json::value::RawValue::get);
                let place = all.place(pointer).unwrap();
                assert_eq!(found[place].map(serde_json::value::RawValue::get), alone, "{pointer} in {json}");
            }
        };
        for json in [
            r#" {"a":{"b":[10.50,{"c":"\u00e4"}],"":1},"a2":null,"t":true,"x/y":2,"s":"t"} "#,
            r#"{"a":{"b":[1,{"c":2}]},"a":{"b":[3]},"a2":1,"a2":{"b":{}}}"#,
            r#"{"a":{"b":[1]},"a":7}"#,
            "[1,2]",
            "7",
            "\"x\"",
            "null",
        ] {
            (0..pointers.len()).for_each(|skip| check(json, skip));
        }
        assert!(Pointers::default().find(b"{}").unwrap().is_empty());
        assert!(Pointers::default().place(&Pointer::root()).is_none());
        for text in ["", "{", r#"{"a":1}x"#, r#"{"a":{"b":}}"#] {
            assert!(Pointers::of(&pointers[1..]).find(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_found_as_written() {
        let json = r#" {"a":{"b":[10.50,{"c":"\u00e4"}],"":1,"x/y":2,"m~n":3},"a2":null,"t":true,"a":{"b":[1.10]}} "#;
        let check = |pointer: &str, wanted: Option<&str>| {
            let found = Pointer::parse(pointer).unwrap().find(json.as_bytes()).unwrap();
            assert_eq!(found.map(serde_json::value::RawValue::get), wanted, "{pointer}");
        };
        // Of two equal keys the later one counts, as everywhere in JSON.
        check("/a/b/0", Some("1.10"));
        check("/a/", None);
        check("/a2", Some("null"));
        check("/a2/b", None);
        check("/t/x", None);
        check("/nothing", None);
        let json = r#"{"b":[10.50,{"c":"\u00e4"}],"":1,"x/y":2,"m~n":3,"n":5,"s":"t"}"#;
        let check = |pointer: &str, wanted: Option<&str>| {
            let found = Pointer::parse(pointer).unwrap().find(json.as_bytes()).unwrap();
            assert_eq!(found.map(serde_json::value::RawValue::get), wanted, "{pointer}");
        };
        check("", Some(json));
        check("/b/0", Some("10.50"));
        check("/b/00", None);
        check("/b/-", None);
        check("/b/2", None);
        check("/b/1/c", Some(r#""\u00e4""#));
        check("/", Some("1"));
        check("/x~1y", Some("2"));
        check("/m~0n", Some("3"));
        check("/n/0", None);
        check("/s/0", None);
    }

    #[test]
    fn what_is_no_json_is_an_error_wherever_it_breaks() {
        for text in ["", "{", r#"{"a":1}x"#, r#"{"a":1,"b":}"#, "nope", "[1,]", "{\"a\":\"\u{1}\"}"] {
            assert!(Pointer::parse("/a").unwrap().find(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn pointers_are_read_and_shown() {
        for good in ["", "/", "/a/b", "/x~1y/m~0n", "/~01"] {
            assert_eq!(Pointer::parse(good).unwrap().to_string(), good);
        }
        for bad in ["a", "#/a", "/a~2", "/~"] {
            assert!(Pointer::parse(bad).is_err(), "{bad}");
        }
    }
}
