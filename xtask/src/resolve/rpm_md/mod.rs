// SPDX-License-Identifier: GPL-2.0-only
//! rpm-md repositories: `repomd.xml`, and the `primary` index that it names.
//!
//! Nothing of a repository comes into the store before its signature and its checksums were found good; where the vendor
//! signs no `repomd.xml`, that file comes by https. Every step is
//! bounded: bytes by what the signed file says and by a ceiling of our own, time by [`Patience`], memory by reading the
//! index as it is unpacked.

mod kernels;
mod primary;
mod repomd;
mod unpacked;

pub use kernels::{Place, find};
pub use primary::Package;
pub use repomd::inside;

use crate::credentials::Access;
use crate::error::{AtPath, Error, Result};
use crate::fetch::{self, Channel, Patience, Size, Way};
use crate::kernels::Trust;
use crate::mirrors::{self, Mirror};
use crate::store::{Store, key, remove};
use crate::verify;
use repomd::Primary;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes that a `repomd.xml` may have; those of the largest repositories have some 15 kB.
const REPOMD: u64 = 1 << 20;
/// Bytes that a signature may have.
const SIGNATURE: u64 = 1 << 16;

/// A repository.
pub struct Repository<'a> {
    /// Where it is, as [`mirrors::each`] reads it.
    pub url: String,
    /// What its index is believed for.
    pub trust: Trust,
    /// The keys that sign it, armoured or binary.
    pub keyring: PathBuf,
    /// The package of the distribution that has these keys.
    pub keyring_package: &'static str,
    /// How long each of its servers is waited for.
    pub patience: Patience,
    /// Where its indices are kept.
    pub store: &'a Store,
}

impl Repository<'_> {
    /// Brings the index up to date; where anything is wrong with the new one, the old one stays.
    pub fn update(&self) -> Result<()> {
        let dir = self.dir()?;
        let lock = self.store.lock_file(&format!("rpm-md-{}", self.key()))?;
        lock.lock().at_path(&dir)?;
        let new = dir.with_extension("partial");
        let outcome =
            mirrors::each(&self.url, &dir.with_extension("mirrors"), (self.patience, self.channel()), |mirror| {
                remove(&new)?;
                fs::create_dir_all(&new).at_path(&new)?;
                self.fetch(mirror, &new)
            });
        let outcome = outcome.and_then(|()| {
            remove(&dir)?;
            fs::rename(&new, &dir).at_path(&dir)
        });
        remove(&new)?;
        outcome.map_err(|error| self.refused(error))
    }

    /// The kernel packages of the index that was read last. Its signature, where it has one, is checked here too.
    pub fn packages(&self) -> Result<Vec<Package>> {
        let dir = self.dir()?;
        if !dir.is_dir() {
            return Err(Error::infra(format!("{}: its index is not in the store ({})", self.url, dir.display()))
                .note("run `cargo xtask resolve` once without --offline, or use kernels.lock as it is with --locked"));
        }
        let primary = self.verified(&dir)?;
        read(&dir, &primary).map_err(|error| self.refused(error))
    }

    fn refused(&self, error: Error) -> Error {
        // What the server does not have is no kernel's failure here: it is the index that is not there.
        let error = Error { kind: crate::error::Kind::Infra, ..error };
        error.at(format!("the repository {} cannot be read", self.url))
    }

    fn key(&self) -> String {
        key([self.url.as_str()])
    }

    fn dir(&self) -> Result<PathBuf> {
        Ok(self.store.kind("rpm-md")?.join(self.key()))
    }

    fn fetch(&self, mirror: &Mirror, to: &Path) -> Result<()> {
        let way = Way { access: &Access::to(&mirror.url)?, patience: self.patience, channel: self.channel() };
        let get = |path: &str, file: &str, size| {
            let url = format!("{}/{path}", mirror.url);
            fetch::get(&url, &to.join(file), size, way)
        };
        get("repodata/repomd.xml", "repomd.xml", Size::AtMost(REPOMD))?;
        mirror.check_repomd(&to.join("repomd.xml"))?;
        if self.trust == Trust::Repomd {
            get("repodata/repomd.xml.asc", "repomd.xml.asc", Size::AtMost(SIGNATURE))?;
        }
        let primary = self.believed(to)?;
        get(&primary.path, &primary.file, Size::Exactly(primary.size))?;
        self.checked(to, &primary)?;
        // Read to its end before it is kept: what is wrong with it is found now, and not by a later run.
        read(to, &primary).map(drop)
    }

    fn channel(&self) -> Channel {
        match self.trust {
            Trust::Repomd => Channel::Any,
            Trust::Tls => Channel::Tls,
        }
    }

    /// What a directory's `repomd.xml` names, once its signature and the file it names were found good.
    fn verified(&self, dir: &Path) -> Result<Primary> {
        let primary = self.believed(dir)?;
        self.checked(dir, &primary)?;
        Ok(primary)
    }

    fn believed(&self, dir: &Path) -> Result<Primary> {
        let index = dir.join("repomd.xml");
        if self.trust == Trust::Repomd {
            self.signed(dir, &index)?;
        }
        repomd::primary(&fs::read_to_string(&index).at_path(&index)?)
    }

    fn signed(&self, dir: &Path, index: &Path) -> Result<()> {
        let signature = dir.join("repomd.xml.asc");
        let keyring = self.binary_keyring(dir)?;
        if let Err(cause) = verify::detached(&keyring, &signature, index)? {
            return Err(Error::infra(format!("repodata/repomd.xml: {cause}"))
                .note(format!("the keys that are trusted are in {}", self.keyring.display())));
        }
        remove(&keyring)
    }

    fn checked(&self, dir: &Path, primary: &Primary) -> Result<()> {
        let path = dir.join(&primary.file);
        let length = fs::metadata(&path).at_path(&path)?.len();
        match length == primary.size && primary.checksum.is_of(&path)? {
            true => Ok(()),
            false => Err(Error::infra(format!(
                "{}: its bytes are not those that repomd.xml has the checksum of",
                primary.path
            ))
            .note("a mirror in the middle of an update: try again, or name another one")),
        }
    }

    /// gpgv wants a binary keyring, vendors of rpms publish armoured keys.
    fn binary_keyring(&self, dir: &Path) -> Result<PathBuf> {
        let bytes = match fs::read(&self.keyring) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Err(Error::infra(format!("{}: the keyring cannot be read: {error}", self.keyring.display()))
                    .note(format!("the distribution's package {} has it", self.keyring_package))
                    .note("name the file: `keyring:` under `distros:` in kernels.yaml"));
            }
        };
        let to = dir.join("keyring.gpg");
        if bytes.starts_with(b"-----BEGIN") {
            let mut command = Command::new("gpg");
            command.args(["--batch", "--yes", "--no-tty", "--quiet", "--no-autostart", "--dearmor", "--output"]);
            let said = crate::unpack::ask(command.arg(&to).arg(&self.keyring))?;
            said.map_err(|said| Error::input(format!("{}: {said}", self.keyring.display())))?;
        } else {
            fs::write(&to, bytes).at_path(&to)?;
        }
        Ok(to)
    }
}

fn read(dir: &Path, primary: &Primary) -> Result<Vec<Package>> {
    primary::read(unpacked::open(&dir.join(&primary.file), primary)?, &kernels::is_kernel_package)
}
