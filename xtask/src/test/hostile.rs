// SPDX-License-Identifier: GPL-2.0-only
//! An apt repository that was tampered with, in every way that apt is there to notice.

use super::stranger::Stranger;
use crate::error::{AtPath, Error, Result};
use crate::machine::{Root, Said};
use crate::sign::ArchiveKey;
use crate::store::remove;
use crate::tree;
use std::fs;
use std::path::{Path, PathBuf};

/// Only this source, so that nothing else can fail or help.
const ONLY: [&str; 3] = [
    "-oDir::Etc::sourcelist=/etc/apt/sources.list.d/hostile.sources",
    "-oDir::Etc::sourceparts=-",
    "-oAPT::Get::List-Cleanup=0",
];

/// A true repository, and copies of it that are not.
pub struct Hostile<'a> {
    /// The true apt repository.
    pub apt: &'a Path,
    /// Its public key.
    pub keyring: &'a Path,
    /// Its secret key.
    pub key: &'a ArchiveKey,
    /// Somebody else's keys.
    pub stranger: &'a Stranger,
    /// The suite.
    pub suite: &'a str,
    /// Where copies go; the root sees it as `/hostile`.
    pub work: &'a Path,
}

impl Hostile<'_> {
    /// Tries them all. The first that apt takes is the error; otherwise what apt said to each.
    pub fn all(&self, root: &Root) -> Result<Vec<String>> {
        let said = vec![
            self.altered_package(root)?,
            self.altered_release(root)?,
            self.foreign_key(root)?,
            self.expired_key(root)?,
            self.rollback(root)?,
        ];
        root.run("rm -r /etc/apt/sources.list.d/hostile.sources /usr/share/keyrings/hostile.gpg")?.ok()?;
        Ok(said)
    }

    fn copy(&self) -> Result<PathBuf> {
        let copy = self.work.join("apt");
        remove(&copy)?;
        tree::replace(self.apt, &copy)?;
        Ok(copy)
    }

    fn release(&self, copy: &Path, name: &str) -> PathBuf {
        copy.join("dists").join(self.suite).join(name)
    }

    fn update(&self, root: &Root, keyring: &Path) -> Result<Said> {
        root.add_repository("hostile", "file:/hostile/apt", self.suite, keyring)?;
        root.apt_get(&[&["update", "--error-on=any"], &ONLY[..]].concat())
    }

    fn altered_package(&self, root: &Root) -> Result<String> {
        let pool = self.copy()?.join("pool/main/i/involflt");
        let is_keyring = |path: &&PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("involflt-keyring_"))
        };
        for name in tree::files(&pool)?.iter().filter(is_keyring) {
            let mut bytes = fs::read(pool.join(name)).at_path(pool.join(name))?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(pool.join(name), bytes).at_path(pool.join(name))?;
        }
        self.update(root, self.keyring)?.ok()?;
        let install = ["install", "involflt-keyring"];
        let said = root.apt_get(&[&install, &ONLY[..]].concat())?;
        refused(said, &["Hash Sum mismatch"])
    }

    fn altered_release(&self, root: &Root) -> Result<String> {
        let release = self.release(&self.copy()?, "InRelease");
        let text = fs::read_to_string(&release).at_path(&release)?;
        fs::write(&release, text.replace("Origin: involflt", "Origin: involfit")).at_path(&release)?;
        refused(self.update(root, self.keyring)?, &["BADSIG", "Message has been manipulated"])
    }

    fn foreign_key(&self, root: &Root) -> Result<String> {
        let copy = self.copy()?;
        self.stranger.clear_sign(&self.release(&copy, "Release"), &self.release(&copy, "InRelease"))?;
        refused(self.update(root, self.keyring)?, &["NO_PUBKEY", "Missing key"])
    }

    fn expired_key(&self, root: &Root) -> Result<String> {
        let copy = self.copy()?;
        self.stranger.clear_sign(&self.release(&copy, "Release"), &self.release(&copy, "InRelease"))?;
        refused(self.update(root, &self.stranger.keyring())?, &["EXPKEYSIG", "xpired"])
    }

    /// An older state, as true as the newer one when it was made: apt keeps what it has.
    fn rollback(&self, root: &Root) -> Result<String> {
        let copy = self.copy()?;
        self.update(root, self.keyring)?.ok()?;
        let release = self.release(&copy, "Release");
        let text = fs::read_to_string(&release).at_path(&release)?;
        let older = |line: &str| match line.starts_with("Date: ") {
            true => "Date: Wed, 01 Jan 2020 12:00:00 UTC\n".to_string(),
            false => format!("{line}\n"),
        };
        let text: String = text.lines().map(older).collect();
        fs::write(&release, text.replace("Label: involflt", "Label: rolled-back")).at_path(&release)?;
        self.key.clear_sign(&release, &self.release(&copy, "InRelease"))?;
        self.update(root, self.keyring)?;
        let known = root.run("grep -h ^Label: /var/lib/apt/lists/*hostile*Release")?.ok()?;
        match known.contains("rolled-back") {
            true => Err(Error::kernel("apt took an older state of the repository")),
            false => Ok("an older state is not taken".into()),
        }
    }
}

/// It failed, with words of gpgv or, from trixie on, of sqv; the line that has them.
fn refused(said: Said, words: &[&str]) -> Result<String> {
    let line = said.output.lines().find(|line| words.iter().any(|word| line.contains(word)));
    match (said.code, line) {
        (0, _) | (_, None) => {
            Err(Error::kernel(format!("{} was not refused as {words:?}: {}", said.command, said.output)))
        }
        (_, Some(line)) => Ok(line.trim().to_string()),
    }
}
