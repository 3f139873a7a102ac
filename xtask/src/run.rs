// SPDX-License-Identifier: GPL-2.0-only
//! What `build-matrix` and `gather` have in common: their options, what they open first, and how they end.

use crate::display::{self, Format, Style};
use crate::error::Result;
use crate::event::{Event, Listener};
use crate::plan::Outcome;
use crate::report;
use crate::resolve::MatrixArgs;
use crate::setup::{self, Need};
use crate::sign::{KeyOptions, Keys};
use crate::store::{SharedPlace, Store};
use crate::timeline::Timeline;
use std::fs::File;
use std::path::PathBuf;

/// The options of both.
#[derive(clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub matrix: MatrixArgs,
    /// Where machines share what they built: a directory, or oci://HOST/REPOSITORY
    #[arg(long, value_name = "PLACE")]
    shared_store: Option<SharedPlace>,
    /// Install missing tools with apt first (with sudo when not root).
    #[arg(long, conflicts_with = "offline")]
    setup: bool,
    /// Make no packages and no repositories.
    #[arg(long, conflicts_with = "release")]
    no_packages: bool,
    #[command(flatten)]
    keys: KeyOptions,
    /// How progress is shown [default: live on a terminal, else plain].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where the results go.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    pub dist: PathBuf,
}

/// A run that has begun.
pub struct Run {
    /// Is told of every step.
    pub listener: Timeline,
    /// The store.
    pub store: Store,
    /// What packages are signed with; none are made without.
    pub keys: Option<Keys>,
    format: Option<Format>,
    _in_use: File,
}

impl RunArgs {
    /// Sees to the tools, and opens the store and, where packages are made, the keys.
    pub fn open(&self, makes_packages: bool) -> Result<Run> {
        let listener = Timeline::new(display::open(self.format));
        setup::require(Need::BuildMatrix, self.setup, &listener)?;
        let store = Store::open(self.matrix.store.as_deref())?.sharing(self.shared_store.clone());
        let in_use = store.in_use()?;
        let keys = match makes_packages && !self.no_packages {
            true => Some(Keys::open(&self.keys, &listener)?),
            false => None,
        };
        Ok(Run { listener, store, keys, format: self.format, _in_use: in_use })
    }
}

impl Run {
    /// Prints the closing table. Fails with exit code 1 when some kernel failed; its row says why.
    pub fn close(self, outcome: &Outcome) -> Result<()> {
        for text in self.store.complaints() {
            self.listener.event(Event::Note { subject: "shared store".into(), text });
        }
        self.listener
            .event(Event::Note { subject: "critical path".into(), text: self.listener.critical_path().to_string() });
        drop(self.listener);
        if self.format != Some(Format::Json) {
            print!("{}", report::table(&outcome.rows, Style::detect(&std::io::stdout())));
        }
        outcome.verdict()
    }
}
