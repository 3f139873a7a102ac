// SPDX-License-Identifier: GPL-2.0-only
//! The VM with the guest program and its disks.

use super::disks::{REPLICAS, SHARED, ZONED, file_name};
use super::emulator::{self, End, Patience, QEMU, escaped};
use crate::error::Result;
use guest::layout::{
    BACKING_SERIAL, DATA_SERIAL, DISKS, LIVE, LIVE_BACKING_SERIAL, LIVE_SERIAL, REPLICAS_SERIAL, held,
};
use guest::protocol::Message;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The guest's own watch for hung tasks speaks up before it is silent for so long; a run takes two or three minutes where two
/// run at once on two cores, and several times as long in a crowd.
const PATIENCE: Patience = Patience { silence: Duration::from_secs(150), longest: Duration::from_secs(900) };
/// A kernel that oopses is of no more use: it panics, and a panic ends QEMU. Its test of the timer fails where the host has much else
/// to do.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on no_timer_check";

/// What a VM is made of.
pub struct Machine<'a> {
    /// The compressed kernel.
    pub vmlinuz: &'a Path,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// Directory of the disks' images.
    pub disks: &'a Path,
    /// Where the kernel's console goes.
    pub log: &'a Path,
    /// Whether the kernel's NVMe multipath is on; said here for a kernel that has the driver built in.
    pub nvme_multipath: bool,
}

/// Runs a VM to its end; `receive` gets each message as it comes.
pub fn run(machine: &Machine<'_>, mut receive: impl FnMut(Message)) -> Result<End> {
    emulator::run(command(machine), &machine.disks.join("qemu.err"), PATIENCE, None, |line| {
        // A line that is no message is the firmware's or was cut by a crash; the console's log tells the rest.
        if let Ok(message) = serde_json::from_str(line) {
            receive(message);
        }
    })
}

fn command(machine: &Machine<'_>) -> Command {
    let mut command = Command::new(QEMU);
    command
        // Without a keyboard controller: under load its probe was seen to hang an emulated kernel at its start.
        .args(["-machine", "pc,i8042=off", "-smp", "2"])
        .args(emulator::COMMON)
        .arg("-append")
        .arg(format!("{KERNEL_ARGUMENTS} nvme_core.multipath={}", if machine.nvme_multipath { 'Y' } else { 'N' }))
        .arg("-kernel")
        .arg(machine.vmlinuz)
        .arg("-initrd")
        .arg(machine.initramfs)
        .arg("-serial")
        .arg(format!("file:{}", escaped(machine.log)))
        .args(["-serial", "stdio"]);
    let devices = [
        format!("virtio-blk-pci,addr=4,drive=disk0,serial={DATA_SERIAL}"),
        "scsi-hd,bus=scsi.0,scsi-id=0,drive=disk1,serial=scsi".to_string(),
        "nvme,addr=6,drive=disk2,serial=nvme".to_string(),
        format!("virtio-blk-pci,addr=7,drive=disk3,serial={BACKING_SERIAL}"),
        format!("virtio-blk-pci,addr=8,drive=disk4,serial={LIVE_SERIAL}"),
        "scsi-hd,bus=scsi.0,scsi-id=1,drive=disk5,serial=live".to_string(),
        "nvme,addr=9,drive=disk6,serial=live".to_string(),
        format!("virtio-blk-pci,addr=10,drive=disk7,serial={LIVE_BACKING_SERIAL}"),
        format!("virtio-blk-pci,addr=11,drive=disk8,serial={REPLICAS_SERIAL}"),
        "nvme-ns,bus=path0,shared=on,drive=disk9".to_string(),
        format!("nvme-ns,bus=zoned,zoned=on,zoned.zone_size={},drive=disk10", held::ZONE),
    ];
    command.args(["-device", "virtio-scsi-pci,id=scsi,addr=5"]);
    command.args(["-device", "nvme-subsys,id=paths,nqn=paths"]);
    for controller in ["id=path0,addr=c,subsys=paths", "id=path1,addr=d,subsys=paths", "id=zoned,addr=e"] {
        command.args(["-device", &format!("nvme,serial=held,{controller}")]);
    }
    let images = DISKS.iter().chain(&LIVE).map(file_name).chain([REPLICAS, SHARED, ZONED].map(str::to_string));
    for (index, (image, device)) in images.zip(devices).enumerate() {
        let file = escaped(&machine.disks.join(image));
        command
            .arg("-drive")
            .arg(format!("if=none,id=disk{index},format=raw,cache=unsafe,discard=unmap,file={file}"))
            .args(["-device", &device]);
    }
    command
}
