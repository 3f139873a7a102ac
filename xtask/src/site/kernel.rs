// SPDX-License-Identifier: GPL-2.0-only
//! The page of one kernel: how it stands and stood, its probes, the symbols of its module, its logs and its packages.

use super::history::Record;
use crate::check;
use crate::error::{AtPath, Result};
use crate::kernels::Distro;
use crate::page;
use crate::probes::{self, Probe};
use crate::publish::Files;
use crate::report::put;
use crate::result::Row;
use minijinja::context;
use std::fs;
use std::path::{Path, PathBuf};

const TEMPLATE: &str = include_str!("../../templates/site/kernel.html");
/// Below the site: a directory for each kernel.
pub const DIR: &str = "kernels";
/// A page has no more of a log than this, in bytes; the whole is beside it.
const LOG_BYTES: usize = 64 << 10;

/// What all pages are made from.
pub struct Facts {
    dist: PathBuf,
    probes: Vec<Probe>,
    published: Files,
}

impl Facts {
    /// Reads what all kernels share.
    pub fn read(dist: &Path, module: &Path) -> Result<Facts> {
        Ok(Facts { dist: dist.into(), probes: Probe::all(module)?, published: super::published(dist)? })
    }

    /// Writes a kernel's page into `to`, with its logs beside it.
    pub fn write(&self, row: &Row, record: &Record, to: &Path) -> Result<()> {
        fs::create_dir_all(to).at_path(to)?;
        let log = self.copied(row.build_log.as_deref(), to, "build.log")?;
        let vm_log = self.copied(row.vm_log.as_deref(), to, "vm.log")?;
        let symbols = match &row.module {
            Some(path) => check::imports(&fs::read(self.dist.join(path)).at_path(path)?)?,
            None => Vec::new(),
        };
        let symbols: Vec<(String, String)> =
            symbols.into_iter().map(|(name, crc)| (name, format!("{crc:#010x}"))).collect();
        let values = context! {
            row,
            platform => row.platform_name(),
            state => row.state(),
            record,
            first_good => record.first_good(),
            packages => self.packages(row),
            probes => log.as_deref().map_or_else(Vec::new, |log| self.answers(log)),
            symbols,
            log => log.as_deref().map(tail),
            has_vm_log => vm_log.is_some(),
        };
        put(&to.join("index.html"), &page::render(&row.id, TEMPLATE, values)?)
    }

    /// A log's text, and a copy of it in `to`; none where the run left no such file.
    fn copied(&self, path: Option<&str>, to: &Path, name: &str) -> Result<Option<String>> {
        let Some(from) = path.map(|path| self.dist.join(path)).filter(|from| from.exists()) else { return Ok(None) };
        let bytes = fs::read(&from).at_path(&from)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        put(&to.join(name), &text)?;
        Ok(Some(text))
    }

    /// Each probe with what it means and whether the build found it; none where the build did not come so far.
    fn answers(&self, log: &str) -> Vec<(&str, &str, bool)> {
        let Some(found) = probes::found(log) else { return Vec::new() };
        self.probes
            .iter()
            .map(|one| (one.name.as_str(), one.means.as_str(), found.contains(&one.name.as_str())))
            .collect()
    }

    /// The packages that have a module for the kernel, with their SHA-256: the kernel's own of apt, or those of its flavour
    /// in the rpm repository of its release, of which one may serve several kernels.
    fn packages(&self, row: &Row) -> Vec<(&str, &str)> {
        let own = format!("involflt-kmod-{}_", row.kernel);
        let is_rpm = Distro::find(&row.distro).and_then(Distro::layout).is_some();
        let rpm = format!("rpm/{}-{}/", row.distro, row.release);
        let kmp = format!("involflt-kmp-{}-", row.flavour);
        let serves = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            let is_module = name.starts_with(&kmp) || name.starts_with("kmod-involflt");
            match is_rpm {
                true => path.starts_with(&rpm) && name.ends_with(".rpm") && is_module,
                false => path.starts_with("apt/") && name.starts_with(&own),
            }
        };
        let files = self.published.iter().filter(|(path, _)| serves(path));
        files.map(|(path, sha256)| (path.as_str(), sha256.as_str())).collect()
    }
}

/// The end of a log that is too long for a page.
fn tail(log: &str) -> &str {
    let from = log.len().saturating_sub(LOG_BYTES);
    let start = (from..=log.len()).find(|&at| log.is_char_boundary(at)).unwrap_or(log.len());
    &log[start..]
}
