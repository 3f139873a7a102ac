// SPDX-License-Identifier: GPL-2.0-only
//! Signatures of rpms, checked by rpm's own `rpmkeys` in a database that has the keys of one vendor and no others.

use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use crate::unpack::ask;
use crate::verify::fingerprints_of;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Bounds of a check, whatever it is given: seconds, and bytes of memory.
const BOUNDS: [&str; 4] = ["timeout", "120", "prlimit", "--as=1073741824"];

/// Who has to have signed the rpms of a distribution.
#[derive(Debug, Clone, Copy)]
pub struct Signers<'a> {
    /// Their keys, armoured or binary.
    pub keyring: &'a Path,
    /// The package of the distribution that has these keys.
    pub keyring_package: &'a str,
}

impl Signers<'_> {
    /// Refuses an rpm without a good signature of header and payload by one of these keys. `scratch` is a path that nothing is
    /// at, before and after.
    pub fn check(&self, rpm: &Path, scratch: &Path) -> Result<()> {
        let outcome = fs::create_dir_all(scratch).at_path(scratch).and_then(|()| self.checked(rpm, scratch));
        remove(scratch)?;
        outcome
    }

    fn checked(&self, rpm: &Path, scratch: &Path) -> Result<()> {
        let keys = scratch.join("keys.asc");
        fs::write(&keys, self.armoured(scratch)?).at_path(&keys)?;
        let database = scratch.join("rpm");
        import(&keys, &database)?.map_err(|said| Error::input(format!("{}: {said}", self.keyring.display())))?;
        check(rpm, &database)?.map_err(|cause| {
            Error::infra(cause)
                .note(format!("the keys that are trusted are in {}", self.keyring.display()))
                .note(format!("bring {} up to date, or name another mirror", self.keyring_package))
        })
    }

    /// rpmkeys wants armoured keys, each in a block of its own.
    fn armoured(&self, scratch: &Path) -> Result<Vec<u8>> {
        let bytes = self.read()?;
        if bytes.starts_with(b"-----BEGIN") {
            return Ok(bytes);
        }
        let unusable = |said: String| Error::input(format!("{}: {said}", self.keyring.display()));
        let keyring = scratch.join("keys.gpg");
        fs::write(&keyring, bytes).at_path(&keyring)?;
        let mut all = Vec::new();
        for fingerprint in fingerprints_of(&keyring)?.map_err(unusable)? {
            let mut gpg = Command::new("gpg");
            gpg.args(["--batch", "--no-tty", "--quiet", "--no-autostart", "--no-default-keyring", "--keyring"]);
            gpg.arg(&keyring).arg("--homedir").arg(scratch).args(["--armor", "--export", &fingerprint]);
            all.extend(ask(&mut gpg)?.map_err(unusable)?);
        }
        Ok(all)
    }

    fn read(&self) -> Result<Vec<u8>> {
        fs::read(self.keyring).map_err(|error| {
            Error::infra(format!("{}: the keyring cannot be read: {error}", self.keyring.display()))
                .note(format!("the distribution's package {} has it", self.keyring_package))
                .note("name the file: `keyring:` under `distros:` in kernels.yaml")
        })
    }
}

/// Puts armoured keys into a new database; the inner error is rpmkeys's own complaint.
pub fn import(keys: &Path, database: &Path) -> Result<std::result::Result<(), String>> {
    fs::create_dir_all(database).at_path(database)?;
    Ok(ask(Command::new("rpmkeys").arg("--dbpath").arg(database).arg("--import").arg(keys))?.map(drop))
}

/// Checks an rpm with the keys of a database; the inner error says what is wrong with it.
pub fn check(rpm: &Path, database: &Path) -> Result<std::result::Result<(), String>> {
    let mut rpmkeys = Command::new(BOUNDS[0]);
    rpmkeys.args(&BOUNDS[1..]).args(["rpmkeys", "--define", "_pkgverify_level all", "--dbpath"]).arg(database);
    let output = rpmkeys.args(["--checksig", "--verbose"]).arg(rpm).env("LC_ALL", "C").output().at_path("rpmkeys")?;
    Ok(judge(&String::from_utf8_lossy(&output.stdout), output.status.success()))
}

/// rpmkeys has a line for each signature and digest, with a verdict at its end.
fn judge(said: &str, success: bool) -> std::result::Result<(), String> {
    let has = |verdict: &str| said.lines().any(|line| line.contains(verdict));
    let signed = said.lines().any(|line| line.contains("ignature, key ID") && line.trim_end().ends_with(": OK"));
    let cause = match () {
        () if success && signed => return Ok(()),
        () if has(": BAD") => "its header or payload is not what was signed",
        () if has(": NOKEY") => "it is signed with a key that is not trusted",
        () if has(": NOTTRUSTED") || has(": EXPIRED") => "it is signed with a key that is no longer good",
        () if has(": NOTFOUND") || has(": OK") => "it has no signature of header and payload",
        () => "it is no rpm that can be checked",
    };
    Err(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "a.rpm:\n    Header V4 RSA/SHA256 Signature, key ID b66daa5f: OK\n    MD5 digest: OK\n";

    #[test]
    fn only_a_good_signature_of_header_and_payload_is_good() {
        let cause = |said: &str| judge(said, false).unwrap_err();
        assert_eq!(judge(SIGNED, true), Ok(()));
        assert!(judge(SIGNED, false).is_err());
        assert!(judge("a.rpm:\n    MD5 digest: OK\n", true).unwrap_err().contains("no signature"));
        assert!(cause("    Header RSA signature: NOTFOUND\n    MD5 digest: OK\n").contains("no signature"));
        assert!(cause(&SIGNED.replace("b66daa5f: OK", "b66daa5f: NOKEY")).contains("not trusted"));
        assert!(
            cause(&SIGNED.replace("digest: OK", "digest: BAD (Expected 00 != 11)")).contains("not what was signed")
        );
        assert!(cause("").contains("no rpm"));
    }
}
