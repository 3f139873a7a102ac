// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask store`: what the store holds, and what of it can go.

mod collect;
mod usage;

use crate::error::{Error, Result};
use crate::resolve::lockfile;
use crate::store::Store;
use clap::{Subcommand, ValueEnum};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use xshell::Shell;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Says what the store holds, or drops what is no longer needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask store path
  cargo xtask store du --format json
  cargo xtask store gc --dry-run            what would go
  cargo xtask store gc --unused-for 0       keep what kernels.lock names, and nothing else
  cargo xtask store gc --all                empty it")]
pub struct StoreCommand {
    #[command(subcommand)]
    action: Action,
    /// The store's directory [default: $XDG_CACHE_HOME/involflt or ~/.cache/involflt].
    #[arg(long, value_name = "DIR", global = true)]
    store: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Prints where the store is.
    Path,
    /// Shows how much room each kind of entry takes.
    Du(Du),
    /// Drops what kernels.lock does not name and no run has used of late; refuses while a run uses the store.
    Gc(Gc),
}

#[derive(Debug, clap::Args)]
struct Du {
    /// How it is shown.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    format: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Columns, a row for each kind of entry.
    Table,
    /// An object with a list `kinds`; sizes are in bytes.
    Json,
}

#[derive(Debug, clap::Args)]
struct Gc {
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
    /// Drop everything, needed or not.
    #[arg(long, conflicts_with = "unused_for")]
    all: bool,
    /// How long an entry is kept after a run last asked for it.
    #[arg(long, value_name = "DAYS", default_value_t = 14)]
    unused_for: u32,
    /// Whose packages are kept however old they are [default: kernels.lock of the work tree, where it is there].
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
}

impl StoreCommand {
    /// Runs the command.
    pub fn run(self, _: &Shell) -> Result<()> {
        let store = Store::open(self.store.as_deref())?;
        match self.action {
            Action::Path => println!("{}", store.root().display()),
            Action::Du(du) => print!("{}", du.text(&store)?),
            Action::Gc(gc) => print!("{}", gc.run(&store)?),
        }
        Ok(())
    }
}

impl Du {
    fn text(&self, store: &Store) -> Result<String> {
        let usage = usage::Usage::of(store)?;
        match self.format {
            Output::Table => Ok(usage.table()),
            Output::Json => {
                let text = serde_json::to_string_pretty(&usage).map_err(|error| Error::infra(error.to_string()))?;
                Ok(text + "\n")
            }
        }
    }
}

impl Gc {
    fn run(&self, store: &Store) -> Result<String> {
        let lock = store.lock_file("store")?;
        if lock.try_lock().is_err() {
            return Err(Error::infra(format!("{}: a run is using the store", store.root().display()))
                .note("wait until it has ended, and run the command again"));
        }
        let keep = match self.all {
            true => collect::Keep::nothing(),
            false => collect::Keep::new(self.locked_packages()?, DAY * self.unused_for),
        };
        let dropped = collect::collect(store, &keep, self.dry_run)?;
        Ok(dropped.report(self.dry_run))
    }

    /// The SHA-256 of every package of the lock file. A lock file that was asked for by name must be there.
    fn locked_packages(&self) -> Result<BTreeSet<String>> {
        let path = match &self.lock {
            Some(path) => path.clone(),
            None => crate::work_tree::relative().join("kernels.lock"),
        };
        if self.lock.is_none() && !path.exists() {
            return Ok(BTreeSet::new());
        }
        let kernels = lockfile::read(&path)?.kernels;
        Ok(kernels.into_iter().flat_map(|kernel| kernel.packages).map(|package| package.sha256).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_in_use_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("involflt-gc-use-{}", std::process::id()));
        let store = Store::open(Some(&dir)).unwrap();
        let kept = store.kind("results").unwrap().join("k");
        std::fs::write(&kept, "x").unwrap();
        let run = store.in_use().unwrap();
        let gc = Gc { dry_run: false, all: true, unused_for: 14, lock: None };
        let error = gc.run(&store).unwrap_err();
        assert!(error.kind.exit_code() == 69 && error.message.contains("a run is using the store"), "{error}");
        assert!(kept.exists());
        drop(run);
        gc.run(&store).unwrap();
        assert!(!kept.exists());
        crate::store::remove(&dir).unwrap();
    }

    #[test]
    fn a_lock_file_that_was_named_must_be_there() {
        let gc = Gc { dry_run: true, all: false, unused_for: 14, lock: Some("/nonexistent/kernels.lock".into()) };
        assert_eq!(gc.locked_packages().unwrap_err().kind.exit_code(), 2);
    }
}
