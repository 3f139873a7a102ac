// SPDX-License-Identifier: GPL-2.0-only
//! The X.509 key that modules are signed with. openssl makes the PKCS#7 signature, and the format of the kernel's
//! `scripts/sign-file.c` joins the two.

use super::said;
use crate::error::{AtPath, Error, Result};
use crate::store::{remove, sha256_file};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A private key and its certificate.
pub struct ModuleKey {
    key: String,
    passphrase: Option<PathBuf>,
    certificate: PathBuf,
    der: Vec<u8>,
    subject: String,
}

impl ModuleKey {
    /// The key in a PEM file or behind a PKCS#11 URI, and its certificate. Fails (bad input) for a certificate that cannot
    /// be read or has expired.
    pub(super) fn new(key: String, certificate: &Path, passphrase: Option<PathBuf>) -> Result<ModuleKey> {
        let what = format!("--module-cert {}", certificate.display());
        let x509 = |arguments: &[&str]| {
            said(Command::new("openssl").arg("x509").arg("-in").arg(certificate).args(arguments), &what)
        };
        x509(&["-noout", "-checkend", "0"]).map_err(|_| {
            Error::input(format!("{what}: it has expired, or is no certificate"))
                .note("openssl x509 -text -in shows it")
        })?;
        let der = x509(&["-outform", "DER"])?;
        let subject =
            String::from_utf8_lossy(&x509(&["-noout", "-subject", "-nameopt", "RFC2253"])?).trim().to_string();
        Ok(ModuleKey { key, passphrase, certificate: certificate.to_path_buf(), der, subject })
    }

    /// Signs something, and checks it with the certificate: a wrong passphrase or a foreign key is found before anything
    /// is built.
    pub(super) fn try_out(&self) -> Result<()> {
        let dir = std::env::temp_dir().join(format!("involflt-key-{}", std::process::id()));
        fs::create_dir_all(&dir).at_path(&dir)?;
        let outcome = self.try_in(&dir);
        remove(&dir)?;
        outcome
    }

    fn try_in(&self, dir: &Path) -> Result<()> {
        let (data, signature) = (dir.join("data"), dir.join("signature"));
        fs::write(&data, "involflt").at_path(&data)?;
        self.pkcs7("sha256", &data, &signature)?;
        verify(&data, &signature, &self.certificate)
            .map_err(|error| error.at("--module-key and --module-cert do not belong together"))
    }

    /// Changes with the key; for names in the store.
    pub fn id(&self) -> String {
        crate::store::key([String::from_utf8_lossy(&self.der).as_ref(), &self.subject])
    }

    /// Whose it is: `subject=CN=…`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The certificate's PEM file.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The certificate as firmware and kernel take it.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// Writes a detached PKCS#7 signature, without attributes and certificates, as `sign-file` makes it. An RSA
    /// signature of the same bytes is the same bytes.
    pub fn pkcs7(&self, hash: &str, file: &Path, to: &Path) -> Result<()> {
        let mut command = Command::new("openssl");
        command.args(["cms", "-sign", "-binary", "-noattr", "-nocerts", "-outform", "DER", "-md", hash]);
        command.arg("-signer").arg(&self.certificate).arg("-in").arg(file).arg("-out").arg(to);
        match (self.key.starts_with("pkcs11:"), &self.passphrase) {
            (true, pin) => {
                let pin = pin.as_ref().map(|pin| format!(";pin-source=file:{}", pin.display())).unwrap_or_default();
                command.args(["-engine", "pkcs11", "-keyform", "engine", "-inkey", &format!("{}{pin}", self.key)]);
            }
            (false, passphrase) => {
                command.args(["-inkey", &self.key]);
                // Without a file there is no passphrase: nobody is there to ask.
                let source = passphrase.as_ref().map_or("pass:".into(), |file| format!("file:{}", file.display()));
                command.args(["-passin", &source]);
            }
        }
        said(&mut command, "--module-key").map(drop)
    }
}

/// Checks a detached signature with a certificate, whoever that one is signed by.
pub fn verify(file: &Path, signature: &Path, certificate: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args(["cms", "-verify", "-binary", "-inform", "DER", "-nointern", "-noverify", "-out", "/dev/null"]);
    command.arg("-certfile").arg(certificate).arg("-content").arg(file).arg("-in").arg(signature);
    said(&mut command, "signature").map(drop)
}

/// What stands behind a signed module: a trailer of 12 bytes (`struct module_signature`, whose last four are the
/// signature's length, big-endian) and these words (`include/linux/module_signature.h`).
const MAGIC: &[u8] = b"~Module signature appended~\n";
const TRAILER: usize = 12;

/// The two parts of a signed module: the module and its PKCS#7 signature. `None` where it is not signed.
pub fn split(signed: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = signed.strip_suffix(MAGIC)?;
    let (rest, trailer) = rest.split_at_checked(rest.len().checked_sub(TRAILER)?)?;
    let length = u32::from_be_bytes(trailer[8..].try_into().ok()?) as usize;
    rest.split_at_checked(rest.len().checked_sub(length)?)
}

/// A module with its PKCS#7 signature behind it, as every kernel since 4.3 takes it. Kernels' own `sign-file` is not asked: that of
/// 4.4 takes no signature that is made elsewhere, and others want a libcrypto of their day.
pub fn join(module: &[u8], signature: &[u8]) -> Vec<u8> {
    /// `PKEY_ID_PKCS7`; fields of other kinds of signatures are 0.
    const KIND: [u8; 8] = [0, 0, 2, 0, 0, 0, 0, 0];
    let length = u32::try_from(signature.len()).unwrap_or(u32::MAX).to_be_bytes();
    [module, signature, &KIND, &length, MAGIC].concat()
}

/// Checks a signed module with a certificate; `work` is a directory for its parts.
pub fn verify_module(signed: &Path, certificate: &Path, work: &Path) -> Result<()> {
    let data = fs::read(signed).at_path(signed)?;
    let Some((module, signature)) = split(&data) else {
        return Err(Error::kernel(format!("{}: it is not signed", signed.display())));
    };
    let name = sha256_file(signed)?;
    let (module_file, signature_file) = (work.join(format!("{name}.module")), work.join(format!("{name}.p7s")));
    fs::write(&module_file, module).at_path(&module_file)?;
    fs::write(&signature_file, signature).at_path(&signature_file)?;
    let outcome = verify(&module_file, &signature_file, certificate);
    remove(&module_file)?;
    remove(&signature_file)?;
    outcome.map_err(|error| Error::kernel(format!("{}: {}", signed.display(), error.message)))
}
