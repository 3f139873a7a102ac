// SPDX-License-Identifier: GPL-2.0-only
//! A clean reboot of a Debian machine whose root's disk is filtered from its initramfs on: no resync, and no block of the root
//! that changed from one power-off to the next is missing from the bitmap file that the driver leaves in the root itself.

use super::initramfs::Initramfs;
use crate::error::{AtPath, Error, Result};
use crate::machine::{Boot, Booted, DISK_SIZE, Machine, Root};
use crate::vm::judge::{self, BLOCK, Part};
use crate::vm::kept;
use guest::extents::Extents;
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// The boot before the reboot ends with this: what was written until then is no excuse for what is missed later.
pub const DRAIN: (&str, &str) = ("involfltctl drain vda | wc -c", "");

/// What is asked after the reboot, and what the machine must say.
pub const QUESTIONS: [(&str, &str); 4] = [
    ("systemctl is-system-running --wait || systemctl list-units --failed --plain", "running"),
    ("cp -r /usr/share/perl5 /root/churn; sync; involfltctl stats vda | tr -s ' '", "resync_required no"),
    ("involfltctl stats vda | tr -s ' '", "bitmap_file in use"),
    // A disk that was filtered before the reboot appears, and is written to before udev has heard of it.
    (
        "udevadm control --stop-exec-queue; modprobe null_blk nr_devices=1
        dd if=/dev/urandom of=/dev/nullb0 bs=4k count=1 oflag=direct; udevadm control --start-exec-queue
        for i in $(seq 60); do involfltctl stats nullb0 && break; sleep 1; done | tr -s ' '",
        "resync_reason 0x18",
    ),
];

/// Behind the root file system there is room that nobody uses: the initramfs writes there, after the driver has come and before
/// the root is mounted.
const ROOM: u64 = 1 << 20;
const ROOT: &str = "/dev/disk/by-id/virtio-root";
const BITMAP: &str = "/etc/vxagent/involflt/virtio-root/InMage-virtio-root.VolumeLog";

/// What such a machine's root has, before its initramfs is made: a root that is mounted read-only first, and a write before that.
pub fn prepare(root: &Root, initramfs: &Initramfs) -> Result<()> {
    root.write("/etc/fstab", 0o644, format!("{ROOT} / ext4 errors=remount-ro 0 1\n").as_bytes())?;
    initramfs.prepare(root, ROOT)
}

/// Makes that room.
pub fn make_room(machine: &Machine) -> Result<()> {
    let file = File::options().write(true).open(machine.disk());
    file.and_then(|file| file.set_len(DISK_SIZE + ROOM)).at_path(machine.disk())
}

/// Boots the machine again, which was switched off in good order, and judges what it has tracked until it is off again.
/// `tool` is an `involfltctl` that runs here.
pub fn run(machine: &Machine, boot: &Boot<'_>, tool: &Path) -> Result<(Booted, Result<String>)> {
    let before = machine.disk().with_file_name("disk-before");
    kept::checked(Command::new("cp").arg("--sparse=always").args([machine.disk(), before.clone()]))?;
    let booted = machine.boot(boot)?;
    let verdict =
        kept::changes(&machine.disk(), BITMAP, tool).and_then(|tracked| judge(&before, &machine.disk(), tracked));
    Ok((booted, verdict))
}

/// No changed block is missed; and the judge finds the one that the initramfs has written, where it is kept from it.
fn judge(before: &Path, after: &Path, mut tracked: Extents) -> Result<String> {
    let size = after.metadata().at_path(after)?.len();
    let part = Part { offset: 0, size };
    let found = judge::judge(before, after, part, &tracked)?;
    if found.missed != 0 {
        return Err(Error::kernel(format!("{} of {} changed blocks missed: {found:?}", found.missed, found.changed)));
    }
    let early = size - ROOM;
    tracked.remove(early, BLOCK as u64);
    let control = judge::judge(before, after, part, &tracked)?;
    if (control.missed, control.first_missed) != (1, Some(early)) {
        return Err(Error::kernel(format!("the write of the initramfs was kept from the judge: {control:?}")));
    }
    Ok(format!("{} blocks of the root's disk changed, none missed", found.changed))
}
