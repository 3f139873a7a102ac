// SPDX-License-Identifier: GPL-2.0-only
//! Installs packages with apt-get, from the suite's backports too where the plain way cannot be resolved.
//!
//! That is no rarity: an image may come with one package of backports installed and no backports in its sources; then
//! nothing that must have that package's version can be installed. The host's own sources are never altered.

use crate::container::privileged;
use crate::error::{AtPath, Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the host's source lists are.
const SOURCE_PARTS: &str = "/etc/apt/sources.list.d";
/// Backports are signed with the same keys as the release.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs `packages`, asking for nothing; `say` is told of every step that is not plain.
pub fn install(packages: &[&str], say: &dyn Fn(String)) -> Result<()> {
    say(format!("apt-get install {}", packages.join(" ")));
    if let Err(error) = apt_get(&["update".into()]) {
        // One dead source of the host's many must not stop an install that does not need it.
        say(error.message);
    }
    let (plain, blocked) = split(packages)?;
    if !plain.is_empty() {
        apt_get(&install_arguments(&plain))?;
    }
    if !blocked.is_empty() {
        from_backports(&blocked, say)?;
    }
    Ok(())
}

/// Which packages apt can install as its sources are, and which it cannot.
fn split<'a>(packages: &[&'a str]) -> Result<(Vec<&'a str>, Vec<&'a str>)> {
    if can_install(packages)? {
        return Ok((packages.to_vec(), Vec::new()));
    }
    let mut sorted = (Vec::new(), Vec::new());
    for package in packages {
        let side = if can_install(&[package])? { &mut sorted.0 } else { &mut sorted.1 };
        side.push(*package);
    }
    Ok(sorted)
}

fn can_install(packages: &[&str]) -> Result<bool> {
    let mut arguments = install_arguments(packages);
    arguments.insert(0, "--simulate".into());
    let output = Command::new("apt-get").args(arguments).env("LC_ALL", "C").output().at_path("apt-get")?;
    Ok(output.status.success())
}

fn install_arguments(packages: &[&str]) -> Vec<String> {
    // Without --no-remove, apt solves some conflicts by taking away what the user has.
    let options = ["install", "--yes", "--no-remove", "--no-install-recommends"];
    options.iter().chain(packages).map(|argument| argument.to_string()).collect()
}

fn from_backports(packages: &[&str], say: &dyn Fn(String)) -> Result<()> {
    let source = Backports::of_host()?;
    say(format!(
        "{} cannot be installed beside what is here: takes {} from {}",
        packages.join(" "),
        if packages.len() == 1 { "it" } else { "them" },
        source.suite
    ));
    let parts = PrivateParts::with(&source)?;
    apt_get(&parts.options(&["update".into()]))?;
    let mut arguments = install_arguments(packages);
    arguments.push(format!("--target-release={}", source.suite));
    let outcome = apt_get(&parts.options(&arguments));
    drop(parts);
    // The lists become those of the host's own sources again. They were so a moment ago: no failure of the install.
    if let Err(error) = apt_get(&["update".into()]) {
        say(error.message);
    }
    outcome
}

/// The backports suite of the release that the host runs.
#[derive(Debug, PartialEq, Eq)]
struct Backports {
    uri: String,
    suite: String,
}

impl Backports {
    fn of_host() -> Result<Backports> {
        let release = fs::read_to_string("/etc/os-release").at_path("/etc/os-release")?;
        let format = ["indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"];
        let output = Command::new("apt-get").args(format).output().at_path("apt-get")?;
        Self::find(&release, &String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
            Error::infra(
                "apt-get: the missing tools conflict with installed packages, and no mirror of this release is known",
            )
            .note("run `apt-get install qemu-system-x86` to see the conflict in apt's own words")
        })
    }

    /// The mirror that the release itself comes from has its backports.
    fn find(os_release: &str, targets: &str) -> Option<Backports> {
        let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?.trim_matches('"');
        let uri = targets.lines().find_map(|line| match line.split_once(' ') {
            Some((uri, suite)) if suite == codename => Some(uri),
            _ => None,
        })?;
        Some(Backports { uri: uri.to_string(), suite: format!("{codename}-backports") })
    }

    fn stanza(&self) -> String {
        format!("Types: deb\nURIs: {}\nSuites: {}\nComponents: main\nSigned-By: {KEYRING}\n", self.uri, self.suite)
    }
}

/// A copy of the host's source lists with one more in it, gone when dropped.
struct PrivateParts(PathBuf);

impl PrivateParts {
    fn with(source: &Backports) -> Result<PrivateParts> {
        let dir = std::env::temp_dir().join(format!("involflt-sources-{}", std::process::id()));
        fs::create_dir(&dir).at_path(&dir)?;
        let parts = PrivateParts(dir);
        parts.copy_from(Path::new(SOURCE_PARTS))?;
        let file = parts.0.join("involflt-backports.sources");
        fs::write(&file, source.stanza()).at_path(&file)?;
        Ok(parts)
    }

    fn copy_from(&self, host: &Path) -> Result<()> {
        if !host.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(host).at_path(host)? {
            let entry = entry.at_path(host)?;
            if entry.path().is_file() {
                fs::copy(entry.path(), self.0.join(entry.file_name())).at_path(entry.path())?;
            }
        }
        Ok(())
    }

    /// Lists that the host's sources do not name stay, so that both are known; the host's next `apt-get update` removes
    /// the private ones.
    fn options(&self, arguments: &[String]) -> Vec<String> {
        let own = [format!("-oDir::Etc::sourceparts={}", self.0.display()), "-oAPT::Get::List-Cleanup=0".to_string()];
        own.into_iter().chain(arguments.iter().cloned()).collect()
    }
}

impl Drop for PrivateParts {
    fn drop(&mut self) {
        // A leftover in the temporary directory is harmless, and a drop cannot report it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs apt-get as root.
fn apt_get(arguments: &[String]) -> Result<()> {
    let mut command = privileged("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get", "-qq", "-oDPkg::Lock::Timeout=120"]);
    let output = command.args(arguments).output().at_path("apt-get")?;
    if output.status.success() { Ok(()) } else { Err(failure(arguments, &output)) }
}

fn failure(arguments: &[String], output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("E:") || line.starts_with("sudo:")).collect();
    let cause = if lines.is_empty() { said.trim().to_string() } else { lines.join("; ") };
    Error::infra(format!("apt-get {}: {cause}", arguments.join(" ")))
        .note("when not root, `sudo -n` must work; else install the packages by hand and run again without --setup")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\n";

    #[test]
    fn backports_come_from_the_mirror_of_the_release_and_not_from_that_of_its_security() {
        let targets = "http://security.example/ bookworm-security\nhttp://mirror.example/debian/ bookworm\n";
        let found = Backports::find(RELEASE, targets).unwrap();
        assert_eq!(found.suite, "bookworm-backports");
        assert!(found.stanza().contains("URIs: http://mirror.example/debian/\n"));
    }

    #[test]
    fn a_machine_without_a_mirror_of_its_release_has_no_backports() {
        assert_eq!(Backports::find(RELEASE, "http://other.example/ stable\n"), None);
        assert_eq!(Backports::find("NAME=other\n", "http://mirror.example/ bookworm\n"), None);
    }

    #[test]
    fn the_hosts_own_sources_stay_as_they_are() {
        let host = std::env::temp_dir().join(format!("involflt-host-sources-{}", std::process::id()));
        fs::create_dir_all(&host).unwrap();
        fs::write(host.join("debian.sources"), "Types: deb\n").unwrap();
        let source = Backports { uri: "http://mirror.example/".into(), suite: "bookworm-backports".into() };
        let parts = PrivateParts::with(&source).unwrap();
        parts.copy_from(&host).unwrap();
        assert!(parts.0.join("debian.sources").is_file() && parts.0.join("involflt-backports.sources").is_file());
        let private = parts.0.clone();
        drop(parts);
        assert_eq!(fs::read_dir(&host).unwrap().count(), 1);
        fs::remove_dir_all(&host).unwrap();
        assert!(!private.exists());
    }
}
