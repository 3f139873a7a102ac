// SPDX-License-Identifier: GPL-2.0-only
//! A VM whose power is cut.

use super::disk::{Disk, Power};
use super::nbd;
use super::repair::repair;
use crate::error::{AtPath, Error, Result};
use crate::vm::emulator::{self, QEMU, escaped};
use crate::vm::kernel_log;
use guest::layout::powercut::Bus;
use guest::protocol::{Message, Standing};
use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

/// A kernel that oopses is of no more use: it panics, and a panic ends QEMU. Its test of the timer fails where the host has much else
/// to do. The guest brings SCSI disks one by one.
const KERNEL_ARGUMENTS: &str =
    "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on no_timer_check quiet scsi_mod.scan=manual";
/// A guest that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(150);
/// Work that comes to no more requests for so long is cut all the same.
const WORK: Duration = Duration::from_secs(60);
/// How often it is looked whether the power is off.
const TICK: Duration = Duration::from_millis(10);

/// What a VM is made of.
pub struct Machine<'a> {
    /// The compressed kernel.
    pub vmlinuz: &'a Path,
    /// The initramfs.
    pub initramfs: &'a Path,
    /// Directory for its sockets and QEMU's errors.
    pub dir: &'a Path,
    /// Where the kernel's console goes.
    pub log: &'a Path,
    /// Its disks, in the order of their nodes.
    pub disks: &'a [Mutex<Disk>],
    /// How they are connected.
    pub bus: Bus,
}

/// How a machine's time ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Before any work.
    AtOnce,
    /// Its power is cut after so many writes and flushes of work.
    Cut(u64),
    /// It is switched off in an orderly way, after so much work at most.
    Stop(Duration),
}

/// What a guest found after the last cut or stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What had to be done to bring the replica up to date.
    pub standing: Standing,
    /// Offset of the first byte that differs.
    pub different: Option<u64>,
    /// What has to be done at the next start, by what was known before an orderly stop.
    pub left: Option<Standing>,
}

impl Machine<'_> {
    /// Switches it on, until its `end`. Fails with the kind [`crate::error::Kind::Kernel`] where the guest does not come to work,
    /// or to its stop.
    pub fn boot(&self, end: End, seed: u64) -> Result<Found> {
        let power = Power::default();
        thread::scope(|scope| {
            let mut sockets = Vec::new();
            for (index, disk) in self.disks.iter().enumerate() {
                let socket = self.socket(index);
                let listener = listen(&socket)?;
                let power = &power;
                // Whatever ends a connection, the guest sees a disk that fails, and says so.
                scope.spawn(move || listener.accept().and_then(|(stream, _)| nbd::serve(stream, disk, power)));
                sockets.push(socket);
            }
            let found = self.spawn(end, seed).and_then(|mut child| {
                let found = watch(&mut child, end, &power);
                power.off();
                child.kill().and_then(|()| child.wait()).at_path(QEMU)?;
                found.map_err(|error| self.with_words(error))
            });
            // A thread that QEMU has not come to waits for it still.
            sockets.iter().for_each(|socket| drop(UnixStream::connect(socket)));
            let found = found.map_err(|error| error.note(format!("console: {}", self.log.display())))?;
            self.console()?;
            Ok(found)
        })
    }

    /// The error with what QEMU has said, if it has.
    fn with_words(&self, error: Error) -> Error {
        let words = fs::read_to_string(self.errors()).unwrap_or_default();
        if words.trim().is_empty() { error } else { error.note(format!("{QEMU}: {}", words.trim())) }
    }

    fn errors(&self) -> PathBuf {
        self.dir.join("qemu.err")
    }

    fn socket(&self, index: usize) -> PathBuf {
        self.dir.join(format!("{index}.nbd"))
    }

    /// What the kernel has said in the latest start.
    pub fn console_text(&self) -> Result<String> {
        let console = fs::read(self.log).at_path(self.log)?;
        Ok(String::from_utf8_lossy(&console).into_owned())
    }

    /// Mends the file system of a disk, while the machine is off.
    pub fn mend(&self, disk: usize) -> Result<()> {
        let mut disk = self.disks[disk].lock().expect("nothing panics with a disk");
        repair(&mut disk, &self.dir.join("e2fsck.img"))
    }

    /// Fails where the kernel has complained.
    fn console(&self) -> Result<()> {
        match kernel_log::complaint(&self.console_text()?) {
            None => Ok(()),
            Some(line) => Err(Error::kernel(line).note(format!("console: {}", self.log.display()))),
        }
    }

    fn spawn(&self, end: End, seed: u64) -> Result<Child> {
        let stops = match end {
            End::Stop(most) => format!(" powercut_stops={}", most.as_millis()),
            End::AtOnce | End::Cut(_) => String::new(),
        };
        let mut command = Command::new(QEMU);
        command
            .args(["-machine", "pc,i8042=off", "-smp", "2"])
            .args(emulator::COMMON)
            .arg("-append")
            .arg(format!("{KERNEL_ARGUMENTS} powercut_seed={seed}{stops}"))
            .arg("-kernel")
            .arg(self.vmlinuz)
            .arg("-initrd")
            .arg(self.initramfs)
            .arg("-serial")
            .arg(format!("file:{}", escaped(self.log)))
            .args(["-serial", "stdio"]);
        match self.bus {
            Bus::Virtio => &mut command,
            Bus::Scsi => command.args(["-device", "virtio-scsi-pci,id=scsi"]),
            Bus::Nvme => command.args(["-device", "nvme,id=nvme,serial=powercut"]),
        };
        for index in 0..self.disks.len() {
            let path = escaped(&self.socket(index));
            command
                .arg("-blockdev")
                .arg(format!("driver=nbd,node-name=disk{index},server.type=unix,server.path={path}"))
                .arg("-device")
                .arg(match self.bus {
                    Bus::Virtio => format!("virtio-blk-pci,drive=disk{index},addr={}", 4 + index),
                    Bus::Scsi => format!("scsi-hd,drive=disk{index},bus=scsi.0,scsi-id={index}"),
                    Bus::Nvme => format!("nvme-ns,drive=disk{index},bus=nvme,nsid={}", 1 + index),
                });
        }
        let errors = self.errors();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).at_path(&errors)?)
            .spawn()
            .map_err(|error| Error::infra(format!("{QEMU}: {error}")).note("cargo xtask test --setup"))
    }
}

fn listen(socket: &Path) -> Result<UnixListener> {
    crate::store::remove(socket)?;
    UnixListener::bind(socket).at_path(socket)
}

/// Waits for what the guest finds, and then until the power is off, or the machine is.
fn watch(child: &mut Child, end: End, power: &Power) -> Result<Found> {
    let lines = emulator::lines_of(child);
    let (mut found, mut left, mut last, mut longest) = (None, None, Instant::now(), SILENCE);
    let mut restarts = false;
    while !power.is_off() && last.elapsed() < longest {
        match lines.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if left.is_some() => break,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::kernel("the VM ended by itself")),
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Message::Abort { reason }) => return Err(Error::kernel(reason)),
                Ok(Message::Survived { standing, .. }) if restarts => {
                    if let Some(reason) = standing.resync {
                        return Err(Error::kernel(format!("resync required after kexec: {reason}")));
                    }
                    (restarts, last, longest) = (false, Instant::now(), SILENCE);
                }
                Ok(Message::Survived { standing, different }) => {
                    found = Some((standing, different));
                    last = Instant::now();
                }
                Ok(Message::Working) => {
                    match end {
                        End::AtOnce => power.off(),
                        End::Cut(requests) => power.last_for(requests),
                        End::Stop(_) => {}
                    }
                    (last, longest) = (Instant::now(), WORK);
                }
                Ok(Message::Restarting) => (restarts, last, longest) = (true, Instant::now(), SILENCE),
                Ok(Message::Stopping { standing }) => (last, left) = (Instant::now(), Some(standing)),
                // A line that is no message is the firmware's.
                _ => last = Instant::now(),
            },
        }
    }
    if matches!(end, End::Stop(_)) && left.is_none() {
        return Err(Error::kernel(format!("the guest did not stop within {} seconds", WORK.as_secs())));
    }
    let (standing, different) =
        found.ok_or_else(|| Error::kernel(format!("the guest said nothing for {} seconds", SILENCE.as_secs())))?;
    Ok(Found { standing, different, left })
}
