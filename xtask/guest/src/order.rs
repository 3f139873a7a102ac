// SPDX-License-Identifier: GPL-2.0-only
//! Two disks of one kind are probed at the same time, and either may come to be the first. Here they are put in order.

use crate::sys::{Doing, Step, ensure};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Two disks of a kind: the first must be the one with that serial number.
struct Pair {
    nodes: [&'static str; 2],
    serial: &'static str,
    /// Where the first one's serial number is; there may be bytes in front of it.
    serial_at: &'static str,
    /// Files to write to that take both away, and what to write.
    remove: [(&'static str, &'static str); 2],
    /// The same to bring them back.
    bring: [(&'static str, &'static str); 2],
}

const SCSI: Pair = Pair {
    nodes: ["/dev/sda", "/dev/sdb"],
    serial: "scsi",
    serial_at: "/sys/block/sda/device/vpd_pg80",
    remove: [("/sys/block/sda/device/delete", "1"), ("/sys/block/sdb/device/delete", "1")],
    bring: [("/sys/class/scsi_host/HOST/scan", "0 0 0"), ("/sys/class/scsi_host/HOST/scan", "0 1 0")],
};

const NVME: Pair = Pair {
    nodes: ["/dev/nvme0n1", "/dev/nvme1n1"],
    serial: "nvme",
    serial_at: "/sys/class/nvme/nvme0/serial",
    remove: [
        ("/sys/bus/pci/drivers/nvme/unbind", "0000:00:06.0"),
        ("/sys/bus/pci/drivers/nvme/unbind", "0000:00:09.0"),
    ],
    bring: [("/sys/bus/pci/drivers/nvme/bind", "0000:00:06.0"), ("/sys/bus/pci/drivers/nvme/bind", "0000:00:09.0")],
};

/// Sees that the first disk of each kind is the one that the host means. All of them must be there.
pub fn put_in_order() -> Step {
    [SCSI, NVME].iter().try_for_each(Pair::put_in_order)
}

impl Pair {
    fn is_in_order(&self) -> Step<bool> {
        let serial = fs::read(self.serial_at).doing(|| self.serial_at.into())?;
        Ok(String::from_utf8_lossy(&serial).trim().ends_with(self.serial))
    }

    fn put_in_order(&self) -> Step {
        if self.is_in_order()? {
            return Ok(());
        }
        let host = scsi_host()?;
        let write = |(file, text): (&str, &str)| {
            let file = file.replace("HOST", &host);
            fs::write(&file, text).doing(|| format!("{file}: {text}"))
        };
        self.remove.into_iter().try_for_each(write)?;
        self.nodes.iter().try_for_each(|node| wait_until(node, false))?;
        for (bring, node) in self.bring.into_iter().zip(self.nodes) {
            write(bring)?;
            wait_until(node, true)?;
        }
        let ordered = self.is_in_order()?;
        ensure(ordered, || format!("{} is still not the disk {}", self.nodes[0], self.serial))
    }
}

/// Name of the host adapter of virtio-scsi.
pub fn scsi_host() -> Step<String> {
    let class = "/sys/class/scsi_host";
    let hosts = fs::read_dir(class).doing(|| class.into())?.flatten();
    let is_virtio = |host: &fs::DirEntry| {
        fs::read_to_string(host.path().join("proc_name")).is_ok_and(|name| name.trim() == "virtio_scsi")
    };
    let host = hosts.into_iter().find(is_virtio).ok_or_else(|| format!("{class} has no virtio_scsi"))?;
    Ok(host.file_name().to_string_lossy().into_owned())
}

/// Waits until a node is there, or is gone: 30 seconds at most.
pub fn wait_until(node: &str, there: bool) -> Step {
    ensure(poll(|| Path::new(node).exists() == there), || {
        format!("{node} does not {}", if there { "appear" } else { "go" })
    })
}

/// Asks until it is so: 30 seconds at most.
pub fn poll(is_so: impl Fn() -> bool) -> bool {
    (0..600).any(|_| {
        is_so() || {
            thread::sleep(Duration::from_millis(50));
            false
        }
    })
}
