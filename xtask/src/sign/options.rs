// SPDX-License-Identifier: GPL-2.0-only
//! The options that say which keys.

use crate::error::{Error, Result};
use std::path::PathBuf;

/// Keys that everything is signed with; without any of them, a development key that is made once.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyOptions {
    /// Demand real keys before anything is built
    #[arg(long)]
    release: bool,
    /// Private key for modules: a PEM file, or a PKCS#11 URI (pkcs11:token=…;object=…)
    #[arg(long, value_name = "FILE|URI")]
    module_key: Option<String>,
    /// Certificate of that key, PEM
    #[arg(long, value_name = "FILE")]
    module_cert: Option<PathBuf>,
    /// File with the passphrase of that key, or the PIN of its token
    #[arg(long, value_name = "FILE")]
    module_passphrase_file: Option<PathBuf>,
    /// OpenPGP key for packages and repositories: a fingerprint that gpg knows, or the file of an exported secret key
    #[arg(long, value_name = "FINGERPRINT|FILE")]
    archive_key: Option<String>,
    /// File with the passphrase of that key
    #[arg(long, value_name = "FILE")]
    archive_passphrase_file: Option<PathBuf>,
}

/// Options that are complete.
pub(super) struct Configured {
    pub module_key: String,
    pub module_cert: PathBuf,
    pub module_passphrase: Option<PathBuf>,
    pub archive_key: String,
    pub archive_passphrase: Option<PathBuf>,
}

impl KeyOptions {
    /// `None` where no key is configured and none is demanded.
    pub(super) fn configured(&self) -> Result<Option<Configured>> {
        let none = self.module_key.is_none() && self.module_cert.is_none() && self.archive_key.is_none();
        if none && !self.release {
            return Ok(None);
        }
        for file in
            [&self.module_cert, &self.module_passphrase_file, &self.archive_passphrase_file].into_iter().flatten()
        {
            if !file.is_file() {
                return Err(Error::input(format!("{}: there is no such file", file.display())));
            }
        }
        Ok(Some(Configured {
            module_key: self.module_key.clone().ok_or_else(|| self.missing("--module-key"))?,
            module_cert: self.module_cert.clone().ok_or_else(|| self.missing("--module-cert"))?,
            module_passphrase: self.module_passphrase_file.clone(),
            archive_key: self.archive_key.clone().ok_or_else(|| self.missing("--archive-key"))?,
            archive_passphrase: self.archive_passphrase_file.clone(),
        }))
    }

    fn missing(&self, option: &str) -> Error {
        let why = if self.release { "--release demands real keys" } else { "keys are configured together" };
        Error::input(format!("{option} is missing: {why}")).note("docs/release.md says how keys are made and given")
    }
}
