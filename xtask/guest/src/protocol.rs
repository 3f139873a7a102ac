// SPDX-License-Identifier: GPL-2.0-only
//! The messages between the host and the guest program.
//!
//! The host puts a [`Plan`] in the initramfs; the guest answers with one [`Message`] a line, as JSON, on its
//! second serial port.

use crate::layout::powercut::Bus;
use serde::{Deserialize, Serialize};

/// Where the plan is in the initramfs.
pub const PLAN: &str = "/plan.json";
/// Directory of the kernel modules in the initramfs.
pub const MODULES: &str = "/modules";
/// The module under test in the initramfs.
pub const INVOLFLT: &str = "/involflt.ko";
/// The program `involfltctl` in the initramfs.
pub const CTL: &str = "/involfltctl";
/// The agent in C in the initramfs, as a 64-bit and as a 32-bit program.
pub const C_AGENTS: [&str; 2] = ["/c-agent-64", "/c-agent-32"];
/// What the driver calls to make directories; in the initramfs it is the guest program itself.
pub const MKDIR: &str = "/bin/mkdir";
/// Extents in one [`Message::Drained`] at most, so that a line stays short.
pub const EXTENTS_A_LINE: usize = 500;

/// What the guest is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// File names in [`MODULES`], in the order of loading.
    pub modules: Vec<String>,
    /// Names of the scenarios to run, in the order of [`SCENARIOS`].
    pub scenarios: Vec<String>,
    /// Whether the NVMe driver is loaded with its own multipath on.
    pub nvme_multipath: bool,
    /// Whether to work until the power is cut, instead of running scenarios.
    pub powercut: bool,
    /// Whether the source is in write-intent mode then.
    #[serde(default)]
    pub intent: bool,
    /// How the disks are connected then.
    #[serde(default)]
    pub bus: Bus,
    /// Whether to live with a root file system of this kind that is on a filtered disk, instead of running scenarios.
    pub reboots: Option<String>,
    /// What to measure instead of running scenarios; then no disk is there but what the modules make.
    pub bench: Vec<Setting>,
}

/// Who writes to what while instructions are counted. Disks are null_blk's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Disks that are filtered.
    pub disks: u32,
    /// Threads that write, each on a processor of its own.
    pub writers: u32,
    /// Of the disks, those that are written to, in turns: by each thread to its own where there are several.
    pub written: u32,
    /// Length of each write, in KiB.
    pub kib: u32,
}

/// Instructions that writes took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Who wrote to what.
    pub setting: Setting,
    /// One of the names below.
    pub state: String,
    /// Number of writes.
    pub writes: u64,
    /// What all of them took, on all processors.
    pub instructions: u64,
}

impl Measured {
    /// The module is not loaded.
    pub const NOT_LOADED: &'static str = "not-loaded";
    /// The module is still not loaded: what a measurement differs by from itself.
    pub const AGAIN: &'static str = "again";
    /// It is loaded, and no disk is filtered.
    pub const NOT_FILTERED: &'static str = "not-filtered";
    /// The disks are filtered, in the bitmap state.
    pub const BITMAP: &'static str = "bitmap";
    /// In the metadata state.
    pub const METADATA: &'static str = "metadata";
    /// In the metadata state and write-intent mode, to regions that are marked.
    pub const WRITE_INTENT: &'static str = "write-intent";
    /// In the data state.
    pub const DATA: &'static str = "data";
    /// What it takes to drain the extents of as many writes, instead of the writes themselves.
    pub const DRAIN: &'static str = "drain";
    /// What it takes to drain the data of as many writes.
    pub const DRAIN_DATA: &'static str = "drain-data";
    /// What it takes to copy as many bytes in memory.
    pub const COPY: &'static str = "copy";
}

/// What has to be done before a replica is its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Why the driver says that the disk needs a resync, if it does.
    pub resync: Option<String>,
    /// Whether there has to be a full copy, or the rest of one.
    pub copy: bool,
}

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It did what its title says.
    Passed,
    /// It did not; the detail says how.
    Failed,
    /// The kernel lacks what it needs; the detail says what.
    Skipped,
}

/// What the guest tells the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum Message {
    /// The guest program runs; its disks are found and the kernel's own modules are loaded.
    Ready {
        /// `uname -r` of the running kernel.
        kernel: String,
    },
    /// A scenario has begun.
    Begin {
        /// Its name.
        scenario: String,
    },
    /// A scenario is over.
    End {
        /// Its name.
        scenario: String,
        /// How it ended.
        outcome: Outcome,
        /// One line: counts, the reason of a skip, or the first error.
        detail: String,
        /// Time it took, in milliseconds of the guest's clock.
        millis: u64,
    },
    /// A part of what was drained from a disk since it was last attached.
    Drained {
        /// Name of the disk.
        disk: String,
        /// Offset and length in bytes.
        extents: Vec<(u64, u64)>,
    },
    /// A write that was seen, for the judge's own test: without it, the judge must find it missed.
    Control {
        /// Name of the disk.
        disk: String,
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
    },
    /// A measurement of a bench.
    Measured(Measured),
    /// Memory that a bench saw go when disks were attached.
    Memory {
        /// With so many disks.
        setting: Setting,
        /// Bytes a disk.
        bytes: u64,
        /// Extents that can wait for a disk with it.
        extents: u64,
    },
    /// After a power cut the replica was brought up to date.
    Survived {
        /// What had to be done.
        standing: Standing,
        /// Offset of the first byte of the source that the replica does not have: silently different.
        different: Option<u64>,
    },
    /// Work has begun, and goes on until the power is cut, or the machine stops by itself.
    Working,
    /// The machine starts another kernel by itself, which says what it finds: nothing is mounted writable.
    Restarting,
    /// The machine stops: nothing is mounted writable.
    Stopping {
        /// What has to be done at the next start.
        standing: Standing,
    },
    /// The guest can go no further.
    Abort {
        /// Why.
        reason: String,
    },
    /// Everything was done and said; the guest powers off.
    Finished,
}

/// A scenario's name and title.
pub struct Scenario {
    /// As `--scenario` takes it.
    pub name: &'static str,
    /// What is proven when it passes.
    pub title: &'static str,
}

/// Name of the scenario that sets replicas to tags.
pub const BOOKMARKS: &str = "bookmarks";
/// Name of the scenario that makes replicas, which takes as long as all others together.
pub const REPLICATE: &str = "replicate";

/// Every scenario, in the order they run. The first ones leave no disk attached, the others need all attached.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "load", title: "the module loads, makes its device and tells its version" },
    Scenario { name: "privilege", title: "a program without CAP_SYS_ADMIN cannot open the device" },
    Scenario { name: "bad-requests", title: "bad pointers, sizes, disks and requests get an errno" },
    Scenario { name: "reload", title: "unload is refused while a disk is filtered, and clean otherwise" },
    Scenario {
        name: "keep",
        title: "changes outlive a reload; a file that was lost, and writes unseen, need a resync",
    },
    Scenario {
        name: "telemetry",
        title: "a module with telemetry leaves records of tags in a file, and one without leaves none",
    },
    Scenario {
        name: "replug",
        title: "disks are taken away while they are filtered and come back, and need a resync then",
    },
    Scenario { name: "ctl", title: "involfltctl starts, shows, examines and stops filtering of every disk" },
    Scenario {
        name: "write-intent",
        title: "writes wait for a bitmap file whose disk does not answer; the mode is refused where that is the disk itself",
    },
    Scenario {
        name: "hibernate",
        title: "the machine's memory goes to a filtered disk and comes back: every disk needs a resync",
    },
    Scenario {
        name: "c-agent",
        title: "agents in C, of 64 and 32 bits, drain what was written; killed at every step, the next one goes on",
    },
    Scenario {
        name: BOOKMARKS,
        title: "replicas set to 50 tags on two disks, and to one on a frozen file system, are what the disks were",
    },
    Scenario { name: "failures", title: "writes that fail, whole or in part, are changes without data" },
    Scenario { name: "zones", title: "what is done to a zone, or to all of them, is a change of all that is in it" },
    Scenario {
        name: "zone-append",
        title: "an append to a zone, or the NVMe command of one, is a change of what it may be in",
    },
    Scenario { name: "medium", title: "another medium in the disk, of the same size, is a resync" },
    Scenario {
        name: "layers",
        title: "dm-multipath, md, and a filtered disk on a filtered disk: each has what was written",
    },
    Scenario {
        name: "nvme-paths",
        title: "an NVMe disk with two paths: each is tracked; one that comes later is a resync, and tracked from then on",
    },
    Scenario {
        name: "waits",
        title: "a wait and a poll end with enough changes, a wake-up, a signal, a stop; else in time",
    },
    Scenario { name: "attach-storm", title: "100 times attach and detach during writes, then nothing is missed" },
    Scenario { name: "drain-protocol", title: "one write is one extent; a batch not committed comes again" },
    Scenario { name: "statistics", title: "operations dispatched to each disk are counted exactly" },
    Scenario {
        name: "tags",
        title: "a tag lies between the writes before it and those that a barrier or a freeze held",
    },
    Scenario {
        name: "churn",
        title: "a disk that falls behind and whose tags fail is told of, until it is acknowledged",
    },
    Scenario { name: "buffered-plugged", title: "64 MiB of buffered writes, batched by plugging, are seen wholly" },
    Scenario { name: "direct", title: "direct writes" },
    Scenario { name: "synchronous", title: "synchronous writes" },
    Scenario { name: "io-uring", title: "batches of io_uring" },
    Scenario { name: "libaio", title: "batches of io_submit" },
    Scenario { name: "discard", title: "discards" },
    Scenario { name: "write-zeroes", title: "write-zeroes" },
    Scenario { name: "passthrough", title: "SCSI commands past the block layer are decoded, or make a hole" },
    Scenario { name: "nvme-passthrough", title: "NVMe commands past the block layer are decoded, or make a hole" },
    Scenario { name: "many-and-large", title: "64 more disks at once, and one of 32 TiB" },
    Scenario { name: "resize", title: "a disk that gets another size needs a resync, and is filtered on" },
    Scenario { name: "suspend", title: "the machine is suspended to memory while disks are written to, and goes on" },
    Scenario { name: "two-disks", title: "writes to two disks at once, drained while they run" },
    Scenario { name: "bitmap", title: "the same kinds of write where there is room for dirty bits only" },
    Scenario { name: "up-and-down", title: "the capture state changes during writes, and nothing is missed" },
    Scenario { name: "data", title: "writes are captured with their data, which is what the disk holds" },
    Scenario {
        name: "memory-pressure",
        title: "without memory for data writes go on and are kept as extents or bits; with it again all is as before",
    },
    Scenario {
        name: REPLICATE,
        title: "involfltctl replicates disks that are written to, over kills, restarts and missed changes",
    },
    Scenario { name: "file-systems", title: "an ext4 and an xfs file system, used, trimmed and unmounted" },
];

/// Name of the judge's verdict, which the host adds to the guest's scenarios.
pub const JUDGE: Scenario = Scenario { name: "judge", title: "every changed block of every disk was drained" };
/// Name of the host's comparison of each replica with its disk, which the host adds to the guest's scenarios.
pub const REPLICA: Scenario =
    Scenario { name: "replica", title: "every byte of each replica is that of its disk, as the host reads them" };
/// Name of the judge's own test, which the host adds to the guest's scenarios.
pub const JUDGE_CONTROL: Scenario =
    Scenario { name: "judge-control", title: "the judge finds exactly the one write that is kept from it" };
/// Name of the search of the kernel log, which the host adds to the guest's scenarios.
pub const KERNEL_LOG: Scenario =
    Scenario { name: "kernel-log", title: "the kernel log has no BUG, WARNING, Oops, lockdep or RCU complaint" };
