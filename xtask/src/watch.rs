// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask watch`: what the archives have that the lock has not.

use crate::display::{self, Format};
use crate::error::{AtPath, Error, Kind, Result};
use crate::resolve::{self, Changes, MatrixArgs, lockfile};
use crate::store::Store;
use std::io::Write;
use xshell::Shell;

/// Compares the archives with kernels.lock: which kernels are new, changed or gone since it was written.
///
/// Nothing is written. `build-matrix --since` builds what is new or changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo xtask watch
  cargo xtask watch --format json | jq -r '.new[]'
  cargo xtask watch --lock dist/kernels.lock                    against what was built last
  cargo xtask watch --select group:debian-all --lock all.lock   as the lock was resolved

Exit codes: 0 compared, 1 a kernel cannot be resolved, 2 bad kernels.yaml, lock or --select, 69 no archive.")]
pub struct Watch {
    #[command(flatten)]
    matrix: MatrixArgs,
    /// How it is shown
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// Forms of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line, and one for each kernel
    Text,
    /// An object with the ids in `new`, `changed` and `gone`, and `left_out`: what cannot be resolved
    Json,
}

impl Watch {
    /// Compares, and prints what came of it.
    pub fn run(self, _: &Shell) -> Result<()> {
        if self.matrix.locked {
            return Err(Error::input("watch --locked: the lock would be compared with itself"));
        }
        let path = self.matrix.lock_path();
        let before = lockfile::read(&path)?.kernels;
        let store = Store::open(self.matrix.store.as_deref())?;
        let _in_use = store.in_use()?;
        let now = resolve::resolution(&self.matrix, &store, &*display::open(Some(Format::Plain)))?;
        // Kernels of an archive that was not reached are not gone.
        if now.refused.iter().any(|one| one.error.kind == Kind::Infra) {
            return resolve::verdict(&now.refused);
        }
        let mut changes = Changes::between(&before, &now.kernels);
        changes.gone.retain(|kernel| !now.refused.iter().any(|refused| refused.id == kernel.id()));
        let text = match self.format {
            Output::Text if changes.is_empty() => format!("{}: nothing is new, changed or gone\n", path.display()),
            Output::Text => format!("{}:{changes}\n", path.display()),
            Output::Json => {
                let mut json = changes.json();
                json["left_out"] = now.refused.iter().map(|one| one.id.as_str()).collect();
                format!("{json:#}\n")
            }
        };
        std::io::stdout().write_all(text.as_bytes()).at_path("standard output")?;
        resolve::verdict(&now.refused)
    }
}
