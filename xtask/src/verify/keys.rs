// SPDX-License-Identifier: GPL-2.0-only
//! The published keys: each in its forms, and the ones that are trusted.

use super::trust::{der, fingerprints_of};
use super::{Checker, name};
use crate::error::Result;
use std::path::Path;

impl Checker<'_> {
    /// Both forms of each key are there, and are the trusted key.
    pub(super) fn keys(&self) -> Result<()> {
        for file in ["keys/involflt-archive-keyring.gpg", "keys/involflt-archive-keyring.asc"] {
            self.archive_key(Path::new(file))?;
        }
        for file in ["keys/involflt-module.pem", "keys/involflt-module.der"] {
            self.certificate(Path::new(file));
        }
        Ok(())
    }

    /// A public key is the trusted one.
    pub(super) fn archive_key(&self, file: &Path) -> Result<()> {
        if !self.dist.join(file).is_file() {
            self.found(file, "it is missing");
            return Ok(());
        }
        match fingerprints_of(&self.dist.join(file))? {
            Ok(found) if found == self.trust.fingerprints => (),
            Ok(found) => self.found(file, format!("it is another key, {}", found.join(", "))),
            Err(said) => self.found(file, said),
        }
        Ok(())
    }

    fn certificate(&self, file: &Path) {
        match der(&self.dist.join(file)) {
            Ok(found) if found == self.trust.certificate_der => (),
            Ok(_) => self.found(file, "it is another certificate"),
            Err(error) => self.found(file, format!("{}: {}", name(file), error.message)),
        }
    }
}
