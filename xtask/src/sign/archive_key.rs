// SPDX-License-Identifier: GPL-2.0-only
//! The OpenPGP key that packages, repositories and checksums are signed with; gpg has it.

use super::said;
use crate::error::{AtPath, Error, Result};
use crate::store::remove;
use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The parts of a .deb that a signature covers, in this order (debsigs(1)).
const DEB_PARTS: [&str; 3] = ["debian-binary", "control.tar", "data.tar"];
/// The part that has the packager's signature.
const DEB_SIGNATURE: &str = "_gpgorigin";

/// A secret key that gpg can use.
pub struct ArchiveKey {
    home: Home,
    fingerprint: String,
    /// When it was made, in seconds since 1970.
    made: String,
    passphrase: Option<PathBuf>,
}

/// The directory that gpg works in.
enum Home {
    /// The user's own.
    User,
    /// One that stays.
    Kept(PathBuf),
    /// One made for a key file, gone with the key.
    Scratch(PathBuf),
}

impl ArchiveKey {
    /// The key of a fingerprint that the user's gpg knows, or of a file with an exported secret key.
    pub(super) fn new(key: &str, passphrase: Option<PathBuf>) -> Result<ArchiveKey> {
        let is_fingerprint = key.len() >= 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_fingerprint {
            true => Self::in_home(Home::User, Some(key), passphrase),
            false => {
                let dir = std::env::temp_dir().join(format!("involflt-gpg-{}", std::process::id()));
                make_private(&dir)?;
                let home = Home::Scratch(dir);
                let mut command = gpg(&home, passphrase.as_deref());
                command.arg("--import").arg(key);
                let imported = said(&mut command, &format!("--archive-key {key}"));
                imported.and_then(|_| Self::in_home(home, None, passphrase))
            }
        }
    }

    /// The only key of a directory that stays.
    pub(super) fn kept(dir: PathBuf) -> Result<ArchiveKey> {
        Self::in_home(Home::Kept(dir), None, None)
    }

    fn in_home(home: Home, key: Option<&str>, passphrase: Option<PathBuf>) -> Result<ArchiveKey> {
        let mut command = gpg(&home, None);
        command.args(["--list-secret-keys", "--with-colons"]).args(key);
        let what = format!("--archive-key {}", key.unwrap_or("FILE"));
        let listing = String::from_utf8_lossy(&said(&mut command, &what)?).into_owned();
        let (fingerprint, made) = usable(&listing).map_err(|why| Error::input(format!("{what}: {why}")))?;
        Ok(ArchiveKey { home, fingerprint, made, passphrase })
    }

    /// Signs something: a wrong passphrase is found before anything is built.
    pub(super) fn try_out(&self) -> Result<()> {
        self.sign_bytes(b"involflt", &["--detach-sign"]).map(drop)
    }

    /// Forty hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The public key, binary.
    pub fn public(&self) -> Result<Vec<u8>> {
        said(gpg(&self.home, None).args(["--export", &self.fingerprint]), "the archive key")
    }

    /// The public key, armoured.
    pub fn public_armoured(&self) -> Result<Vec<u8>> {
        said(gpg(&self.home, None).args(["--armor", "--export", &self.fingerprint]), "the archive key")
    }

    /// Writes an armoured detached signature of a file.
    pub fn detach_sign(&self, file: &Path, to: &Path) -> Result<()> {
        let data = fs::read(file).at_path(file)?;
        fs::write(to, self.sign_bytes(&data, &["--armor", "--detach-sign"])?).at_path(to)
    }

    /// Writes a text with its signature around it, as `InRelease` is.
    pub fn clear_sign(&self, file: &Path, to: &Path) -> Result<()> {
        let data = fs::read(file).at_path(file)?;
        fs::write(to, self.sign_bytes(&data, &["--clear-sign"])?).at_path(to)
    }

    /// Adds the packager's signature to a .deb, as debsigs(1) does.
    pub fn deb_sign(&self, deb: &Path) -> Result<()> {
        let ar = |arguments: &[&str]| said(Command::new("ar").args(arguments).arg(deb), &deb.display().to_string());
        let names = String::from_utf8_lossy(&ar(&["t"])?).into_owned();
        let mut signed = Vec::new();
        for part in DEB_PARTS {
            let name = names.lines().find(|name| name.starts_with(part));
            let name = name.ok_or_else(|| Error::infra(format!("{}: it has no {part}", deb.display())))?;
            signed.extend(said(Command::new("ar").arg("p").arg(deb).arg(name), &deb.display().to_string())?);
        }
        let dir = deb.with_extension("signature");
        fs::create_dir_all(&dir).at_path(&dir)?;
        let member = dir.join(DEB_SIGNATURE);
        fs::write(&member, self.sign_bytes(&signed, &["--detach-sign"])?).at_path(&member)?;
        let added = said(Command::new("ar").arg("qD").arg(deb).arg(&member), &deb.display().to_string());
        remove(&dir)?;
        added.map(drop)
    }

    /// Adds header and payload signature to an .rpm.
    pub fn rpm_sign(&self, rpm: &Path) -> Result<()> {
        self.rpm_sign_with(rpm, "")
    }

    /// The same, dated as the key is: the same package becomes the same bytes at every run.
    pub fn rpm_sign_alike(&self, rpm: &Path) -> Result<()> {
        self.rpm_sign_with(rpm, &format!(" --faked-system-time {}!", self.made))
    }

    fn rpm_sign_with(&self, rpm: &Path, options: &str) -> Result<()> {
        let mut extra = format!("--batch --no-tty --pinentry-mode loopback{options}");
        if let Some(file) = &self.passphrase {
            extra.push_str(&format!(" --passphrase-file {}", file.display()));
        }
        let mut command = Command::new("rpmsign");
        if let Some(home) = self.home.dir() {
            command.env("GNUPGHOME", home);
        }
        // Debian's rpm looks for a gpg2.
        let macros = ["__gpg /usr/bin/gpg", "_gpg_digest_algo sha256"].map(String::from);
        let own = [format!("_gpg_name {}", self.fingerprint), format!("_gpg_sign_cmd_extra_args {extra}")];
        for text in macros.iter().chain(&own) {
            command.args(["--define", text]);
        }
        said(command.arg("--addsign").arg(rpm), &rpm.display().to_string()).map(drop)
    }

    fn sign_bytes(&self, data: &[u8], arguments: &[&str]) -> Result<Vec<u8>> {
        let mut command = gpg(&self.home, self.passphrase.as_deref());
        command.args(["--local-user", &self.fingerprint, "--digest-algo", "SHA256"]).args(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().at_path("gpg")?;
        let mut stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // Written beside the reading: gpg may answer before it has read all. What it does not take, it complains of.
            scope.spawn(move || stdin.as_mut().map(|stdin| stdin.write_all(data)));
            child.wait_with_output().at_path("gpg")
        })?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Error::input(format!("--archive-key {}: gpg: {}", self.fingerprint, said.trim().replace('\n', "; ")))
            .note("--archive-passphrase-file has the passphrase of the key, where it has one"))
    }
}

impl Home {
    fn dir(&self) -> Option<&Path> {
        match self {
            Home::User => None,
            Home::Kept(dir) | Home::Scratch(dir) => Some(dir),
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Home::Scratch(dir) = self {
            // The agent holds the key until it ends; both are of no more use.
            let _ = Command::new("gpgconf").arg("--homedir").arg(&*dir).args(["--kill", "all"]).output();
            let _ = remove(dir);
        }
    }
}

/// A directory that nobody else can look into, as gpg wants it.
pub(super) fn make_private(dir: &Path) -> Result<()> {
    remove(dir)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).at_path(dir)
}

fn gpg(home: &Home, passphrase: Option<&Path>) -> Command {
    let mut command = Command::new("gpg");
    command.args(["--batch", "--yes", "--no-tty", "--quiet"]);
    if let Some(dir) = home.dir() {
        command.arg("--homedir").arg(dir);
    }
    if let Some(file) = passphrase {
        command.args(["--pinentry-mode", "loopback", "--passphrase-file"]).arg(file);
    }
    command
}

/// The first secret key's fingerprint and date in gpg's listing (`doc/DETAILS` of GnuPG), if it can sign today.
fn usable(listing: &str) -> Result<(String, String), String> {
    let mut lines = listing.lines().skip_while(|line| !line.starts_with("sec:"));
    let key: Vec<&str> = lines.next().ok_or("gpg has no such secret key")?.split(':').collect();
    match key.get(1).copied() {
        Some("e") => return Err("the key has expired".into()),
        Some("r") => return Err("the key was revoked".into()),
        Some("d" | "i") => return Err("the key is disabled or invalid".into()),
        _ => (),
    }
    let fingerprint = lines.find_map(|line| line.strip_prefix("fpr:")).ok_or("gpg names no fingerprint")?;
    Ok((fingerprint.trim_matches(':').to_string(), key.get(5).unwrap_or(&"").to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_or_revoked_key_is_refused_by_name() {
        let list = |state: &str| format!("tru::1\nsec:{state}:3072:1:AB:1:2::-:::scESC\nfpr:::::::::ABCDEF:\ngrp::\n");
        assert_eq!(usable(&list("u")), Ok(("ABCDEF".to_string(), "1".to_string())));
        assert_eq!(usable(&list("e")), Err("the key has expired".to_string()));
        assert_eq!(usable(&list("r")), Err("the key was revoked".to_string()));
        assert!(usable("tru::1\n").is_err());
    }
}
