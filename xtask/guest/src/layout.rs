// SPDX-License-Identifier: GPL-2.0-only
//! The disks of a test VM. The host makes their images, the guest finds them by what is said here.

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// A file system that the host puts on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4
    Ext4,
    /// xfs
    Xfs,
}

impl FileSystem {
    /// As `mount -t` takes it.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }
}

/// One disk that is filtered and judged. Offsets are from its own start, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Name in reports.
    pub name: &'static str,
    /// Device node in the guest.
    pub node: &'static str,
    /// Where the disk starts in its image: the dm-linear disk is a part of another disk.
    pub image_offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// File system of its second part.
    pub file_system: FileSystem,
    /// Whether the parts are partitions; they are dm-linear devices on top of the disk otherwise.
    pub partitioned: bool,
}

/// Start of the part that is written to without a file system.
pub const RAW_START: u64 = MIB;
/// Size of that part.
pub const RAW_SIZE: u64 = 96 * MIB;
/// Start of the file system's part; it goes on to the end of the disk.
pub const FS_START: u64 = RAW_START + RAW_SIZE;
/// Bytes from `RAW_START` that the host fills with random data, for discards and write-zeroes to change.
pub const RANDOM_SIZE: u64 = 16 * MIB;
/// Smallest xfs that mkfs.xfs makes, and some.
const XFS_SIZE: u64 = 304 * MIB;
const EXT4_SIZE: u64 = 64 * MIB;

/// Serial number of the virtio-blk disk that is filtered.
pub const DATA_SERIAL: &str = "data";
/// Serial number of the virtio-blk disk below dm-linear.
pub const BACKING_SERIAL: &str = "backing";
/// Start of the dm-linear disk on it.
pub const BACKING_OFFSET: u64 = 8 * MIB;

/// Every disk that is filtered.
pub const DISKS: [Disk; 4] = [
    Disk {
        name: "virtio-blk",
        node: "/dev/vda",
        image_offset: 0,
        size: FS_START + EXT4_SIZE,
        file_system: FileSystem::Ext4,
        partitioned: true,
    },
    Disk {
        name: "virtio-scsi",
        node: "/dev/sda",
        image_offset: 0,
        size: FS_START + XFS_SIZE,
        file_system: FileSystem::Xfs,
        partitioned: true,
    },
    Disk {
        name: "nvme",
        node: "/dev/nvme0n1",
        image_offset: 0,
        size: FS_START + EXT4_SIZE,
        file_system: FileSystem::Ext4,
        partitioned: true,
    },
    Disk {
        name: "dm-linear",
        node: "/dev/dm-0",
        image_offset: BACKING_OFFSET,
        size: FS_START + XFS_SIZE,
        file_system: FileSystem::Xfs,
        partitioned: false,
    },
];

/// What device-mapper calls the dm-linear disk.
pub const LINEAR_NAME: &str = "linear";
/// Node of the device below the dm-linear disk.
pub const BACKING_NODE: &str = "/dev/vdb";

/// Disks with the same contents as [`DISKS`], which `involfltctl` replicates. The judge of what was drained does not look at
/// them. The last one has no file system, and ends before it.
pub const LIVE: [Disk; 4] = [
    Disk { name: "live-virtio-blk", node: "/dev/vdc", ..DISKS[0] },
    Disk { name: "live-virtio-scsi", node: "/dev/sdb", ..DISKS[1] },
    Disk { name: "live-nvme", node: "/dev/nvme1n1", ..DISKS[2] },
    Disk { name: "live-dm-linear", node: "/dev/dm-2", size: FS_START, ..DISKS[3] },
];

/// Serial number of the virtio-blk disk that is replicated.
pub const LIVE_SERIAL: &str = "live";
/// Serial number of the virtio-blk disk below the dm-linear disk that is replicated.
pub const LIVE_BACKING_SERIAL: &str = "live-backing";
/// Node of that disk.
pub const LIVE_BACKING_NODE: &str = "/dev/vdd";
/// What device-mapper calls the dm-linear disk that is replicated.
pub const LIVE_LINEAR_NAME: &str = "live-linear";

/// Serial number of the disk with the replicas: dm-linear devices, one after the other in the order of [`LIVE`].
pub const REPLICAS_SERIAL: &str = "replicas";
/// Node of that disk.
pub const REPLICAS_NODE: &str = "/dev/vde";

/// NVMe controllers that the guest keeps away from their driver but for the scenarios that want them.
pub mod held {
    use super::MIB;

    /// PCI addresses of two of one subsystem, which have the same namespace.
    pub const PATHS: [&str; 2] = ["0000:00:0c.0", "0000:00:0d.0"];
    /// Size of that in bytes.
    pub const SHARED_SIZE: u64 = 100 * MIB;
    /// PCI address of one with a namespace of zones.
    pub const ZONED: &str = "0000:00:0e.0";
    /// Size of that in bytes.
    pub const ZONED_SIZE: u64 = 32 * MIB;
    /// Size of a zone in bytes.
    pub const ZONE: u64 = 4 * MIB;
    /// Node of the namespace of the controller that is there first.
    pub const NODE: &str = "/dev/nvme2n1";
}

/// Node of the dm device that is made next.
pub const NEXT_DM_NODE: &str = "/dev/dm-7";

/// The disks of a machine whose power is cut.
pub mod powercut {
    use super::{Disk, FileSystem, MIB};
    use serde::{Deserialize, Serialize};

    /// How they are connected: SCSI and NVMe disks share one controller, and what of requests it has.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub enum Bus {
        /// virtio-blk
        #[default]
        Virtio,
        /// virtio-scsi
        Scsi,
        /// NVMe, a namespace each
        Nvme,
    }

    /// The disks, by what they are for.
    #[derive(Debug)]
    pub struct Disks {
        /// What is written to and replicated.
        pub source: Disk,
        /// Node of its replica, as large.
        pub replica: &'static str,
        /// Node of an ext4 file system with what the driver and involfltctl keep.
        pub state: &'static str,
    }

    /// Size of the source in bytes.
    pub const SOURCE_SIZE: u64 = 16 * MIB;
    /// Size of the file system in bytes.
    pub const STATE_SIZE: u64 = 16 * MIB;

    const fn disks(node: &'static str, replica: &'static str, state: &'static str) -> Disks {
        let file_system = FileSystem::Ext4;
        let source = Disk { name: "source", node, image_offset: 0, size: SOURCE_SIZE, file_system, partitioned: false };
        Disks { source, replica, state }
    }

    static VIRTIO: Disks = disks("/dev/vda", "/dev/vdb", "/dev/vdc");
    static SCSI: Disks = disks("/dev/sda", "/dev/sdb", "/dev/sdc");
    static NVME: Disks = disks("/dev/nvme0n1", "/dev/nvme0n2", "/dev/nvme0n3");

    impl Bus {
        /// The disks on it.
        pub fn disks(self) -> &'static Disks {
            match self {
                Bus::Virtio => &VIRTIO,
                Bus::Scsi => &SCSI,
                Bus::Nvme => &NVME,
            }
        }
    }
}

/// The disk of a machine that is rebooted.
pub mod reboots {
    use super::{Disk, FileSystem, MIB};

    /// The root's, which has what the driver keeps of it. xfs and btrfs need as much.
    pub const ROOT: Disk = Disk {
        name: "root",
        node: "/dev/vda",
        image_offset: 0,
        size: 304 * MIB,
        file_system: FileSystem::Ext4,
        partitioned: false,
    };
    /// Nodes of the disks with the kernel and the initramfs that such a machine starts by itself.
    pub const KEXEC_NODES: [&str; 2] = ["/dev/vdb", "/dev/vdc"];
    /// Where the bitmap file is in its file system.
    pub const BITMAP: &str = "/vxagent/involflt/dev_vda/InMage-dev_vda.VolumeLog";

    /// Whether all changes are drained before the stop of the boot with this seed. Those of a boot that drains none are all in
    /// the bitmap file.
    pub fn drains(seed: u64) -> bool {
        seed.is_multiple_of(2)
    }

    /// Whether the file system is in a device of device-mapper on the disk, as one of LVM is, in the boot with this seed.
    pub fn is_mapped(seed: u64) -> bool {
        seed & 2 != 0
    }

    /// Whether the boot with this seed is two: the first kernel starts the second.
    pub fn restarts(seed: u64) -> bool {
        seed.is_multiple_of(3)
    }
}

/// Offset in bytes of the replica of [`LIVE`] at `index`, and for the number of disks the size of all.
pub fn replica_offset(index: usize) -> u64 {
    LIVE[..index].iter().map(|disk| disk.size).sum()
}

/// Nodes of the replicas, in the order of [`LIVE`].
pub const REPLICA_NODES: [&str; 4] = ["/dev/dm-3", "/dev/dm-4", "/dev/dm-5", "/dev/dm-6"];
