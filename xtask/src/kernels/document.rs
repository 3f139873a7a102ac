// SPDX-License-Identifier: GPL-2.0-only
//! YAML text, and errors that point into it: file, line, column, the offending line, what was expected.

use crate::error::{AtPath, Error, Result};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// A YAML file, kept so that a later finding can still be shown where it stands.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    text: String,
}

/// One step from a node of the document to a node below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// The key itself; only as the last step.
    Name(String),
    /// An element of a list, from 0.
    Item(usize),
}

impl Document {
    /// Reads `path`; a file that cannot be read is the user's to mend.
    pub fn read(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Document { path: path.to_path_buf(), text }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::input(format!("{}: no such file", path.display())))
            }
            Err(error) => Err(error).at_path(path),
        }
    }

    /// A document that is not on disk, named `path` in errors.
    #[cfg(test)]
    pub fn new(path: &str, text: &str) -> Self {
        Document { path: path.into(), text: text.into() }
    }

    /// Turns the text into `T`. A key given twice is refused everywhere, even where serde would take the last one.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        self.run(UniqueKeys).map_err(|error| self.explain(&error))?;
        serde_yaml::from_str(&self.text).map_err(|error| self.explain(&error))
    }

    /// An error about the node at `steps`.
    pub fn error(&self, steps: &[Step], message: impl fmt::Display, expected: impl fmt::Display) -> Error {
        let found = self.run(Locate(steps)).err().and_then(|error| error.location());
        self.render(found.map(|at| (at.line(), at.column())), &message.to_string(), &expected.to_string())
    }

    fn run<S: for<'de> DeserializeSeed<'de, Value = ()>>(&self, seed: S) -> Result<(), serde_yaml::Error> {
        seed.deserialize(serde_yaml::Deserializer::from_str(&self.text))
    }

    fn explain(&self, error: &serde_yaml::Error) -> Error {
        let at = error.location().map(|at| (at.line(), at.column()));
        let full = error.to_string();
        let message = at.map_or(full.as_str(), |(line, column)| {
            full.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&full)
        });
        match message.split_once(", expected ") {
            Some((what, expected)) => self.render(at, &plain_words(what), &plain_words(expected)),
            None => self.render(at, &plain_words(message), "well-formed YAML, as docs/kernels-yaml.md describes it"),
        }
    }

    fn render(&self, at: Option<(usize, usize)>, message: &str, expected: &str) -> Error {
        let (line, column) = at.unwrap_or((1, 1));
        let shown = self.text.lines().nth(line - 1).unwrap_or("");
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        let indent: String = shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let place = self.path.display();
        Error::input(format!(
            "{place}:{line}:{column}: {message}\n  {number} | {shown}\n  {gutter} | {indent}^\n  expected: {expected}"
        ))
    }
}

/// Serde's words for things, in the words of YAML.
fn plain_words(text: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("unknown field", "unknown key"),
        ("missing field", "missing key"),
        ("invalid type:", "wrong type:"),
        ("unit value", "nothing"),
        ("sequence", "list"),
        ("usize", "a whole number"),
        ("u32", "a whole number"),
        ("a map", "a mapping"),
        ("unknown variant", "unknown value"),
    ];
    if text.starts_with("struct ") {
        return "a mapping of the keys that docs/kernels-yaml.md lists".into();
    }
    WORDS.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Walks everything and fails at the second of two equal keys.
#[derive(Clone, Copy)]
struct UniqueKeys;

impl<'de> DeserializeSeed<'de> for UniqueKeys {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueKeys {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a mapping, a list or a scalar")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while map.next_key_seed(NewKey(&mut seen))?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    /// An empty document.
    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A key that is not in the set yet.
struct NewKey<'a>(&'a mut BTreeSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<(), E> {
        if self.0.insert(key.to_owned()) {
            return Ok(());
        }
        Err(E::custom(format!("duplicate key `{key}`, expected each key once in a mapping")))
    }
}

/// Fails on purpose at the node that the steps lead to: the failure carries its position.
#[derive(Clone, Copy)]
struct Locate<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The `Err` that [`Locate`] is after.
fn here<E: serde::de::Error>() -> Result<(), E> {
    Err(E::custom("here"))
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a node of the document")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return here() };
        let wanted = match step {
            Step::Name(name) => return while_keys(map, name),
            Step::Key(name) => name,
            Step::Item(_) => return here(),
        };
        while let Some(key) = map.next_key::<String>()? {
            if key == *wanted {
                map.next_value_seed(Locate(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Item(index), rest)) = self.0.split_first() else { return here() };
        for _ in 0..*index {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Locate(rest))?;
        Ok(())
    }
    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        here()
    }
    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        here()
    }
    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        here()
    }
    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        here()
    }
    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        here()
    }
    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        here()
    }
}

/// Fails at the key `name` itself.
fn while_keys<'de, A: MapAccess<'de>>(mut map: A, name: &str) -> Result<(), A::Error> {
    let mut seen = BTreeSet::from([name.to_owned()]);
    while map.next_key_seed(NewKey(&mut seen))?.is_some() {
        map.next_value::<IgnoredAny>()?;
    }
    Ok(())
}
