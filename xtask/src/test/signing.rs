// SPDX-License-Identifier: GPL-2.0-only
//! Keys as a release has them, given to the command itself: files with passphrases, a token, and all that can be wrong.
//! A run with wrong keys ends before anything is built, because no kernel is selected.

use super::{Context, Tally, secrets};
use crate::store::remove;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `openssl ca` wants to be told before it makes a certificate of another day.
const CA: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
                  private_key = plain.key\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n";
const SECRET: &str = "correct-horse-battery";
/// What the command says once its keys have been seen to work.
const NO_KERNEL: &str = "no kernel";

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-signing-{}", std::process::id()));
    let again = context.again("signing");
    match remove(&dir).map_err(|error| error.to_string()).and_then(|()| Release::new(&dir)) {
        Err(error) => tally.check("keys of a release", Err(error), &again),
        Ok(release) => {
            for (name, arguments, words) in release.cases() {
                tally.check(&format!("keys: {name}"), release.said(&arguments, words), &again);
            }
            for (name, keys) in [("files", release.files()), ("a token", release.token())] {
                let softhsm = dir.join("softhsm.conf");
                let kept = secrets::kept(context, &keys, &softhsm, SECRET, &dir);
                tally.check(&format!("secrets of {name}"), kept.map_err(|error| error.to_string()), &again);
            }
        }
    }
    let gone = remove(&dir).map(|()| "nothing is left".to_string());
    tally.check("keys: scratch", gone.map_err(|error| error.to_string()), &again);
}

/// Files of a test's keys.
struct Release {
    dir: PathBuf,
}

/// Options, and words that the command must say; keys that work end in [`NO_KERNEL`].
type Case = (&'static str, Vec<String>, &'static str);

impl Release {
    fn new(dir: &Path) -> Result<Release, String> {
        let release = Release { dir: dir.to_path_buf() };
        for sub in ["gnupg", "tokens"] {
            fs::create_dir_all(dir.join(sub)).map_err(|error| error.to_string())?;
        }
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).map_err(|error| error.to_string());
        write("secret", SECRET)?;
        write("wrong", "something else")?;
        write(
            "softhsm.conf",
            &format!("directories.tokendir = {}\nobjectstore.backend = file\n", dir.join("tokens").display()),
        )?;
        let certificate = "req -x509 -sha256 -addext keyUsage=critical,digitalSignature";
        release.run(
            "openssl",
            &format!(
                "{certificate} -newkey rsa:3072 -noenc -days 9 -subj /CN=release -keyout plain.key -out release.pem"
            ),
        )?;
        release.run("openssl", "pkcs8 -topk8 -in plain.key -passout file:secret -out release.key")?;
        release.run("openssl", "pkcs8 -topk8 -nocrypt -in plain.key -out plain.p8")?;
        write("ca.conf", CA)?;
        write("index", "")?;
        release.run("openssl", "req -new -key plain.key -subj /CN=expired -out expired.csr")?;
        let past = "-startdate 20200101000000Z -enddate 20200102000000Z";
        release
            .run("openssl", &format!("ca -batch -config ca.conf -selfsign {past} -in expired.csr -out expired.pem"))?;
        release.run(
            "openssl",
            &format!("{certificate} -newkey rsa:3072 -noenc -days 9 -subj /CN=other -keyout other.key -out other.pem"),
        )?;
        release.run("chmod", "700 gnupg")?;
        let gpg = "--homedir gnupg --batch --quiet --pinentry-mode loopback --passphrase-file secret";
        release.run("gpg", &format!("{gpg} --quick-generate-key release rsa3072 sign 1y"))?;
        release.run("gpg", &format!("{gpg} --output archive.key --export-secret-keys release"))?;
        release.run("gpgconf", "--homedir gnupg --kill all")?;
        release
            .run("softhsm2-util", &format!("--init-token --free --label release --pin {SECRET} --so-pin 12345678"))?;
        release.run(
            "softhsm2-util",
            &format!("--import plain.p8 --token release --label involflt --id 01 --pin {SECRET}"),
        )?;
        Ok(release)
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn module(&self, key: &str, cert: &str, secret: &str) -> Vec<String> {
        let (cert, secret) = (self.file(cert), self.file(secret));
        ["--module-key", key, "--module-cert", &cert, "--module-passphrase-file", &secret].map(String::from).to_vec()
    }

    fn archive(&self, secret: &str) -> Vec<String> {
        let (key, secret) = (self.file("archive.key"), self.file(secret));
        ["--archive-key", &key, "--archive-passphrase-file", &secret].map(String::from).to_vec()
    }

    /// All that a release needs, in files.
    fn files(&self) -> Vec<String> {
        release(self.module(&self.file("release.key"), "release.pem", "secret"), self.archive("secret"))
    }

    /// The same, with the modules' key on a token.
    fn token(&self) -> Vec<String> {
        let key = "pkcs11:token=release;object=involflt;type=private";
        release(self.module(key, "release.pem", "secret"), self.archive("secret"))
    }

    fn cases(&self) -> Vec<Case> {
        let pem = |cert: &str, secret: &str| self.module(&self.file("release.key"), cert, secret);
        let archive = || self.archive("secret");
        vec![
            ("files with passphrases", self.files(), NO_KERNEL),
            ("a token", self.token(), NO_KERNEL),
            ("none", vec!["--release".into()], "--module-key is missing: --release demands real keys"),
            (
                "no archive key",
                release(pem("release.pem", "secret"), vec![]),
                "--archive-key is missing: --release demands real keys",
            ),
            (
                "half a configuration",
                pem("release.pem", "secret"),
                "--archive-key is missing: keys are configured together",
            ),
            ("a wrong passphrase", release(pem("release.pem", "wrong"), archive()), "--module-key"),
            (
                "a wrong OpenPGP passphrase",
                release(pem("release.pem", "secret"), self.archive("wrong")),
                "--archive-key",
            ),
            ("another key's certificate", release(pem("other.pem", "secret"), archive()), "--module-key"),
            ("an expired certificate", release(pem("expired.pem", "secret"), archive()), "it has expired"),
        ]
    }

    /// Runs the command; it must end with exit code 2 and say the words, and never the secret.
    fn said(&self, arguments: &[String], words: &str) -> Result<String, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(["build-matrix", "--locked", "--offline", "--select", "kernel=none", "--format", "plain"])
            .args(arguments);
        command.env("SOFTHSM2_CONF", self.dir.join("softhsm.conf")).env("XDG_DATA_HOME", &self.dir);
        let output = command.output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let line = said.lines().find(|line| line.contains(words));
        match (output.status.code(), line) {
            _ if said.contains(SECRET) => Err("the passphrase is in what was said".into()),
            (Some(2), Some(line)) => Ok(line.trim().to_string()),
            (code, _) => Err(format!("exit code {code:?}, `{words}` was expected with 2: {}", said.trim())),
        }
    }

    fn run(&self, program: &str, arguments: &str) -> Result<(), String> {
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).current_dir(&self.dir);
        command.env("SOFTHSM2_CONF", self.dir.join("softhsm.conf"));
        let output = command.output().map_err(|error| format!("{program}: {error}"))?;
        let said = || String::from_utf8_lossy(&output.stderr).trim().to_string();
        if output.status.success() { Ok(()) } else { Err(format!("{program} {arguments}: {}", said())) }
    }
}

fn release(module: Vec<String>, archive: Vec<String>) -> Vec<String> {
    [vec!["--release".to_string()], module, archive].concat()
}
