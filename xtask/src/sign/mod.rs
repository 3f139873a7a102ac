// SPDX-License-Identifier: GPL-2.0-only
//! Keys, and what is signed with them: modules by an X.509 key, packages and repositories by an OpenPGP key.
//!
//! No secret is ever an argument of a program: passphrases and PINs are read by openssl and gpg from the file that the
//! user named, and the secret keys stay in the files, agents and tokens that they are in.

mod archive_key;
mod development;
mod module_key;
mod options;
#[cfg(test)]
mod tests;

pub use archive_key::ArchiveKey;
pub use module_key::{ModuleKey, join, verify_module};
pub use options::KeyOptions;

use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use options::Configured;
use std::process::Command;

/// What everything is signed with. Both keys have been seen to work.
pub struct Keys {
    /// Signs modules.
    pub module: ModuleKey,
    /// Signs packages, repositories and checksums.
    pub archive: ArchiveKey,
    /// Whether they are a local build's own, good for tests alone.
    pub development: bool,
}

impl Keys {
    /// The configured keys, or development keys where none is configured; each makes and checks a signature first.
    ///
    /// Fails as bad input where `--release` or a part of the configuration demands a key that is not given, and where a
    /// key cannot be used: wrong passphrase, expired, not the certificate's.
    pub fn open(options: &KeyOptions, listener: &dyn Listener) -> Result<Keys> {
        let keys = match options.configured()? {
            None => development::keys(listener)?,
            Some(Configured { module_key, module_cert, module_passphrase, archive_key, archive_passphrase }) => Keys {
                module: ModuleKey::new(module_key, &module_cert, module_passphrase)?,
                archive: ArchiveKey::new(&archive_key, archive_passphrase)?,
                development: false,
            },
        };
        keys.module.try_out()?;
        keys.archive.try_out()?;
        let text = format!("signed with {} and OpenPGP key {}", keys.module.subject(), keys.archive.fingerprint());
        listener.event(Event::Note { subject: "keys".into(), text });
        Ok(keys)
    }
}

/// Runs a program whose failure is the user's to mend: a key, a passphrase. Its output.
fn said(command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").output().at_path(&program)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(Error::input(format!("{what}: {program}: {}", lines.join("; "))))
}
