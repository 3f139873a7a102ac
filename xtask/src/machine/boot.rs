// SPDX-License-Identifier: GPL-2.0-only
//! Boots a root in a VM: the same files on an ext4 disk, the same kernel and initramfs, systemd, then the commands.
//!
//! With Secure Boot the chain is that of a real machine: OVMF with Microsoft's keys, and Debian's own signed shim, GRUB
//! and kernel out of the root.

use super::guest::{self, Heard};
use super::layers::Layers;
use super::nvram;
use super::root::Root;
use super::said::Said;
use super::spec::scratch;
use crate::error::{AtPath, Error, Result};
use crate::store::Store;
use crate::vm::emulator::{self, Console, End, Patience, QEMU, escaped};
use crate::vm::{complaint, tail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes of a machine's disk, which its root file system has for itself.
pub const DISK_SIZE: u64 = 4 << 30;
/// Makes the disk and takes the kernels out of the root. `$1` is the directory for them, `$2` the size of the disk.
const MAKE: &str = r#"rm -f "$1/disk"
truncate -s "$2" "$1/disk"
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard -d "$here/root" "$1/disk"
cp -L "$here"/root/boot/vmlinuz-* "$here"/root/boot/initrd.img-* "$1"
mkdir -p "$1/esp/EFI/BOOT" "$1/esp/EFI/debian"
cp "$here/root/usr/lib/shim/shimx64.efi.signed" "$1/esp/EFI/BOOT/BOOTX64.EFI"
cp "$here/root/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$1/esp/EFI/BOOT/grubx64.efi"
chown -R --reference="$1" "$1"
chmod -R u=rwX,go=rX "$1"
"#;
/// Firmware with Secure Boot, of the package ovmf; without system management mode anybody could write its variables.
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// An oops ends the run. What systemd does is in its journal; the console is the kernel's. Drivers for what a VM has no
/// use for are left out: loading them is a fifth of a boot under emulation.
const ARGUMENTS: &str = "root=/dev/disk/by-id/virtio-root rw console=ttyS0 panic=-1 oops=panic random.trust_cpu=on \
    systemd.show_status=0 modprobe.blacklist=aesni_intel,ahci,ata_generic,ata_piix,button,evdev,floppy,\
    ghash_clmulni_intel,i2c_i801,i2c_piix4,iTCO_wdt,intel_rapl_msr,joydev,kvm,kvm_amd,kvm_intel,lpc_ich,parport_pc,pcspkr,\
    psmouse,sg";
/// A machine boots and powers off in 30 s where it has a processor for itself, and takes several times as long in a crowd.
const PATIENCE: Patience = Patience { silence: Duration::from_secs(300), longest: Duration::from_secs(900) };
/// Firmware and kernel are never silent for so long, even in a crowd.
const KERNEL_SILENCE: Duration = Duration::from_secs(100);
/// What the kernel says when it hands over.
const USERLAND: &str = "Run /init as init process";

/// How a machine is to be booted.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// Kernel release, one of those in the root's `/boot`.
    pub kernel: &'a str,
    /// More of the kernel's arguments: `module.sig_enforce=1`.
    pub arguments: &'a str,
    /// Whether Secure Boot is on, and then which certificate its owner has enrolled (X.509, DER).
    pub owner_key: Option<&'a [u8]>,
    /// Shell commands, run one after the other by root once the machine is up, each also where one before it failed.
    pub commands: &'a [&'a str],
    /// Where the kernel's console goes.
    pub log: &'a Path,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Booted {
    /// One for each command.
    pub results: Vec<Said>,
    /// The first line of the console that complains, of kernel or systemd.
    pub complaint: Option<String>,
    /// From power on to power off, in milliseconds.
    pub millis: u64,
}

/// A root on a disk, ready to boot as often as wanted: what one boot writes the next one finds.
#[derive(Debug)]
pub struct Machine {
    dir: PathBuf,
}

impl Machine {
    /// Copies the root, as it is now, to a disk. The root is not altered, and may be changed afterwards.
    pub fn of(root: &Root, store: &Store) -> Result<Machine> {
        let machine = Machine { dir: scratch(store)? };
        fs::create_dir_all(&machine.dir).at_path(&machine.dir)?;
        let copy = Root::new(Layers::new(scratch(store)?, root.layers().all())?, root.log().to_path_buf());
        copy.write(guest::UNIT_PATH, 0o644, guest::UNIT.as_bytes())?;
        copy.run(&format!("mkdir -p $(dirname {0}); ln -s {1} {0}", guest::WANTED_BY, guest::UNIT_PATH))?.ok()?;
        let arguments = [machine.dir.display().to_string(), DISK_SIZE.to_string()];
        let output = copy.layers().command(MAKE, &arguments).output().at_path("unshare")?;
        match output.status.success() {
            true => Ok(machine),
            false => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(Error::infra(format!("the machine's disk cannot be made: {}", tail(&said, 5))))
            }
        }
    }

    /// Its disk, a raw image: what a boot has left there, or what the next one is to find.
    pub fn disk(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// Boots it and waits for its end.
    ///
    /// Fails where the kernel is not there, and where not all commands came to their end: with the console's last words.
    pub fn boot(&self, boot: &Boot<'_>) -> Result<Booted> {
        let start = Instant::now();
        let script = self.dir.join("script");
        fs::write(&script, guest::script(boot.commands)).at_path(&script)?;
        if !self.file("vmlinuz", boot).exists() {
            return Err(Error::kernel(format!("the root has no /boot/vmlinuz-{}", boot.kernel)));
        }
        if let Some(certificate) = boot.owner_key {
            nvram::write(certificate, &self.dir.join("nvram"))?;
            let menu = self.dir.join("esp/EFI/debian/grub.cfg");
            fs::write(&menu, grub_menu(boot)).at_path(&menu)?;
        }
        let (mut heard, mut end) = self.once(boot)?;
        let mut console = self.console(boot)?;
        if end == End::Silent && !heard.begun && !console.contains(USERLAND) {
            // The kernel hung on its emulated hardware: that says nothing about the root.
            (heard, end) = self.once(boot)?;
            console = self.console(boot)?;
        }
        if !heard.ended {
            return Err(cut_off(boot, &heard, end, &console));
        }
        let results = heard.said(boot.commands);
        let complaint = complaint(&console).map(str::to_string);
        Ok(Booted { results, complaint, millis: start.elapsed().as_millis() as u64 })
    }

    fn once(&self, boot: &Boot<'_>) -> Result<(Heard, End)> {
        let mut heard = Heard::default();
        let console = Console { file: boot.log, hands_over: USERLAND, silence: KERNEL_SILENCE };
        let errors = self.dir.join("qemu.err");
        let end = emulator::run(self.command(boot), &errors, PATIENCE, Some(console), |line| heard.line(line))?;
        Ok((heard, end))
    }

    fn console(&self, boot: &Boot<'_>) -> Result<String> {
        let bytes = fs::read(boot.log).at_path(boot.log)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn file(&self, name: &str, boot: &Boot<'_>) -> PathBuf {
        self.dir.join(format!("{name}-{}", boot.kernel))
    }

    fn command(&self, boot: &Boot<'_>) -> Command {
        let mut command = Command::new(QEMU);
        match boot.owner_key {
            None => self.direct(boot, &mut command),
            Some(_) => self.secure_boot(&mut command),
        }
        // One processor: two take a fifth more of the host's, and machines run two at a time.
        command.args(["-smp", "1"]).args(emulator::COMMON);
        command.arg("-serial").arg(format!("file:{}", escaped(boot.log))).args(["-serial", "stdio"]);
        for (name, file, order) in [("root", "disk", ",bootindex=2"), ("script", "script", "")] {
            let file = escaped(&self.dir.join(file));
            command.arg("-drive").arg(format!("if=none,id={name},format=raw,cache=unsafe,file={file}"));
            command.arg("-device").arg(format!("virtio-blk-pci,drive={name},serial={name}{order}"));
        }
        command
    }

    /// QEMU puts the kernel into memory itself.
    fn direct(&self, boot: &Boot<'_>, command: &mut Command) {
        command.args(["-machine", "pc,i8042=off"]);
        command.arg("-kernel").arg(self.file("vmlinuz", boot)).arg("-initrd").arg(self.file("initrd.img", boot));
        command.arg("-append").arg(arguments(boot));
    }

    /// The firmware starts shim from the ESP, shim GRUB, and GRUB the kernel of the root's own `/boot`.
    fn secure_boot(&self, command: &mut Command) {
        command.args(["-machine", "q35,smm=on,i8042=off", "-global", "driver=cfi.pflash01,property=secure,value=on"]);
        command.args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}")]);
        let nvram = escaped(&self.dir.join("nvram"));
        command.arg("-drive").arg(format!("if=pflash,unit=1,format=raw,file={nvram}"));
        let esp = escaped(&self.dir.join("esp"));
        command.arg("-drive").arg(format!("if=none,id=esp,read-only=on,driver=vvfat,dir={esp}"));
        // The firmware connects only what it may boot from, so that the root has a place in the order, too.
        command.args(["-device", "virtio-blk-pci,drive=esp,bootindex=1"]);
    }
}

fn arguments(boot: &Boot<'_>) -> String {
    format!("{ARGUMENTS} {}", boot.arguments)
}

/// What GRUB does, in place of the menu that an installer would have made.
fn grub_menu(boot: &Boot<'_>) -> String {
    let (kernel, arguments) = (boot.kernel, arguments(boot));
    format!(
        "search --no-floppy --set=root --file /boot/vmlinuz-{kernel}\n\
         linux /boot/vmlinuz-{kernel} {arguments}\ninitrd /boot/initrd.img-{kernel}\nboot\n"
    )
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What is left is below the store's scratch directories, which `cargo xtask store gc` empties.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn cut_off(boot: &Boot<'_>, heard: &Heard, end: End, console: &str) -> Error {
    let place = match boot.commands.get(heard.results.len()) {
        _ if !heard.begun => "before systemd had started everything".to_string(),
        Some(command) => format!("in `{command}`"),
        None => "after the last command".to_string(),
    };
    let how = match end {
        End::Exited => "ended",
        End::Silent => "said nothing any longer",
        End::Overdue => "took too long",
    };
    let words = complaint(console).map_or_else(|| tail(console, 5), str::to_string);
    Error::kernel(format!("the machine {how} {place}: {words}"))
        .note(format!("its console is in {}", boot.log.display()))
}
