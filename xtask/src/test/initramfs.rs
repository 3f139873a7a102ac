// SPDX-License-Identifier: GPL-2.0-only
//! The two programs that make an initramfs: what `packaging/utils` has for each, and how a machine's own is made.

use crate::error::Result;
use crate::machine::{DISK_SIZE, Root};

/// A file: what it is in `packaging/utils`, its mode and where it goes.
pub type File = (&'static str, u32, &'static str);

/// A program that makes an initramfs.
pub struct Initramfs {
    pub name: &'static str,
    /// Packages that a machine has not by itself.
    pub packages: &'static [&'static str],
    /// What it takes of `packaging/utils`.
    pub files: &'static [File],
    /// Files that let it make one for this machine, with a step that writes to the disk before the root is mounted.
    own: &'static [(&'static str, u32, &'static str)],
    /// Makes the initramfs of the kernel `$release`.
    pub make: &'static str,
}

/// Debian's.
pub const INITRAMFS_TOOLS: Initramfs = Initramfs {
    name: "initramfs-tools",
    packages: &[],
    files: &[
        ("initramfs-tools/hooks/involflt", 0o755, "/usr/share/initramfs-tools/hooks/involflt"),
        (
            "initramfs-tools/scripts/local-premount/involflt",
            0o755,
            "/usr/share/initramfs-tools/scripts/local-premount/involflt",
        ),
    ],
    own: &[(
        "/etc/initramfs-tools/scripts/local-premount/early-writer",
        0o755,
        "#!/bin/sh\n[ \"$1\" != prereqs ] || { echo involflt; exit 0; }\n",
    )],
    make: "update-initramfs -u -k $release",
};

/// SUSE's and Red Hat's, out of Debian's archive.
pub const DRACUT: Initramfs = Initramfs {
    name: "dracut",
    packages: &["dracut"],
    files: &[
        ("dracut/90involflt/module-setup.sh", 0o755, "/usr/lib/dracut/modules.d/90involflt/module-setup.sh"),
        ("dracut/90involflt/involflt-start.sh", 0o755, "/usr/lib/dracut/modules.d/90involflt/involflt-start.sh"),
    ],
    own: &[
        (
            "/etc/dracut.conf.d/involflt-machine.conf",
            0o644,
            "hostonly=no\ndrivers=\"virtio_pci virtio_blk ext4\"\nadd_dracutmodules+=\" early-writer \"\n",
        ),
        (
            "/usr/lib/dracut/modules.d/91early-writer/module-setup.sh",
            0o755,
            "check() { return 255; }\ninstall() {\n\tinst_multiple dd sync\n\tinst_hook pre-mount 60 \"$moddir/write.sh\"\n}\n",
        ),
        ("/usr/lib/dracut/modules.d/91early-writer/write.sh", 0o755, "#!/bin/sh\n"),
    ],
    make: "dracut --force /boot/initrd.img-$release $release",
};

impl Initramfs {
    /// Gives a root what it needs before its initramfs is made: the last of its own files writes behind the root file system on
    /// `disk`.
    pub fn prepare(&self, root: &Root, disk: &str) -> Result<()> {
        let sector = DISK_SIZE / 512;
        let write = format!("dd if=/proc/sys/kernel/random/boot_id of={disk} bs=512 seek={sector} && sync\n");
        let (writer, others) = self.own.split_last().expect("each has a step that writes");
        others.iter().try_for_each(|(path, mode, text)| root.write(path, *mode, text.as_bytes()))?;
        root.write(writer.0, writer.1, format!("{}{write}", writer.2).as_bytes())
    }
}
