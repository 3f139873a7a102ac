// SPDX-License-Identifier: GPL-2.0-only
//! Somebody whose keys no machine trusts, and what they sign.

use crate::error::{AtPath, Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Keys of one test.
pub struct Stranger {
    dir: PathBuf,
}

impl Stranger {
    /// Makes a key for modules, and an OpenPGP key, in a directory. Who has the OpenPGP key's public half believes that it
    /// expired long ago; its owner has made it valid again since.
    pub fn new(dir: &Path) -> Result<Stranger> {
        let stranger = Stranger { dir: dir.to_path_buf() };
        fs::create_dir_all(dir.join("gnupg")).at_path(dir)?;
        stranger.run("chmod", "700 gnupg")?;
        let request = "req -x509 -newkey rsa:2048 -noenc -subj /CN=stranger -keyout key.pem -out certificate.pem";
        stranger.run("openssl", request)?;
        let then = "--faked-system-time 20200101T120000";
        stranger.gpg(&format!("{then} --passphrase  --quick-generate-key stranger rsa2048 sign 1d"))?;
        stranger.gpg("--output keyring.gpg --export")?;
        let listing = stranger.gpg("--list-keys --with-colons")?;
        let fingerprint = listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap_or_default();
        stranger.gpg(&format!("--quick-set-expire {} 0", fingerprint.trim_matches(':')))?;
        Ok(stranger)
    }

    /// The public OpenPGP key as it was when it expired.
    pub fn keyring(&self) -> PathBuf {
        self.dir.join("keyring.gpg")
    }

    /// Signs a `Release` as `InRelease`.
    pub fn clear_sign(&self, release: &Path, to: &Path) -> Result<()> {
        self.gpg(&format!("--yes --output {} --clear-sign {}", to.display(), release.display())).map(drop)
    }

    /// Writes an armoured detached signature.
    pub fn detach_sign(&self, file: &Path, to: &Path) -> Result<()> {
        self.gpg(&format!("--yes --armor --output {} --detach-sign {}", to.display(), file.display())).map(drop)
    }

    /// Puts this stranger's signature into an rpm, in the place of the one that it has.
    pub fn rpm_sign(&self, rpm: &Path) -> Result<()> {
        let mut rpmsign = Command::new("rpmsign");
        for text in ["__gpg /usr/bin/gpg", "_gpg_digest_algo sha256", "_gpg_name stranger"] {
            rpmsign.args(["--define", text]);
        }
        let extra = "_gpg_sign_cmd_extra_args --batch --no-tty --pinentry-mode loopback";
        rpmsign.args(["--define", extra, "--resign"]).arg(rpm).env("GNUPGHOME", self.dir.join("gnupg"));
        crate::unpack::ask(&mut rpmsign)?.map(drop).map_err(Error::infra)
    }

    /// The module with this stranger's signature at its end, in the format of the kernel's `scripts/sign-file.c`.
    pub fn sign_module(&self, module: &Path) -> Result<Vec<u8>> {
        let sign = "cms -sign -binary -noattr -nocerts -md sha256 -signer certificate.pem -inkey key.pem -outform DER";
        self.run("openssl", &format!("{sign} -out signature -in {}", module.display()))?;
        let path = self.dir.join("signature");
        let signature = fs::read(&path).at_path(&path)?;
        let module = fs::read(module).at_path(module)?;
        Ok(crate::sign::join(&module, &signature))
    }

    fn gpg(&self, arguments: &str) -> Result<String> {
        let always = "--homedir gnupg --batch --quiet --pinentry-mode loopback";
        self.run("gpg", &format!("{always} {arguments}"))
    }

    /// The output of a program, run on words between single spaces, of which one may be empty.
    fn run(&self, program: &str, arguments: &str) -> Result<String> {
        let output = Command::new(program).args(arguments.split(' ')).current_dir(&self.dir).output();
        let output = output.at_path(program)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(Error::infra(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))),
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // The agent would hold on to a directory that is gone.
        let _ = self.run("gpgconf", "--homedir gnupg --kill all");
    }
}
