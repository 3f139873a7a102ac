// SPDX-License-Identifier: GPL-2.0-only
//! What archives that are not public want to be shown: SUSE's account, Red Hat's client certificate.
//! What Ubuntu Pro wants apt shows: `pro attach` tells apt, or [`PRO`] names a file.
//!
//! They are read from the files where the vendors' own tools put them, or from files that the environment names, and given
//! to curl through its standard input. They are shown to the server that they are for and to no other, and are never in
//! the lock, in a log or in an argument.

use crate::error::{Error, Kind, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// What one server is shown. It has no `Debug`: a secret must not come into a log by accident.
#[derive(Clone, Default)]
pub struct Access(Vec<(&'static str, String)>);

/// A kind of credentials.
struct Credentials {
    /// The variable that names the file; another one with `_URL` at its end names the server in place of `server`.
    variable: &'static str,
    /// Beginning of the URLs that they are for.
    server: &'static str,
    /// Where the vendor's own tool puts them.
    file: &'static str,
    read: fn(&Path) -> Result<Access>,
}

/// SUSE's are for registration proxies (RMT) too: `INVOLFLT_SCC_CREDENTIALS_URL`.
const KNOWN: [Credentials; 2] = [
    Credentials {
        variable: "INVOLFLT_SCC_CREDENTIALS",
        server: "https://updates.suse.com/",
        file: "/etc/zypp/credentials.d/SCCcredentials",
        read: account,
    },
    Credentials {
        variable: "INVOLFLT_RHSM_CERTIFICATE",
        server: "https://cdn.redhat.com/",
        file: "/etc/pki/entitlement",
        read: certificate,
    },
];

/// The variable that names a file with Ubuntu Pro's token, as apt_auth.conf(5) has it, in place of apt's own.
const PRO: &str = "INVOLFLT_UBUNTU_PRO";

/// Options of apt by which it finds the credentials. Fails where the environment names a file that cannot be used.
pub fn apt_options() -> Result<Vec<String>> {
    match std::env::var(PRO).ok().filter(|value| !value.is_empty()) {
        None => Ok(Vec::new()),
        Some(file) => {
            read(Path::new(&file)).map_err(|error| error.at(PRO))?;
            Ok(vec!["-o".into(), format!("Dir::Etc::netrc={file}")])
        }
    }
}

impl Access {
    /// What the server of a URL is shown. Fails where the environment names a file that cannot be used.
    pub fn to(url: &str) -> Result<Access> {
        Self::among(url, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn among(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Access> {
        for known in &KNOWN {
            let other = variable(&format!("{}_URL", known.variable));
            if !below(url, other.as_deref().unwrap_or(known.server)) {
                continue;
            }
            return match variable(known.variable) {
                Some(file) => (known.read)(&PathBuf::from(file)).map_err(|error| error.at(known.variable)),
                None if Path::new(known.file).exists() => (known.read)(Path::new(known.file)),
                None => Ok(Access::default()),
            };
        }
        Ok(Access::default())
    }

    /// Options of curl and their values.
    pub fn options(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(option, value)| (*option, value.as_str()))
    }
}

/// `https://host/a` is below `https://host/` and `https://host`, and `https://host.evil/` is not.
fn below(url: &str, server: &str) -> bool {
    url.strip_prefix(server.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// zypper's format: `username=` and `password=`, a line each.
fn account(file: &Path) -> Result<Access> {
    let text = read(file)?;
    let field = |name: &str| {
        let of = |line: &str| Some(line.split_once('=').filter(|(key, _)| key.trim() == name)?.1.trim().to_string());
        text.lines().find_map(of).ok_or_else(|| unusable(file, format!("it has no line `{name}=`")))
    };
    Ok(Access(vec![("user", format!("{}:{}", field("username")?, field("password")?))]))
}

/// A client certificate in PEM, its key in the same file or beside it as `NAME-key.pem`; of a directory, the first.
fn certificate(path: &Path) -> Result<Access> {
    let file = if path.is_dir() { first_certificate(path)? } else { path.to_path_buf() };
    let text = read(&file)?;
    let name = file.to_string_lossy().into_owned();
    let key = match text.contains("PRIVATE KEY") {
        true => name.clone(),
        false => format!("{}-key.pem", name.strip_suffix(".pem").unwrap_or(&name)),
    };
    if !text.contains("BEGIN CERTIFICATE") || !Path::new(&key).is_file() {
        return Err(unusable(&file, format!("it is no certificate in PEM with its key in it or in {key}")));
    }
    let authority = Path::new("/etc/rhsm/ca/redhat-uep.pem");
    let authority = authority.is_file().then(|| ("cacert", authority.to_string_lossy().into_owned()));
    Ok(Access([("cert", name), ("key", key)].into_iter().chain(authority).collect()))
}

fn first_certificate(dir: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).map_err(|error| unusable(dir, error.to_string()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let name = file.to_string_lossy();
        name.ends_with(".pem") && !name.ends_with("-key.pem")
    });
    files.sort();
    files.into_iter().next().ok_or_else(|| unusable(dir, "there is no certificate in it".into()))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| unusable(file, error.to_string()))
}

/// Says the file and never what is in it.
fn unusable(file: &Path, why: String) -> Error {
    Error { kind: Kind::Input, ..Error::input(format!("{}: {why}", file.display())) }
        .note("docs/kernels-yaml.md, \"Credentials\", says what is read from where")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_for_their_own_server_only() {
        assert!(below("https://updates.suse.com/SUSE/x", "https://updates.suse.com/"));
        assert!(below("http://127.0.0.1:80/x", "http://127.0.0.1:80"));
        assert!(!below("https://updates.suse.com.example.org/x", "https://updates.suse.com/"));
        assert!(!below("http://updates.suse.com/x", "https://updates.suse.com/"));
    }

    #[test]
    fn each_kind_is_read_and_a_bad_file_is_named_without_what_is_in_it() {
        let dir = std::env::temp_dir().join(format!("involflt-credentials-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let file = |name: &str, text: &str| {
            fs::write(dir.join(name), text).unwrap();
            dir.join(name).to_string_lossy().into_owned()
        };
        let (scc, bad) = (file("scc", "username=SCC_1\npassword=se\"cret\n"), file("bad", "s3cret\nusername=x\n"));
        let pem = file("c.pem", "BEGIN CERTIFICATE\nPRIVATE KEY");
        let of = |url: &str, variable: &str, value: &str| {
            Access::among(url, &|name| (name == variable).then(|| value.to_string()))
        };
        let options =
            |access: Access| access.options().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let suse = of("https://updates.suse.com/SUSE/", "INVOLFLT_SCC_CREDENTIALS", &scc).ok().unwrap();
        assert_eq!(options(suse), ["user=SCC_1:se\"cret"]);
        let red_hat = of("https://cdn.redhat.com/content", "INVOLFLT_RHSM_CERTIFICATE", &pem).ok().unwrap();
        assert_eq!(options(red_hat)[..2], [format!("cert={pem}"), format!("key={pem}")]);
        let elsewhere = of("https://example.org/", "INVOLFLT_SCC_CREDENTIALS", &scc).ok().unwrap();
        assert!(options(elsewhere).is_empty());
        let error = of("https://updates.suse.com/", "INVOLFLT_SCC_CREDENTIALS", &bad).err().unwrap();
        assert!(error.message.contains("bad: it has no line `password=`") && !error.to_string().contains("s3cret"));
        fs::remove_dir_all(&dir).unwrap();
    }
}
