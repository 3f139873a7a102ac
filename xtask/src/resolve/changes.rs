// SPDX-License-Identifier: GPL-2.0-only
//! What has come, gone and changed between two lists of kernels.

use crate::lock::LockedKernel;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// How one list of kernels differs from another one. A kernel is known by its id.
#[derive(Debug)]
pub struct Changes<'a> {
    /// In the second list only.
    pub new: Vec<&'a LockedKernel>,
    /// In both, with other packages or other facts.
    pub changed: Vec<&'a LockedKernel>,
    /// In the first list only.
    pub gone: Vec<&'a LockedKernel>,
}

impl<'a> Changes<'a> {
    /// From the first list to the second one.
    pub fn between(before: &'a [LockedKernel], now: &'a [LockedKernel]) -> Self {
        let by_id = |kernels: &'a [LockedKernel]| -> BTreeMap<String, &'a LockedKernel> {
            kernels.iter().map(|kernel| (kernel.id(), kernel)).collect()
        };
        let (old, fresh) = (by_id(before), by_id(now));
        let differs = |id: &String, kernel: &LockedKernel| old.get(id).is_some_and(|old| *old != kernel);
        Changes {
            new: fresh.iter().filter(|(id, _)| !old.contains_key(*id)).map(|(_, kernel)| *kernel).collect(),
            changed: fresh.iter().filter(|(id, kernel)| differs(id, kernel)).map(|(_, kernel)| *kernel).collect(),
            gone: old.iter().filter(|(id, _)| !fresh.contains_key(*id)).map(|(_, kernel)| *kernel).collect(),
        }
    }

    /// Whether the lists are the same.
    pub fn is_empty(&self) -> bool {
        self.new.is_empty() && self.changed.is_empty() && self.gone.is_empty()
    }

    /// For programs: the ids in `new`, `changed` and `gone`.
    pub fn json(&self) -> Value {
        let ids = |kernels: &[&LockedKernel]| kernels.iter().map(|kernel| kernel.id()).collect::<Vec<_>>();
        json!({ "new": ids(&self.new), "changed": ids(&self.changed), "gone": ids(&self.gone) })
    }
}

/// ` (1 new, 0 changed, 1 gone)` and a line for each; nothing where there is no change.
impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        write!(f, " ({} new, {} changed, {} gone)", self.new.len(), self.changed.len(), self.gone.len())?;
        for (sign, kernels) in [('+', &self.new), ('~', &self.changed), ('-', &self.gone)] {
            kernels.iter().try_for_each(|kernel| write!(f, "\n  {sign} {}", kernel.id()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::lockfile;

    #[test]
    fn kernels_are_new_changed_or_gone() {
        let lock = lockfile::read(&crate::work_tree::top().join("kernels.lock")).unwrap().kernels;
        let [first, second, third] = &lock[..3] else { panic!("a lock of fewer kernels") };
        let mut rebuilt = second.clone();
        rebuilt.packages[0].sha256 = "0".repeat(64);
        let (before, now) = ([first.clone(), second.clone()], [rebuilt, third.clone()]);
        let changes = Changes::between(&before, &now);
        let expected = json!({ "new": [third.id()], "changed": [second.id()], "gone": [first.id()] });
        assert_eq!(changes.json(), expected);
        assert!(changes.to_string().starts_with(" (1 new, 1 changed, 1 gone)\n  + "));
        assert!(Changes::between(&now, &now).is_empty());
    }
}
