// SPDX-License-Identifier: GPL-2.0-only
//! `cargo xtask source`: what a distribution rebuilds the driver from, in its own build system.

mod debian;
mod rpm;
mod tarball;

use self::tarball::{NAME, TARBALL};
use crate::build::Farm;
use crate::display::{self, Format};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::lock::LockedKernel;
use crate::module_source::ModuleSource;
use crate::package::{MAINTAINER, Templates};
use crate::resolve::lockfile;
use crate::setup::{self, Need};
use crate::store::{Store, remove, sha256_file};
use crate::{tree, work_tree};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xshell::Shell;

/// Makes the source packages: a tarball, a Debian source package, a src.rpm and the files of an OBS package.
///
/// None of them needs cargo, rustc, Python or a network to be built: the driver's Rust part is in them compiled, beside
/// its source. The same commit makes the same bytes.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask source
  cargo xtask source --offline --out /tmp/source

docs/source.md says how each is built.")]
pub struct Source {
    /// Touch no network: work from the store.
    #[arg(long)]
    offline: bool,
    /// Install missing tools with apt first (with sudo when not root).
    #[arg(long, conflicts_with = "offline")]
    setup: bool,
    /// Where packages and build roots are kept [default: $XDG_CACHE_HOME/involflt or ~/.cache/involflt].
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Where the source packages go; what was there is replaced.
    #[arg(long, value_name = "DIR", default_value = "dist/source")]
    out: PathBuf,
}

impl Source {
    /// Runs the command.
    pub fn run(self, _: &Shell) -> Result<()> {
        let listener = display::open(Some(Format::Plain));
        setup::require(Need::BuildMatrix, self.setup, &*listener)?;
        let store = Store::open(self.store.as_deref())?;
        let _in_use = store.in_use()?;
        let lock = work_tree::top().join("kernels.lock");
        let kernels = lockfile::read(&lock)?.kernels;
        let any = kernels.first().ok_or_else(|| Error::input(format!("{} has no kernel", lock.display())))?;
        let source = ModuleSource::read(&work_tree::top().join("module"))?;
        let farm = Farm::new(&store, &source, self.offline);
        make(&farm, any, &self.out, &*listener)?;
        for file in tree::files(&self.out)? {
            println!("{}  {}", sha256_file(&self.out.join(&file))?, self.out.join(&file).display());
        }
        Ok(())
    }
}

/// Makes all of them in `out`, which is replaced; of `any` kernel of the distribution only the archive counts.
pub fn make(farm: &Farm<'_>, any: &LockedKernel, out: &Path, listener: &dyn Listener) -> Result<()> {
    let note = |text: &str| listener.event(Event::Note { subject: "source".into(), text: text.into() });
    let scratch = Scratch(out.with_extension("partial"));
    remove(&scratch.0)?;
    let made = scratch.0.join("made");
    fs::create_dir_all(&made).at_path(&made)?;
    let tree = scratch.0.join(NAME);
    tarball::stage(farm, any, &tree, &note)?;
    let tarball = made.join(TARBALL);
    tarball::pack(&tree, &tarball)?;
    let rendered = rendered(&tarball)?;
    debian::make(&tree, &tarball, &rendered, &made)?;
    rpm::make(&rendered, &made)?;
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent).at_path(parent)?;
    }
    tree::replace(&made, out)
}

/// The files of `packaging/source`, by name.
fn rendered(tarball: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let values = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "release": crate::package::REVISION,
        "maintainer": MAINTAINER,
        "sha256": sha256_file(tarball)?,
    });
    Templates::read(&work_tree::top().join("packaging"))?.render("source", &values)
}

/// A directory that is gone when dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

/// Runs a tool with the packages' date; its own words are the error where it fails.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("SOURCE_DATE_EPOCH", crate::package::DATE.to_string())
        .env("LC_ALL", "C")
        .output()
        .at_path(Path::new(&name))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Error::infra(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}
