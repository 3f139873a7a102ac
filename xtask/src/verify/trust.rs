// SPDX-License-Identifier: GPL-2.0-only
//! Whom to believe: OpenPGP keys, and the certificate of modules.

use crate::error::{AtPath, Error, Result};
use crate::rpm_signature;
use crate::unpack::ask;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keys in the forms that each tool wants.
pub struct Trust {
    /// Binary keyring, for gpgv.
    keyring: PathBuf,
    /// The same keys in a database of rpm's.
    pub rpm_database: PathBuf,
    /// Certificate of modules, PEM.
    pub certificate: PathBuf,
    /// The same, DER.
    pub certificate_der: Vec<u8>,
    /// Fingerprints of the keys.
    pub fingerprints: Vec<String>,
    /// Whether any of it came from the directory that is checked.
    pub own_keys: bool,
}

impl Trust {
    /// The keys of the files, or else of `dist/keys`. Keys that cannot be read are bad input.
    pub fn new(dist: &Path, keyring: Option<&Path>, certificate: Option<&Path>, work: &Path) -> Result<Trust> {
        let own_keyring = dist.join("keys/involflt-archive-keyring.gpg");
        let own_certificate = dist.join("keys/involflt-module.pem");
        let keyring_file = there(keyring.unwrap_or(&own_keyring), "--keyring")?;
        let certificate_file = there(certificate.unwrap_or(&own_certificate), "--cert")?;
        let home = work.join("gnupg");
        let armoured = work.join("keyring.asc");
        let trusted = work.join("keyring.gpg");
        let fingerprints = import(keyring_file, &home)?;
        write(gpg(&home).arg("--export"), &trusted)?;
        write(gpg(&home).args(["--armor", "--export"]), &armoured)?;
        let rpm_database = work.join("rpm");
        let bad = |said: String| Error::input(format!("{}: {said}", keyring_file.display()));
        rpm_signature::import(&armoured, &rpm_database)?.map_err(bad)?;
        let (pem, certificate_der) = (work.join("certificate.pem"), der(certificate_file)?);
        usable(Command::new("openssl").args(["x509", "-in"]).arg(certificate_file).arg("-out").arg(&pem), &pem)?;
        Ok(Trust {
            keyring: trusted,
            rpm_database,
            certificate: pem,
            certificate_der,
            fingerprints,
            own_keys: keyring.is_none() || certificate.is_none(),
        })
    }

    /// Checks a detached signature; the inner error says what is wrong with it.
    pub fn detached(&self, signature: &Path, file: &Path) -> Result<std::result::Result<(), String>> {
        detached(&self.keyring, signature, file)
    }

    /// Checks a clear-signed text and gives what was signed.
    pub fn clear_signed(&self, file: &Path, work: &Path) -> Result<std::result::Result<Vec<u8>, String>> {
        let output = work.join(crate::store::key([file.to_string_lossy().as_ref()]));
        let verdict = verdict(gpgv(&self.keyring).arg("--output").arg(&output).arg(file))?;
        Ok(match verdict {
            Ok(()) => Ok(fs::read(&output).at_path(&output)?),
            Err(cause) => Err(cause),
        })
    }
}

/// Checks a detached signature with the keys of a binary keyring; the inner error says what is wrong with it.
pub fn detached(keyring: &Path, signature: &Path, file: &Path) -> Result<std::result::Result<(), String>> {
    verdict(gpgv(keyring).arg(signature).arg(file))
}

fn gpgv(keyring: &Path) -> Command {
    let mut command = Command::new("gpgv");
    command.args(["--quiet", "--status-fd", "1", "--keyring"]).arg(keyring);
    command
}

/// gpgv's exit code alone is not enough: an expired key's good signature leaves it at 0.
fn verdict(command: &mut Command) -> Result<std::result::Result<(), String>> {
    let output = command.env("LC_ALL", "C").output().at_path("gpgv")?;
    Ok(judge(&String::from_utf8_lossy(&output.stdout), output.status.success()))
}

/// Status lines of `doc/DETAILS` of GnuPG, the worst first.
const CAUSES: [(&str, &str); 6] = [
    ("BADSIG", "the signature is not of these bytes"),
    ("REVKEYSIG", "signed with a key that was revoked"),
    ("EXPKEYSIG", "signed with a key that has expired"),
    ("EXPSIG", "the signature has expired"),
    ("NO_PUBKEY", "signed with a key that is not trusted"),
    ("ERRSIG", "the signature cannot be checked"),
];

fn judge(status: &str, success: bool) -> std::result::Result<(), String> {
    let has = |word: &str| status.lines().any(|line| line.split(' ').nth(1) == Some(word));
    if let Some((_, cause)) = CAUSES.iter().find(|(word, _)| has(word)) {
        return Err(cause.to_string());
    }
    match success && has("GOODSIG") && has("VALIDSIG") {
        true => Ok(()),
        false => Err("there is no signature in it".into()),
    }
}

fn there<'p>(file: &'p Path, option: &str) -> Result<&'p Path> {
    match file.is_file() {
        true => Ok(file),
        false => Err(Error::input(format!("{}: there is no such file", file.display()))
            .note(format!("give the key that you trust with {option}"))),
    }
}

fn gpg(home: &Path) -> Command {
    let mut command = Command::new("gpg");
    command.args(["--batch", "--no-tty", "--quiet", "--no-autostart", "--homedir"]).arg(home);
    command
}

/// The fingerprints of a keyring's primary keys, imported into a new home.
fn import(keyring: &Path, home: &Path) -> Result<Vec<String>> {
    fs::DirBuilder::new().mode(0o700).create(home).at_path(home)?;
    usable(gpg(home).arg("--import").arg(keyring), keyring)?;
    let listing = usable(gpg(home).args(["--list-keys", "--with-colons"]), keyring)?;
    Ok(fingerprints(&String::from_utf8_lossy(&listing)))
}

/// The line after each `pub` is its fingerprint's.
fn fingerprints(listing: &str) -> Vec<String> {
    let lines: Vec<&str> = listing.lines().collect();
    let primary = lines.windows(2).filter(|pair| pair[0].starts_with("pub:"));
    primary.filter_map(|pair| pair[1].split(':').nth(9).map(String::from)).collect()
}

/// The fingerprints of the keys in a file, armoured or not.
pub fn fingerprints_of(file: &Path) -> Result<std::result::Result<Vec<String>, String>> {
    let mut command = Command::new("gpg");
    command.args(["--batch", "--no-tty", "--quiet", "--no-autostart", "--show-keys", "--with-colons"]).arg(file);
    Ok(ask(&mut command)?.map(|listing| fingerprints(&String::from_utf8_lossy(&listing))))
}

/// A certificate, PEM or DER, as DER.
pub fn der(certificate: &Path) -> Result<Vec<u8>> {
    usable(Command::new("openssl").args(["x509", "-outform", "DER", "-in"]).arg(certificate), certificate)
}

fn write(command: &mut Command, to: &Path) -> Result<()> {
    fs::write(to, usable(command, to)?).at_path(to)
}

fn usable(command: &mut Command, file: &Path) -> Result<Vec<u8>> {
    ask(command)?.map_err(|said| Error::input(format!("{}: {said}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_good_signature_of_a_good_key_is_good() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AB x\n[GNUPG:] VALIDSIG AB\n";
        assert_eq!(judge(good, true), Ok(()));
        assert!(judge(good, false).is_err());
        assert!(judge("", true).is_err());
        let expired = "[GNUPG:] KEYEXPIRED 1\n[GNUPG:] EXPKEYSIG AB x\n[GNUPG:] VALIDSIG AB\n";
        assert_eq!(judge(expired, true), Err("signed with a key that has expired".into()));
        assert!(judge("[GNUPG:] BADSIG AB x\n", false).unwrap_err().contains("these bytes"));
        assert!(judge("[GNUPG:] ERRSIG AB\n[GNUPG:] NO_PUBKEY AB\n", false).unwrap_err().contains("not trusted"));
    }

    #[test]
    fn subkeys_are_no_keys_of_their_own() {
        let listing = "tru::1\npub:u:3072:1:AB\nfpr:::::::::AAAA:\nuid:u\nsub:u:3072\nfpr:::::::::BBBB:\n";
        assert_eq!(fingerprints(listing), ["AAAA"]);
    }
}
