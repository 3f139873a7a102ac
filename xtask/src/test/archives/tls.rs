// SPDX-License-Identifier: GPL-2.0-only
//! An archive that only clients with a certificate may read, as Red Hat's CDN is: OpenSSL's own server, on loopback.

use super::{Bench, Outcome, RHEL, resolve_command, text};
use crate::test::Tally;
use crate::test::service::Service;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the tests.
pub fn run(bench: &Bench<'_>, tally: &mut Tally, again: &str) {
    let dir = bench.work.join("tls");
    let certificates = match Certificates::new(&dir) {
        Ok(certificates) => certificates,
        Err(error) => return tally.check("TLS", Err(error), again),
    };
    let outcome = wants_certificate(bench, &certificates);
    tally.check("an archive that wants a client's certificate", outcome, again);
    tally.check("an archive whose https leads to plain http", downgrade(bench, &certificates), again);
}

/// With the certificate the lock is written, and says no key. Without it, and with that of somebody else, the error says where one
/// is read from.
fn wants_certificate(bench: &Bench<'_>, certificates: &Certificates) -> Outcome {
    let server = certificates.server(&bench.served, &["-WWW", "-Verify", "1", "-verify_return_error"])?;
    let site =
        Site { bench, certificates, url: format!("https://{}", server.address), lock: bench.work.join("tls.lock") };
    for name in ["", "stranger"] {
        let (code, said) = site.resolve(name)?;
        if code != Some(69)
            || !said.contains("the server wants another client certificate")
            || !said.contains("\"Credentials\"")
        {
            return Err(format!("with the certificate {name:?}: {code:?}: {said}"));
        }
    }
    let (code, said) = site.resolve("client")?;
    let locked = fs::read_to_string(&site.lock).map_err(|error| format!("{error}: {said}"))?;
    match code == Some(0)
        && locked.contains(&RHEL.release())
        && !said.contains("client.pem")
        && !locked.contains("client.pem")
    {
        true => Ok(format!("{} is in the lock", RHEL.release())),
        false => Err(format!("{code:?}: {said}\n{locked}")),
    }
}

/// A redirect from https to a plain address is not followed: what is there, anybody could have written.
fn downgrade(bench: &Bench<'_>, certificates: &Certificates) -> Outcome {
    const PATH: &str = "dist/rhel9/9.2/x86_64/appstream/os/repodata";
    let top = certificates.dir.join("downgrade");
    fs::create_dir_all(top.join(PATH)).map_err(text)?;
    let plain = format!("http://localhost{}", bench.server.url.trim_start_matches("http://127.0.0.1"));
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {plain}/{PATH}/repomd.xml\r\nContent-Length: 0\r\n\r\n");
    fs::write(top.join(PATH).join("repomd.xml"), answer).map_err(text)?;
    let server = certificates.server(&top, &["-HTTP"])?;
    let site = Site {
        bench,
        certificates,
        url: format!("https://{}", server.address),
        lock: bench.work.join("downgrade.lock"),
    };
    let (code, said) = site.resolve("")?;
    match code == Some(69) && said.contains("rotocol \"http\"") && !site.lock.exists() {
        true => Ok(said.lines().find(|line| line.contains("rotocol")).unwrap_or_default().trim().to_string()),
        false => Err(format!("{code:?}: {said}")),
    }
}

/// A server that stands in for Red Hat's.
struct Site<'a> {
    bench: &'a Bench<'a>,
    certificates: &'a Certificates,
    url: String,
    lock: PathBuf,
}

impl Site<'_> {
    /// Exit code and words of `resolve` with a client's certificate, in a new store.
    fn resolve(&self, name: &str) -> Result<(Option<i32>, String), String> {
        let (yaml, store) = (self.bench.work.join("tls.yaml"), self.bench.work.join("stores/tls"));
        let text_of_yaml = format!(
            "format: 1\ndistros:\n  rhel:\n    mirror: {}\n    keyring: {}\ngroups:\n  default:\n    - distro: rhel\n      \
             suites: ['9.2']\n      flavours: [default]\n",
            self.url,
            self.bench.work.join("key.asc").display()
        );
        fs::write(&yaml, text_of_yaml).map_err(text)?;
        let file = |name: &str| self.certificates.dir.join(name).to_string_lossy().into_owned();
        let certificate = if name.is_empty() { String::new() } else { file(&format!("{name}.pem")) };
        let variables = [
            ("CURL_CA_BUNDLE", &*file("authority.pem")),
            ("INVOLFLT_RHSM_CERTIFICATE_URL", &self.url),
            ("INVOLFLT_RHSM_CERTIFICATE", &certificate),
        ];
        resolve_command(&yaml, &self.lock, &store, &variables)
    }
}

/// An authority, a server and a client of it, and a client of nobody.
struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    fn new(dir: &Path) -> Result<Self, String> {
        fs::create_dir_all(dir).map_err(text)?;
        let certificates = Certificates { dir: dir.to_path_buf() };
        let authority = ["-keyout", "authority.pem", "-out", "authority.pem"];
        certificates.make("authority", &authority)?;
        for name in ["server", "client"] {
            let file = format!("{name}.pem");
            let signed =
                ["-CA", "authority.pem", "-CAkey", "authority.pem", "-addext", "basicConstraints=critical,CA:FALSE"];
            certificates.make(name, &[&signed[..], &["-keyout", &file, "-out", &file]].concat())?;
        }
        certificates.make("stranger", &["-keyout", "stranger.pem", "-out", "stranger.pem"])?;
        Ok(certificates)
    }

    /// A key and its certificate, in one file.
    fn make(&self, name: &str, options: &[&str]) -> Result<(), String> {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&self.dir).args(["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2"]);
        openssl.args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"]).args(options);
        super::said(&mut openssl).map(drop)
    }

    fn server(&self, root: &Path, options: &[&str]) -> Result<Service, String> {
        Service::start(|address| {
            let mut openssl = Command::new("openssl");
            openssl.current_dir(root).args(["s_server", "-quiet", "-accept", &address.to_string()]);
            for (option, file) in [("-cert", "server.pem"), ("-key", "server.pem"), ("-CAfile", "authority.pem")] {
                openssl.arg(option).arg(self.dir.join(file));
            }
            openssl.args(options);
            openssl
        })
    }
}
