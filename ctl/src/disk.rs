// SPDX-License-Identifier: GPL-2.0-only
//! Disks as people name them, and as the driver does.

use crate::error::{Error, Result};
use nix::sys::stat::{SFlag, major, minor, stat};
use std::fs;
use std::path::{Path, PathBuf};

/// A whole disk of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Its device node, such as `/dev/sda`: the name by which the driver knows it.
    pub node: String,
    /// A name that is the same after a reboot, where the disk has one; without slashes.
    pub persistent_name: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The beginnings of names in `/dev/disk/by-id` that are made of what the disk itself says, the best first.
const STABLE: [&str; 9] =
    ["wwn-", "nvme-eui.", "nvme-uuid.", "dm-uuid-", "md-uuid-", "scsi-", "nvme-", "ata-", "virtio-"];

impl Disk {
    /// The disk with a name: a path (`/dev/sda`, `/dev/disk/by-id/…`) or a kernel name (`sda`).
    ///
    /// Fails with [`crate::error::Kind::Input`] where there is none, and for what is no whole disk.
    pub fn find(name: &str) -> Result<Self> {
        let path = path_of(name);
        let about = |cause: String| Error::input(format!("{name}: {cause}"));
        let status = stat(&path).map_err(|errno| {
            Error::input(format!("{}: {}", path.display(), errno.desc())).note("`lsblk` shows this machine's disks")
        })?;
        if SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT != SFlag::S_IFBLK {
            return Err(about("is not a block device".into()).note("`lsblk` shows this machine's disks"));
        }
        let (major, minor) = (major(status.st_rdev), minor(status.st_rdev));
        let sysfs = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
        if sysfs.join("partition").exists() {
            return Err(about("is a partition".into()).note(whole_disk_note(&sysfs)));
        }
        let node = node_of(&sysfs).map_err(|error| about(format!("{}: {error}", sysfs.display())))?;
        let bytes = size_of(&sysfs).map_err(|error| about(format!("{}/size: {error}", sysfs.display())))?;
        Ok(Disk { persistent_name: persistent_name(&node, &links()), node, bytes })
    }
}

/// The path that a name stands for: `sda` and `disk/by-id/…` are below `/dev`; `/…` and `./…` are paths as they are.
pub fn path_of(name: &str) -> PathBuf {
    if name.starts_with(['/', '.']) { PathBuf::from(name) } else { Path::new("/dev").join(name) }
}

/// The one of the driver's names that means the same disk as `name`, which need not exist any more.
pub fn among<'a>(protected: &'a [String], name: &str) -> Option<&'a String> {
    let path = path_of(name);
    let real = |path: &Path| fs::canonicalize(path).ok();
    let same =
        |known: &&String| Path::new(known) == path || real(Path::new(known)).is_some_and(|it| Some(it) == real(&path));
    protected.iter().find(same)
}

/// `DEVNAME` of the uevent file: what devtmpfs calls the disk, also where that has a directory in it.
fn node_of(sysfs: &Path) -> std::io::Result<String> {
    let uevent = fs::read_to_string(sysfs.join("uevent"))?;
    let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(|name| format!("/dev/{name}")).ok_or_else(|| std::io::Error::other("its uevent has no DEVNAME"))
}

fn size_of(sysfs: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(sysfs.join("size")).map_err(|error| error.to_string())?;
    let sectors: u64 = text.trim().parse().map_err(|error| format!("{error}"))?;
    Ok(sectors * 512)
}

fn whole_disk_note(partition: &Path) -> String {
    let parent = fs::canonicalize(partition).ok().and_then(|path| node_of(path.parent()?).ok());
    match parent {
        Some(node) => format!("the driver filters whole disks: name {node}"),
        None => "the driver filters whole disks".into(),
    }
}

/// File name and target of every link in `/dev/disk/by-id`; none where there is no udev.
fn links() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir("/dev/disk/by-id").into_iter().flatten().flatten();
    let link =
        |entry: fs::DirEntry| Some((entry.file_name().into_string().ok()?, fs::canonicalize(entry.path()).ok()?));
    entries.filter_map(link).collect()
}

/// The best link to the node; the node itself, as `dev_sda`, where there is none.
fn persistent_name(node: &str, links: &[(String, PathBuf)]) -> String {
    let rank = |name: &str| STABLE.iter().position(|start| name.starts_with(start));
    let own = links.iter().filter(|(_, target)| target == Path::new(node));
    let best = own.filter_map(|(name, _)| Some((rank(name)?, name))).min();
    best.map_or_else(|| node.trim_start_matches('/').replace('/', "_"), |(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_persistent_name_is_the_most_stable_link_of_that_very_disk() {
        let link = |name: &str, node: &str| (name.to_string(), PathBuf::from(node));
        let links = [
            link("usb-stick", "/dev/sda"),
            link("scsi-2", "/dev/sda"),
            link("scsi-1", "/dev/sda"),
            link("wwn-0x5", "/dev/sdb"),
            link("wwn-0x5-part1", "/dev/sdb1"),
        ];
        assert_eq!(persistent_name("/dev/sda", &links), "scsi-1");
        assert_eq!(persistent_name("/dev/sdb", &links), "wwn-0x5");
        assert_eq!(persistent_name("/dev/cciss/c0d0", &links), "dev_cciss_c0d0");
    }

    #[test]
    fn what_is_no_disk_is_bad_input_that_says_what_it_is() {
        let message = |name: &str| {
            let error = Disk::find(name).unwrap_err();
            assert_eq!(error.kind, crate::error::Kind::Input);
            error.message
        };
        assert_eq!(message("nosuchdisk"), "/dev/nosuchdisk: No such file or directory");
        assert_eq!(message("/dev/null"), "/dev/null: is not a block device");
        assert_eq!(message("a\0b"), "/dev/a\0b: Invalid argument");
    }

    #[test]
    fn a_disk_that_is_gone_is_still_found_among_the_filtered_ones() {
        let protected = ["/dev/gone".to_string(), "/dev/null".to_string()];
        assert_eq!(among(&protected, "gone"), Some(&protected[0]));
        assert_eq!(among(&protected, "/dev/../dev/null"), Some(&protected[1]));
        assert_eq!(among(&protected, "/dev/other"), None);
    }
}
