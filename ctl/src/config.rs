// SPDX-License-Identifier: GPL-2.0-only
//! `/etc/involflt/involflt.conf`: the disks that are filtered from boot on.
//!
//! Lines of `key = value`; `#` begins a comment line. Keys: `disk` (a name as on the command line; once for each
//! disk) and `initramfs` (`yes` or `no`, the default), which the initramfs hooks read.

use crate::disk::path_of;
use crate::error::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where the configuration is.
pub const CONFIG: &str = "/etc/involflt/involflt.conf";

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Names of disks, in the file's order.
    pub disks: Vec<String>,
    /// Whether the initramfs is to have the driver, so that disks are filtered before the root is mounted.
    pub initramfs: bool,
}

impl Config {
    /// Reads a file; one that is not there is an empty configuration.
    ///
    /// Fails with [`crate::error::Kind::Input`] and the line for what it cannot make sense of.
    pub fn read(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|(line, cause)| {
                Error::input(format!("{}:{line}: {cause}", path.display()))
                    .note("lines are `disk = NAME` and `initramfs = yes` or `no`")
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Config::default()),
            Err(error) => Err(Error::failed(format!("{}: {error}", path.display()))),
        }
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut config = Config::default();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            config.take(line).map_err(|cause| (number, cause))?;
        }
        Ok(config)
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        let (key, value) = line.split_once('=').ok_or_else(|| format!("{line:?} has no \"=\""))?;
        match (key.trim(), value.trim()) {
            ("disk", "") => return Err("the disk has no name".into()),
            ("disk", name) => self.disks.push(name.to_string()),
            ("initramfs", "yes") => self.initramfs = true,
            ("initramfs", "no") => self.initramfs = false,
            ("initramfs", other) => return Err(format!("initramfs is {other:?}, neither yes nor no")),
            (key, _) => return Err(format!("the key {key:?} is not known")),
        }
        Ok(())
    }

    /// Whether one of these names is a configured disk. Names are compared as paths, and by where links lead to; a
    /// link that udev is about to make is known by its path.
    pub fn has(&self, names: &[String]) -> bool {
        let same = |path: &PathBuf, other: &PathBuf| {
            path == other
                || fs::canonicalize(path).is_ok_and(|it| fs::canonicalize(other).is_ok_and(|other| it == other))
        };
        self.disks.iter().map(|disk| path_of(disk)).any(|disk| names.iter().any(|name| same(&disk, &path_of(name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_spaces_do_not_count() {
        let config =
            Config::parse("# all\n\n disk=sda \n\tdisk = /dev/disk/by-id/wwn-0x5=1\ninitramfs = yes\n").unwrap();
        assert_eq!(config.disks, ["sda", "/dev/disk/by-id/wwn-0x5=1"]);
        assert!(config.initramfs);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let error = |text: &str| Config::parse(text).unwrap_err();
        assert_eq!(error("disk = a\nsda\n"), (2, "\"sda\" has no \"=\"".to_string()));
        assert_eq!(error("disk ="), (1, "the disk has no name".to_string()));
        assert_eq!(error("initramfs = true"), (1, "initramfs is \"true\", neither yes nor no".to_string()));
        assert_eq!(error("disks = sda"), (1, "the key \"disks\" is not known".to_string()));
    }

    #[test]
    fn a_file_that_is_not_there_configures_nothing() {
        assert_eq!(Config::read(Path::new("/nonexistent/involflt.conf")).unwrap(), Config::default());
    }

    #[test]
    fn a_disk_is_configured_under_any_of_its_names() {
        let config = Config { disks: vec!["sdx".into(), "/dev/disk/by-id/later".into()], initramfs: false };
        assert!(config.has(&["/dev/sdx".into()]));
        assert!(config.has(&["sdy".into(), "disk/by-id/later".into()]));
        assert!(!config.has(&["sdy".into()]));
        assert!(!config.has(&[]));
    }
}
