// SPDX-License-Identifier: GPL-2.0-only
//! Runs QEMU and hands the guest's messages on as they come.

use super::disks::file_name;
use crate::error::{AtPath, Error, Result};
use guest::layout::{BACKING_SERIAL, DATA_SERIAL, DISKS};
use guest::protocol::Message;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";
/// A guest that says nothing for so long hangs; its own watch for hung tasks speaks up earlier.
const SILENCE: Duration = Duration::from_secs(150);
/// Longest run; one takes a minute or two where two run at once on two cores.
const LONGEST: Duration = Duration::from_secs(420);
/// A kernel that oopses is of no more use: it panics, and a panic ends QEMU.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on";

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

/// How a VM's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// QEMU ended by itself: the guest powered off or its kernel panicked.
    Exited,
    /// QEMU was killed: the guest said nothing any longer, or the run took too long.
    TimedOut,
}

/// Runs a VM to its end; `receive` gets each message as it comes.
pub fn run(machine: &Machine<'_>, mut receive: impl FnMut(Message)) -> Result<End> {
    let errors = machine.disks.join("qemu.err");
    let mut child = command(machine)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(&errors).at_path(&errors)?)
        .spawn()
        .map_err(|error| {
            Error::infra(format!("{QEMU}: {error}"))
                .note("apt-get install qemu-system-x86, or cargo xtask test --setup")
        })?;
    let messages = messages_of(&mut child);
    let start = Instant::now();
    let end = loop {
        let patience = SILENCE.min(LONGEST.saturating_sub(start.elapsed()));
        match messages.recv_timeout(patience) {
            Ok(message) => receive(message),
            Err(mpsc::RecvTimeoutError::Disconnected) => break End::Exited,
            Err(mpsc::RecvTimeoutError::Timeout) => break End::TimedOut,
        }
    };
    if end == End::TimedOut {
        child.kill().at_path(QEMU)?;
    }
    let status = child.wait().at_path(QEMU)?;
    if end == End::Exited && !status.success() {
        let said = std::fs::read_to_string(&errors).at_path(&errors)?;
        return Err(Error::infra(format!("{QEMU}: {status}: {}", said.trim())));
    }
    Ok(end)
}

/// Reads messages on a thread of its own, which ends with QEMU.
fn messages_of(child: &mut Child) -> mpsc::Receiver<Message> {
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            // A line that is no message is the firmware's or was cut by a crash; the console's log tells the rest.
            let lines = BufReader::new(stdout).split(b'\n').map_while(std::io::Result::ok);
            for message in lines.filter_map(|line| serde_json::from_slice(line.trim_ascii()).ok()) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn command(machine: &Machine<'_>) -> Command {
    let mut command = Command::new(QEMU);
    command
        // Without a keyboard controller: under load its probe was seen to hang an emulated kernel at its start.
        .args(["-machine", "pc,i8042=off", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
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
        "scsi-hd,bus=scsi.0,drive=disk1".to_string(),
        "nvme,addr=6,drive=disk2,serial=nvme".to_string(),
        format!("virtio-blk-pci,addr=7,drive=disk3,serial={BACKING_SERIAL}"),
    ];
    command.args(["-device", "virtio-scsi-pci,id=scsi,addr=5"]);
    for (index, (disk, device)) in DISKS.iter().zip(devices).enumerate() {
        let file = escaped(&machine.disks.join(file_name(disk)));
        command
            .arg("-drive")
            .arg(format!("if=none,id=disk{index},format=raw,cache=unsafe,discard=unmap,file={file}"))
            .args(["-device", &device]);
    }
    command
}

/// QEMU's options end at a comma; two of them mean one.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}
