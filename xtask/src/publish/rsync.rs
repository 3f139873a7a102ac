// SPDX-License-Identifier: GPL-2.0-only
//! An rsync daemon, or rsync on a host that ssh reaches.

use super::generations::DIR;
use super::remote::{Remote, done, list};
use crate::error::{AtPath, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Seconds without a byte after which the other side counts as gone.
const TIMEOUT: &str = "--timeout=120";

/// A password is rsync's own affair: `RSYNC_PASSWORD`. Keys, users and ports are ssh's: its configuration, and `RSYNC_RSH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rsync {
    /// `rsync://[USER@]HOST[:PORT]/MODULE/`; by ssh `[USER@]HOST:/`, or `[USER@]HOST:` for that user's home.
    base: String,
    /// Below it; may be empty.
    path: String,
}

impl Rsync {
    /// A place of that server, `[USER@]HOST[:PORT]`, in that module.
    pub fn new(server: &str, module: &str, path: &str) -> Self {
        Rsync { base: format!("rsync://{server}/{module}/"), path: path.trim_matches('/').to_string() }
    }

    /// A directory of that host, `[USER@]HOST`, by ssh.
    pub fn by_ssh(host: &str, path: &str) -> Self {
        let root = if path.starts_with('/') { "/" } else { "" };
        Rsync { base: format!("{host}:{root}"), path: path.trim_matches('/').to_string() }
    }

    fn top(&self) -> String {
        format!("{}{}/", self.base, self.path)
    }
}

impl Remote for Rsync {
    fn fetch(&self, to: &Path) -> Result<()> {
        let copy = to.join("fetched");
        let mut rsync = Command::new("rsync");
        // Where nothing was published yet there is nothing, and that is no error of a path that begins at the module.
        rsync.args(["--recursive", "--relative", "--ignore-missing-args", TIMEOUT]);
        rsync.arg(format!("{}./{}/{DIR}", self.base, self.path)).arg(copy.join(""));
        done(&mut rsync, "rsync")?;
        let found = copy.join(&self.path).join(DIR);
        if found.exists() {
            fs::rename(&found, to.join(DIR)).at_path(&found)?;
        }
        Ok(())
    }

    fn put(&self, from: &Path, files: &[String], work: &Path) -> Result<()> {
        self.put_together(from, files, work)
    }

    fn put_together(&self, from: &Path, files: &[String], work: &Path) -> Result<()> {
        let names = work.join("files");
        list(files.iter().cloned(), &names)?;
        let mut rsync = Command::new("rsync");
        // All of them come first, and are renamed into place one right after the other when the last has come.
        rsync.args(["--times", "--perms", "--chmod=F644,D755", "--checksum", "--delay-updates", "--mkpath", TIMEOUT]);
        rsync.arg(format!("--files-from={}", names.display())).arg(from).arg(self.top());
        done(&mut rsync, "rsync")
    }

    /// Has the other side delete, of the listed files alone, what an empty directory does not have.
    fn remove(&self, files: &[String], work: &Path) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let (empty, names) = (work.join("empty"), work.join("removed"));
        let mut dirs = BTreeSet::new();
        for file in files {
            dirs.extend(Path::new(file).ancestors().skip(1).filter(|dir| *dir != Path::new("")));
        }
        for dir in &dirs {
            fs::create_dir_all(empty.join(dir)).at_path(&empty)?;
        }
        let dirs = dirs.iter().map(|dir| format!("/{}/", dir.display()));
        list(dirs.chain(files.iter().map(|file| format!("/{file}"))), &names)?;
        let mut rsync = Command::new("rsync");
        rsync.args(["--recursive", "--delete", TIMEOUT]).arg(format!("--include-from={}", names.display()));
        rsync.args(["--exclude", "*"]).arg(empty.join("")).arg(self.top());
        let outcome = done(&mut rsync, "rsync");
        fs::remove_dir_all(&empty).at_path(&empty)?;
        outcome
    }
}
