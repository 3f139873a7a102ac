// SPDX-License-Identifier: GPL-2.0-only
//! Keys of a local build: made once, kept outside of the tree, and good for tests alone, as their names say.

use super::archive_key::make_private;
use super::{ArchiveKey, Keys, ModuleKey, said};
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const MODULE_SUBJECT: &str = "/CN=involflt DEVELOPMENT KEY (modules)";
const ARCHIVE_USER: &str = "involflt DEVELOPMENT KEY (packages) <involflt@localhost>";

/// The development keys of this user, made where there are none.
pub fn keys(listener: &dyn Listener) -> Result<Keys> {
    let dir = directory()?;
    fs::create_dir_all(&dir).at_path(&dir)?;
    let lock = File::create(dir.join("lock")).at_path(&dir)?;
    lock.lock().at_path(&dir)?;
    let (gnupg, complete) = (dir.join("gnupg"), dir.join("complete"));
    let (key, certificate) = (dir.join("module.key"), dir.join("module.pem"));
    if !complete.exists() {
        make_module_key(&key, &certificate)?;
        make_archive_key(&gnupg)?;
        File::create(&complete).at_path(&complete)?;
        let text = format!("no keys were given: made a DEVELOPMENT KEY, for tests alone, in {}", dir.display());
        listener.event(Event::Note { subject: "keys".into(), text });
    }
    Ok(Keys {
        module: ModuleKey::new(key.to_string_lossy().into_owned(), &certificate, None)?,
        archive: ArchiveKey::kept(gnupg)?,
        development: true,
    })
}

/// `$XDG_DATA_HOME/involflt/dev-keys`, or the same below `~/.local/share`.
fn directory() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_DATA_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("involflt/dev-keys"))
        .ok_or_else(|| Error::input("neither HOME nor XDG_DATA_HOME is set: there is no place for a development key"))
}

/// What the kernel asks of a certificate for modules: a digital signature's key that is no authority.
fn make_module_key(key: &Path, certificate: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:3072",
        "-sha256",
        "-noenc",
        "-days",
        "3650",
        "-subj",
        MODULE_SUBJECT,
    ]);
    for extension in
        ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature", "extendedKeyUsage=codeSigning"]
    {
        command.args(["-addext", extension]);
    }
    said(command.arg("-keyout").arg(key).arg("-out").arg(certificate), "the development key").map(drop)
}

fn make_archive_key(gnupg: &Path) -> Result<()> {
    make_private(gnupg)?;
    let mut command = Command::new("gpg");
    command.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]).arg("--homedir").arg(gnupg);
    said(command.args(["--quick-generate-key", ARCHIVE_USER, "rsa3072", "sign", "0"]), "the development key").map(drop)
}
