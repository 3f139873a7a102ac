// SPDX-License-Identifier: GPL-2.0-only
//! Roots in which zypper and dnf install from a signed repository.

use super::text;
use crate::package::Family;
use crate::repository;
use crate::sign::ArchiveKey;
use crate::store::remove;
use crate::tree;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory with an RPM database, a repository, and the settings of a package manager.
pub struct RpmRoot<'a> {
    /// Whose package manager it is for.
    pub family: Family,
    /// Where it is.
    pub dir: PathBuf,
    /// What signs its repository and its packages.
    pub key: &'a ArchiveKey,
}

impl RpmRoot<'_> {
    /// Makes it, with the package `base` ([`super::super::stand_in::base`]) installed, and no repository yet.
    pub fn prepare(&self, base: &Path) -> Result<(), String> {
        remove(&self.dir).map_err(text)?;
        let key = self.dir.join("key.asc");
        for dir in ["root/etc/zypp", "root/etc/yum.repos.d", "repository", "log"] {
            fs::create_dir_all(self.dir.join(dir)).map_err(text)?;
        }
        fs::write(&key, self.key.public_armoured().map_err(text)?).map_err(text)?;
        // Kernels beside each other, as SUSE's own zypp.conf has it.
        let settings = "[main]\nmultiversion = provides:multiversion(kernel)\n";
        fs::write(self.dir.join("root/etc/zypp/zypp.conf"), settings).map_err(text)?;
        self.done(Command::new("rpm").arg("--root").arg(self.root()).arg("--initdb"))?;
        self.done(Command::new("rpm").arg("--root").arg(self.root()).arg("--import").arg(&key))?;
        self.done(Command::new("rpm").arg("--root").arg(self.root()).arg("--install").arg(base))
    }

    fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// A new state of the repository.
    pub fn publish(&self, packages: &[&PathBuf]) -> Result<(), String> {
        let place = self.dir.join("repository");
        remove(&place).map_err(text)?;
        let packages: Vec<PathBuf> = packages.iter().map(|package| package.to_path_buf()).collect();
        repository::rpm(&place, &packages, self.key).map_err(text)?;
        self.subscribe(&format!("file://{}", place.display()))?;
        self.clean()
    }

    /// Has the package manager look at the repository of that URL, if it looks at none yet.
    pub fn subscribe(&self, url: &str) -> Result<(), String> {
        let settings =
            ["etc/yum.repos.d/involflt.repo", "etc/zypp/repos.d/involflt.repo"].map(|file| self.root().join(file));
        if settings.iter().any(|file| file.exists()) {
            return Ok(());
        }
        if self.family == Family::Suse {
            return self.done(self.manager().args(["addrepo", "--gpgcheck", url, "involflt"]));
        }
        let key = self.dir.join("key.asc");
        let repository = format!(
            "[involflt]\nname=involflt\nbaseurl={url}\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{}\n",
            key.display()
        );
        fs::write(&settings[0], repository).map_err(text)
    }

    /// Has the package manager read the repository's index anew.
    pub fn refresh(&self) -> Result<(), String> {
        match self.family {
            Family::Suse => self.done(self.manager().args(["refresh", "--force"])),
            Family::Rhel => self.done(self.manager().args(["makecache", "--refresh"])),
        }
    }

    /// The versions of an installed package.
    pub fn version(&self, package: &str) -> Result<String, String> {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(self.root()).args(["--query", "--queryformat=%{VERSION}", package]);
        self.said(&mut rpm).map(|(_, said)| said)
    }

    /// A package's file in the repository.
    pub fn published(&self, package: &Path) -> Result<PathBuf, String> {
        let repository = self.dir.join("repository");
        let files = tree::files(&repository).map_err(text)?;
        let file = files.iter().find(|file| file.file_name() == package.file_name());
        file.map(|file| repository.join(file)).ok_or_else(|| format!("{} is not in it", package.display()))
    }

    /// zypper or dnf on this root, asking nothing.
    fn manager(&self) -> Command {
        let mut command = match self.family {
            Family::Suse => {
                let mut command = Command::new("zypper");
                command.arg("--root").arg(self.root()).args(["--non-interactive", "--no-color"]);
                command.env("ZYPP_CONF", self.dir.join("root/etc/zypp/zypp.conf"));
                command
            }
            Family::Rhel => {
                let mut command = Command::new("dnf");
                command.args(["--assumeyes", "--releasever=9"]).arg("--installroot").arg(self.root());
                let settings = [("reposdir", "root/etc/yum.repos.d"), ("cachedir", "cache"), ("logdir", "log")];
                for (name, dir) in settings {
                    command.arg(format!("--setopt={name}={}", self.dir.join(dir).display()));
                }
                command
            }
        };
        command.env("LC_ALL", "C");
        command
    }

    /// Has the package manager forget what it read.
    pub fn clean(&self) -> Result<(), String> {
        match self.family {
            Family::Suse => self.done(self.manager().args(["clean", "--all"])),
            Family::Rhel => self.done(self.manager().args(["clean", "all"])),
        }
    }

    /// Installs a package and what it needs.
    pub fn install(&self, package: &str) -> Result<(), String> {
        match self.try_install(package)? {
            (true, _) => Ok(()),
            (false, said) => Err(format!("install {package}: {said}")),
        }
    }

    /// Whether it could be installed, and what was said.
    pub fn try_install(&self, package: &str) -> Result<(bool, String), String> {
        let mut command = self.manager();
        command.arg("install");
        if self.family == Family::Suse {
            command.arg("--no-recommends");
        } else {
            command.arg("--setopt=install_weak_deps=False");
        }
        self.said(command.arg(package))
    }

    /// Brings every package up to date.
    pub fn update(&self) -> Result<(), String> {
        match self.family {
            Family::Suse => self.done(self.manager().args(["update", "--no-recommends"])),
            Family::Rhel => self.done(self.manager().args(["upgrade", "--setopt=install_weak_deps=False"])),
        }
    }

    /// Removes a package.
    pub fn remove(&self, package: &str) -> Result<(), String> {
        self.done(self.manager().arg("remove").arg(package))
    }

    /// Installs a package of the distribution's own, from its file.
    pub fn add(&self, package: &Path) -> Result<(), String> {
        self.done(Command::new("rpm").arg("--root").arg(self.root()).arg("--install").arg(package))
    }

    /// `NAME-VERSION-RELEASE` of what is installed with a name like that, as the distributions' own tools ask for it.
    pub fn names(&self, pattern: &str) -> Result<Vec<String>, String> {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(self.root()).args(["-qa", "--queryformat=%{NAME}-%{VERSION}-%{RELEASE}\\n", pattern]);
        Ok(self.said(&mut rpm)?.1.lines().map(String::from).collect())
    }

    /// The lines of a file of the root; none where it is not there.
    pub fn lines(&self, path: &str) -> Vec<String> {
        let text = fs::read_to_string(self.root().join(path)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// Every `involflt.ko` of the root, a line each.
    pub fn modules(&self) -> Result<String, String> {
        let mut command = Command::new("find");
        command.arg(self.root().join("lib/modules")).args(["-name", "involflt.ko"]);
        Ok(self.said(&mut command)?.1)
    }

    /// Whether the kernel of that release has a module of its own.
    pub fn has_module(&self, release: &str) -> Result<(), String> {
        let modules = self.modules()?;
        match modules.contains(&format!("/lib/modules/{release}/")) {
            true => Ok(()),
            false => Err(format!("{release} has no module; there are: {modules}")),
        }
    }

    fn done(&self, command: &mut Command) -> Result<(), String> {
        match self.said(command)? {
            (true, _) => Ok(()),
            (false, said) => Err(format!("{command:?}: {said}")),
        }
    }

    /// Whether it succeeded, and all that it said.
    fn said(&self, command: &mut Command) -> Result<(bool, String), String> {
        let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).trim().to_string()))
    }
}
