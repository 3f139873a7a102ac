// SPDX-License-Identifier: GPL-2.0-only
//! What goes into a result of the store: its key, and why it is made when it is.

use crate::error::{Error, Result};
use crate::lock::LockedKernel;
use crate::report::put;
use crate::store::{Store, key};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// So many changed inputs are named; of more, the number is told.
const NAMED: usize = 2;

/// Each input by its name, and what changes whenever it does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// These inputs.
    pub fn of(inputs: impl Iterator<Item = (String, String)>) -> Self {
        Inputs(inputs.collect())
    }

    /// Adds one.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_string(), value.into());
    }

    /// The key of what is made of them.
    pub fn key(&self) -> String {
        key(self.0.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]))
    }

    /// What makes them others than those of before, in words.
    pub fn news(&self, before: &Inputs) -> String {
        if before.0.is_empty() {
            return "for the first time".into();
        }
        let gone = before.0.keys().filter(|name| !self.0.contains_key(*name));
        let changed = self.0.iter().filter(|(name, value)| before.0.get(*name) != Some(value)).map(|(name, _)| name);
        let names: Vec<&str> = changed.chain(gone).map(String::as_str).collect();
        match names.len() {
            0 => "its result has left the store".into(),
            count if count > NAMED => format!("{} and {} more changed", names[..NAMED].join(", "), count - NAMED),
            _ => format!("{} changed", names.join(" and ")),
        }
    }

    /// Those of the kernel's module that was built last; none where none was.
    pub fn last(store: &Store, kernel: &LockedKernel) -> Result<Inputs> {
        let text = std::fs::read_to_string(file(store, kernel)?).unwrap_or_default();
        // What cannot be read tells nothing, and keeps nobody from building.
        Ok(Inputs(serde_json::from_str(&text).unwrap_or_default()))
    }

    /// Whether a module of the kernel was ever built here.
    pub fn are_known(store: &Store, kernel: &LockedKernel) -> bool {
        file(store, kernel).is_ok_and(|file| file.exists())
    }

    /// Writes them down as those of the kernel's module.
    pub fn remember(&self, store: &Store, kernel: &LockedKernel) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.0).map_err(|error| Error::infra(error.to_string()))?;
        put(&file(store, kernel)?, &text)
    }
}

fn file(store: &Store, kernel: &LockedKernel) -> Result<PathBuf> {
    Ok(store.kind("inputs")?.join(format!("{}.json", kernel.id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(pairs: &[(&str, &str)]) -> Inputs {
        Inputs::of(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())))
    }

    #[test]
    fn the_reason_names_what_changed() {
        let before = inputs(&[("a.c", "1"), ("b.c", "1"), ("c.c", "1")]);
        assert_eq!(before.news(&Inputs::default()), "for the first time");
        assert_eq!(before.news(&before), "its result has left the store");
        assert_eq!(inputs(&[("a.c", "2"), ("b.c", "1"), ("c.c", "1")]).news(&before), "a.c changed");
        assert_eq!(inputs(&[("a.c", "1"), ("c.c", "2")]).news(&before), "c.c and b.c changed");
        assert_eq!(inputs(&[("d.c", "1")]).news(&before), "d.c, a.c and 2 more changed");
    }

    #[test]
    fn a_name_and_its_value_are_both_in_the_key() {
        assert_ne!(inputs(&[("a", "bc")]).key(), inputs(&[("ab", "c")]).key());
        assert_eq!(inputs(&[("b", "2"), ("a", "1")]).key(), inputs(&[("a", "1"), ("b", "2")]).key());
    }
}
