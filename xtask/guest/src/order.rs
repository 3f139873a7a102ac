// SPDX-License-Identifier: GPL-2.0-only
//! Two disks of one kind are probed at the same time, and either may come to be the first. Here they are put in order.

use crate::sys::{Doing, Step, ensure, is_linux, set};
use guest::layout::held;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Two disks of a kind: the first must be the one with that serial number.
struct Pair {
    /// What the names of the nodes of their second partitions begin and end with; no other disk of the kind has one.
    partitions: (&'static str, &'static str),
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
    partitions: ("sd", "2"),
    nodes: ["/dev/sda", "/dev/sdb"],
    serial: "scsi",
    serial_at: "/sys/block/sda/device/vpd_pg80",
    remove: [("/sys/block/sda/device/delete", "1"), ("/sys/block/sdb/device/delete", "1")],
    bring: [("/sys/class/scsi_host/HOST/scan", "0 0 0"), ("/sys/class/scsi_host/HOST/scan", "0 1 0")],
};

const NVME: Pair = Pair {
    partitions: ("nvme", "p2"),
    nodes: ["/dev/nvme0n1", "/dev/nvme1n1"],
    serial: "nvme",
    serial_at: "/sys/class/nvme/nvme0/serial",
    remove: [(NVME_UNBIND, "0000:00:06.0"), (NVME_UNBIND, "0000:00:09.0")],
    bring: [(NVME_BIND, "0000:00:06.0"), (NVME_BIND, "0000:00:09.0")],
};

/// Files that take the NVMe controller from its driver whose PCI address is written to them, and give it one.
const NVME_UNBIND: &str = "/sys/bus/pci/drivers/nvme/unbind";
const NVME_BIND: &str = "/sys/bus/pci/drivers/nvme/bind";

/// Sees that the first disk of each kind is the one that the host means, and that nothing else has taken its number.
pub fn put_in_order() -> Step {
    let zoned = knows_nvme_zones()?;
    held::PATHS.iter().chain([&held::ZONED]).try_for_each(|controller| {
        if zoned || *controller != held::ZONED {
            wait_for(&format!("a namespace of {controller}"), || has_namespace(controller))?;
        }
        give_nvme(controller, false)
    })?;
    [SCSI, NVME].iter().try_for_each(Pair::put_in_order)
}

/// Gives an NVMe controller to its driver, or takes it from it.
pub fn give_nvme(controller: &str, there: bool) -> Step {
    fs::write(if there { NVME_BIND } else { NVME_UNBIND }, controller)
        .doing(|| format!("give {controller} to its driver: {there}"))
}

/// Whether the kernel has a disk for an NVMe namespace of zones.
pub fn knows_nvme_zones() -> Step<bool> {
    is_linux((5, 9))
}

/// Whether a namespace was found behind an NVMe controller.
fn has_namespace(controller: &str) -> bool {
    let is_namespace = |dir: &Path| entries(dir).iter().any(|name| name.starts_with("nvme"));
    let dir = Path::new("/sys/bus/pci/devices").join(controller).join("nvme");
    entries(&dir).iter().any(|name| is_namespace(&dir.join(name)))
}

/// Names in a directory; none where it is not there.
pub fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

impl Pair {
    fn put_in_order(&self) -> Step {
        self.wait_for(2)?;
        if self.is_in_order() {
            return Ok(());
        }
        let host = scsi_host()?;
        let write = |(file, text): (&str, &str)| set(&file.replace("HOST", &host), text);
        self.remove.into_iter().try_for_each(write)?;
        self.wait_for(0)?;
        for (bring, node) in self.bring.into_iter().zip(self.nodes) {
            write(bring)?;
            wait_until(node, true)?;
        }
        ensure(self.is_in_order(), || format!("{} is still not the disk {}", self.nodes[0], self.serial))
    }

    fn is_in_order(&self) -> bool {
        let serial = fs::read(self.serial_at).unwrap_or_default();
        String::from_utf8_lossy(&serial).trim().ends_with(self.serial) && Path::new(self.nodes[1]).exists()
    }

    /// Waits until so many of the disks are there, whatever they are called.
    fn wait_for(&self, count: usize) -> Step {
        let (first, last) = self.partitions;
        let is_one = |name: &&String| name.starts_with(first) && name.ends_with(last);
        wait_for(&format!("{count} of /dev/{first}*{last}"), || {
            entries(Path::new("/dev")).iter().filter(is_one).count() == count
        })
    }
}

/// What scsi_mod is loaded with where the guest brings the disks one by one.
pub const SCAN: &std::ffi::CStr = c"scan=manual";

/// Brings SCSI disks one by one, by their numbers: each has its node before the next one comes.
pub fn bring_scsi(nodes: &[&str]) -> Step {
    let scan = format!("/sys/class/scsi_host/{}/scan", scsi_host()?);
    nodes.iter().enumerate().try_for_each(|(number, node)| {
        fs::write(&scan, format!("0 {number} 0")).doing(|| scan.clone())?;
        wait_until(node, true)
    })
}

/// Sees that the namespaces of the one NVMe controller have their own numbers in their names: newer kernels look at all of them at
/// once, and number them as they come. So they are looked at again until it is so.
pub fn number_namespaces(nodes: &[&str]) -> Step {
    const DEVICE: &str = "/sys/class/nvme/nvme0/device";
    for _ in 0..50 {
        nodes.iter().try_for_each(|node| wait_until(node, true))?;
        if (1..).zip(nodes).all(|(number, node)| has_number(node, number)) {
            return Ok(());
        }
        let device = fs::canonicalize(DEVICE).doing(|| DEVICE.into())?;
        let controller = device.file_name().unwrap_or_default().to_string_lossy();
        give_nvme(&controller, false)?;
        nodes.iter().try_for_each(|node| wait_until(node, false))?;
        give_nvme(&controller, true)?;
    }
    Err(format!("{nodes:?} never were the namespaces of these numbers").into())
}

fn has_number(node: &str, number: u32) -> bool {
    let nsid = fs::read_to_string(format!("/sys/block/{}/nsid", node.trim_start_matches("/dev/")));
    nsid.is_ok_and(|nsid| nsid.trim().parse() == Ok(number))
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
    wait_for(&format!("{node} to {}", if there { "appear" } else { "go" }), || Path::new(node).exists() == there)
}

/// Waits until it is so: 30 seconds at most, which is long even under emulation.
pub fn wait_for(what: &str, is_so: impl Fn() -> bool) -> Step {
    ensure(poll(is_so), || format!("waited in vain for {what}"))
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
