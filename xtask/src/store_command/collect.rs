// SPDX-License-Identifier: GPL-2.0-only
//! Garbage collection: which entries nobody needs, and their removal.

use super::usage::{human, names, size};
use crate::container::remove_roots;
use crate::error::{AtPath, Result};
use crate::store::Store;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Kinds whose entries [`Store::entry`] makes: it notes when each was last asked for.
const ENTRIES: [&str; 19] = [
    "boots",
    "core",
    "engines",
    "facts",
    "kdirs",
    "machines",
    "package-files",
    "packages",
    "public-keys",
    "repositories",
    "results",
    "roots",
    "sboms",
    "signatures",
    "signed-modules",
    "signed-packages",
    "tools",
    "vm-disks",
    "vm-images",
];
/// Kinds that only a run that is under way has a use for.
const SCRATCH: [&str; 2] = ["machine-runs", "vm-runs"];
/// What a run that was cut off leaves beside the entry it was making.
const LEFTOVERS: [&str; 7] = [".build", ".partial", ".source", ".stage", ".tar", ".target", ".work"];
/// Kinds that have no entries, and go only with everything else.
const WHOLE: [&str; 4] = ["apt", "inputs", "logs", "rpm-md"];

/// What stays.
pub struct Keep {
    everything_goes: bool,
    packages: BTreeSet<String>,
    age: Duration,
}

impl Keep {
    /// Keeps these packages (SHA-256), and what a run asked for no longer than `age` ago.
    pub fn new(packages: BTreeSet<String>, age: Duration) -> Keep {
        Keep { everything_goes: false, packages, age }
    }

    /// Keeps nothing.
    pub fn nothing() -> Keep {
        Keep { everything_goes: true, packages: BTreeSet::new(), age: Duration::ZERO }
    }

    fn keeps(&self, store: &Store, kind: &str, name: &str) -> bool {
        if self.everything_goes || LEFTOVERS.iter().any(|ending| name.ends_with(ending)) {
            return false;
        }
        if kind == "packages" && self.packages.contains(name) {
            return true;
        }
        let lock = store.root().join("locks").join(format!("{kind}-{name}"));
        let used = fs::metadata(lock).and_then(|meta| meta.modified());
        // An entry from before uses were noted has none; one from the future (a clock was set back) was used just now.
        used.is_ok_and(|used| SystemTime::now().duration_since(used).unwrap_or_default() < self.age)
    }
}

/// What went, or would go.
#[derive(Debug, Default)]
pub struct Dropped {
    /// `kind/name` and bytes.
    entries: Vec<(String, u64)>,
}

impl Dropped {
    /// A line for each entry, and the sum.
    pub fn report(&self, dry_run: bool) -> String {
        let verb = if dry_run { "would drop" } else { "dropped" };
        let mut text: String =
            self.entries.iter().map(|(name, bytes)| format!("{verb} {name} ({})\n", human(*bytes))).collect();
        let total = self.entries.iter().map(|(_, bytes)| bytes).sum();
        text += &format!("{verb} {} entries, {}\n", self.entries.len(), human(total));
        text
    }
}

/// Drops all that `keep` does not keep. The caller holds the store alone.
pub fn collect(store: &Store, keep: &Keep, dry_run: bool) -> Result<Dropped> {
    let mut dropped = Dropped::default();
    let whole = WHOLE.iter().filter(|_| keep.everything_goes);
    for kind in ENTRIES.iter().chain(&SCRATCH).chain(whole) {
        let dir = store.root().join(kind);
        if !dir.is_dir() {
            continue;
        }
        for name in names(&dir)?.into_iter().filter(|name| !keep.keeps(store, kind, name)) {
            let path = dir.join(&name);
            dropped.entries.push((format!("{kind}/{name}"), size(&path)?.bytes));
            if !dry_run {
                drop_entry(&path)?;
            }
        }
    }
    Ok(dropped)
}

/// Renamed first: an entry is there whole or not at all, also when its removal is cut off. Build roots belong to root.
fn drop_entry(path: &Path) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(LEFTOVERS[1]);
    let doomed = Path::new(&name);
    fs::rename(path, doomed).at_path(path)?;
    remove_roots(doomed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::remove;
    use std::path::PathBuf;

    fn scratch(name: &str) -> Store {
        let dir = std::env::temp_dir().join(format!("involflt-gc-{name}-{}", std::process::id()));
        remove(&dir).unwrap();
        Store::open(Some(&dir)).unwrap()
    }

    fn entry(store: &Store, kind: &str, key: &str) -> PathBuf {
        store.entry(kind, key, |path| fs::write(path, key).at_path(path)).unwrap()
    }

    fn age(store: &Store, kind: &str, key: &str, days: u64) {
        let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
        store.lock_file(&format!("{kind}-{key}")).unwrap().set_modified(then).unwrap();
    }

    const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    #[test]
    fn what_the_lock_names_and_what_was_used_of_late_stays() {
        let store = scratch("keep");
        let (locked, old) = (entry(&store, "packages", "locked"), entry(&store, "packages", "old"));
        let (fresh, stale) = (entry(&store, "results", "fresh"), entry(&store, "results", "stale"));
        for (kind, key) in [("packages", "locked"), ("packages", "old"), ("results", "stale")] {
            age(&store, kind, key, 30);
        }
        collect(&store, &Keep::new(["locked".to_string()].into(), WEEK), false).unwrap();
        assert!(locked.exists() && fresh.exists() && !old.exists() && !stale.exists());
        remove(store.root()).unwrap();
    }

    #[test]
    fn a_run_that_asks_for_an_old_entry_makes_it_young() {
        let store = scratch("young");
        let path = entry(&store, "kdirs", "k");
        age(&store, "kdirs", "k", 30);
        entry(&store, "kdirs", "k");
        collect(&store, &Keep::new(BTreeSet::new(), WEEK), false).unwrap();
        assert!(path.exists());
        remove(store.root()).unwrap();
    }

    #[test]
    fn leftovers_of_runs_that_were_cut_off_go_however_young() {
        let store = scratch("left");
        let left = store.kind("results").unwrap().join("k.partial");
        let run = store.kind("vm-runs").unwrap().join("debian-1");
        fs::create_dir_all(left.join("deep")).unwrap();
        fs::create_dir_all(&run).unwrap();
        let dropped = collect(&store, &Keep::new(BTreeSet::new(), WEEK), false).unwrap();
        assert!(!left.exists() && !run.exists());
        assert!(dropped.report(false).contains("dropped 2 entries, "), "{dropped:?}");
        remove(store.root()).unwrap();
    }

    #[test]
    fn a_dry_run_says_the_same_and_drops_nothing() {
        let store = scratch("dry");
        let path = entry(&store, "results", "k");
        store.kind("apt").unwrap();
        let text = collect(&store, &Keep::nothing(), true).unwrap().report(true);
        assert!(path.exists() && text.starts_with("would drop results/k ("), "{text}");
        collect(&store, &Keep::nothing(), false).unwrap();
        assert!(!path.exists());
        remove(store.root()).unwrap();
    }
}
