// SPDX-License-Identifier: GPL-2.0-only
//! The ioctl ABI: request numbers and where each field stands in its structure. No logic.
//!
//! Source: `../shared/spec/involflt-abi.md` (sections 2 and 3). Structures are described by the offsets of their
//! fields, not by `repr(C)` types: the driver reads and writes single fields in the caller's memory, which leaves
//! every byte that it does not own as the caller had it.

/// ioctl request words (x86-64; the driver matches the whole word).
pub mod request {
    /// Stops filtering a disk; argument: a disk name of [`super::GUID_BYTES`].
    pub const STOP_FILTERING_DEVICE: u32 = 0x4080_fe00;
    /// Never answered; START_FILTERING_DEVICE_V2 took its place.
    pub const START_FILTERING_DEVICE: u32 = 0x4080_fe01;
    /// Makes this file the drainer's; argument: flags, u32, that mean nothing here.
    pub const PROCESS_START_NOTIFY: u32 = 0x4004_fe02;
    /// Says that the agent's service is there, as long as this file is open; argument: as above.
    pub const SERVICE_SHUTDOWN_NOTIFY: u32 = 0x4004_fe03;
    /// Commits the block that is out; argument: [`super::commit`].
    pub const COMMIT_DIRTY_BLOCKS_TRANS: u32 = 0x4090_fe05;
    /// Sets or resets a disk's flags; argument: [`super::volume_flags`].
    pub const SET_VOLUME_FLAGS: u32 = 0x4088_fe06;
    /// A disk's flags; argument: [`super::volume_flags`].
    pub const GET_VOLUME_FLAGS: u32 = 0x8088_fe07;
    /// Waits for changes of a disk; argument: [`super::wait`].
    pub const WAIT_FOR_DB: u32 = 0x4084_fe08;
    /// Forgets every change of a disk; argument: a disk name.
    pub const CLEAR_DIFFERENTIALS: u32 = 0x4080_fe09;
    /// The time in 100 ns since the Unix epoch; argument: u64.
    pub const GET_NANOSECOND_TIME: u32 = 0xc008_fe0a;
    /// Stops filtering every disk, after which the driver takes no more requests; no argument.
    pub const UNSTACK_ALL: u32 = 0x0000_fe0b;
    /// The system shuts down; argument: flags, u32, that mean nothing here.
    pub const SYS_SHUTDOWN: u32 = 0x4004_fe0c;
    /// Tags disks; argument: a stream of bytes.
    pub const TAG_VOLUME: u32 = 0xc008_fe0d;
    /// Wakes who waits for changes; no argument.
    pub const WAKEUP_ALL_THREADS: u32 = 0x0000_fe0e;
    /// Bytes that wake a waiting agent; argument: [`super::threshold`].
    pub const GET_DB_NOTIFY_THRESHOLD: u32 = 0xc084_fe0f;
    /// Filters a disk that was filtered before; argument: [`super::dev_info`].
    pub const VOLUME_STACKING: u32 = 0x4004_fe10;
    /// Where a resync begins; argument: [`super::resync_edge`].
    pub const RESYNC_START_NOTIFICATION: u32 = 0xc090_fe11;
    /// Where a resync ends; argument: [`super::resync_edge`].
    pub const RESYNC_END_NOTIFICATION: u32 = 0xc090_fe12;
    /// Driver and product version; argument: [`super::version`].
    pub const GET_DRIVER_VERSION: u32 = 0xc010_fe13;
    /// Does nothing, as in the C driver.
    pub const SHELL_LOG: u32 = 0xc008_fe14;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const AT_LUN_CREATE: u32 = 0x40a0_fe15;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const AT_LUN_DELETE: u32 = 0x4088_fe16;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const AT_LUN_LAST_WRITE_VI: u32 = 0xc0a8_fe17;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const AT_LUN_QUERY: u32 = 0xc090_fe18;
    /// Statistics of the driver as text; argument: a page for it.
    pub const GET_GLOBAL_STATS: u32 = 0x0000_fe19;
    /// Statistics of one disk as text; argument: [`super::volume_stats`].
    pub const GET_VOLUME_STATS: u32 = 0x0000_fe1a;
    /// Names of the filtered disks; argument: [`super::volume_list`].
    pub const GET_PROTECTED_VOLUME_LIST: u32 = 0x0000_fe1b;
    /// Gets or sets an attribute; argument: [`super::attribute`].
    pub const GET_SET_ATTR: u32 = 0xc008_fe1c;
    /// Does nothing, as in the C driver.
    pub const BOOTTIME_STACKING: u32 = 0x0000_fe1d;
    /// Stops filtering a disk; argument: a disk name.
    pub const VOLUME_UNSTACKING: u32 = 0x4080_fe1e;
    /// Starts filtering a disk and makes it this file's disk; argument: [`super::dev_info`].
    pub const START_FILTERING_DEVICE_V2: u32 = 0x5120_fe1f;
    /// Tags disks, and tells what became of that; argument: an id and a stream of bytes, and behind it
    /// [`super::tag_status`] for each disk.
    pub const SYNC_TAG_VOLUME: u32 = 0xc008_fe20;
    /// Waits until something becomes of such tags, and tells it; argument: as above, with seconds in place of the stream.
    pub const GET_TAG_VOLUME_STATUS: u32 = 0xc008_fe21;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const START_MIRRORING_DEVICE: u32 = 0x4348_fe22;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const STOP_MIRRORING_DEVICE: u32 = 0x4100_fe23;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const MIRROR_VOLUME_STACKING: u32 = 0x4348_fe24;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const MIRROR_EXCEPTION_NOTIFY: u32 = 0x41b0_fe25;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const AT_LUN_LAST_HOST_IO_TIMESTAMP: u32 = 0xc198_fe26;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const BLOCK_AT_LUN: u32 = 0x4108_fe28;
    /// What waits on a disk, and since when; argument: [`super::additional_stats`].
    pub const GET_ADDITIONAL_VOLUME_STATS: u32 = 0xc098_fe2b;
    /// How long an agent's requests took; argument: [`super::latency_stats`].
    pub const GET_VOLUME_LATENCY_STATS: u32 = 0xc398_fe2c;
    /// A disk's dirty bits; argument: [`super::bitmap_stats`].
    pub const GET_VOLUME_BMAP_STATS: u32 = 0xc098_fe2d;
    /// How much the driver logs; argument: u32, that means nothing here.
    pub const SET_INVOLFLT_VERBOSITY: u32 = 0xc004_fe2e;
    /// Of the mirror and AT-LUN code that is dead in the C driver.
    pub const MIRROR_TEST_HEARTBEAT: u32 = 0x4100_fe2f;
    /// Ends the initramfs's part of a start; argument: u32, that means nothing here.
    pub const INIT_DRIVER_FULLY: u32 = 0x4004_fe30;
    /// Freezes file systems; argument: [`super::freeze`].
    pub const FREEZE_VOLUME: u32 = 0x4038_fe31;
    /// Tags disks, until that is committed; argument: [`super::tag_info`].
    pub const TAG_VOLUME_V2: u32 = 0xc048_fe32;
    /// Thaws file systems; argument: [`super::freeze`].
    pub const THAW_VOLUME: u32 = 0x4038_fe33;
    /// Tags all disks at one moment; argument: [`super::tag_info`].
    pub const IOBARRIER_TAG_VOLUME: u32 = 0xc048_fe34;
    /// Holds a moment on all disks; argument: [`super::barrier`].
    pub const CREATE_BARRIER_ALL: u32 = 0xc02c_fe35;
    /// Lets it go; argument: [`super::barrier`].
    pub const REMOVE_BARRIER_ALL: u32 = 0xc028_fe36;
    /// Commits or revokes tags; argument: [`super::barrier`].
    pub const TAG_COMMIT_V2: u32 = 0xc028_fe37;
    /// The system is about to shut down; no argument is read.
    pub const SYS_PRE_SHUTDOWN: u32 = 0x4008_fe38;
    /// One counter of a disk; argument: [`super::monitoring`].
    pub const GET_MONITORING_STATS: u32 = 0xc090_fe39;
    /// Whether a disk is blk-mq; argument: [`super::blk_mq`].
    pub const GET_BLK_MQ_STATUS: u32 = 0xc004_fe3a;
    /// The driver and one disk as numbers; argument: [`super::stats_v2`].
    pub const GET_VOLUME_STATS_V2: u32 = 0xc190_fe3b;
    /// The agent slows down; argument: [`super::replication_state`].
    pub const REPLICATION_STATE: u32 = 0xc098_fe3c;
    /// Translates a disk's names; argument: [`super::name_map`].
    pub const NAME_MAPPING: u32 = 0xc204_fe3d;
    /// A block could not be brought to its target; argument: [`super::failed_commit`].
    pub const COMMITDB_FAIL_TRANS: u32 = 0x4098_fe3e;
    /// Waits for news of churn; argument: [`super::churn_notify`].
    pub const GET_CXSTATS_NOTIFY: u32 = 0xc2e0_fe3f;
    /// Wakes who waits for churn; no argument.
    pub const WAKEUP_GET_CXSTATS_NOTIFY_THREAD: u32 = 0x0000_fe40;
    /// Tests of writes past the file system; argument: [`super::last_writes`].
    pub const LCW: u32 = 0x8084_fe41;
    /// Waits for changes of this file's disk; argument: [`super::wait`].
    pub const WAIT_FOR_DB_V2: u32 = 0x4084_fe42;
    /// Waits until tags are drained; argument: [`super::tag_notify`].
    pub const TAG_DRAIN_NOTIFY: u32 = 0xc560_fe43;
    /// Wakes who waits for tags; no argument.
    pub const WAKEUP_TAG_DRAIN_NOTIFY_THREAD: u32 = 0x0000_fe44;
    /// Gives a disk another persistent name; argument: [`super::rename`].
    pub const MODIFY_PERSISTENT_DEVICE_NAME: u32 = 0x4180_fe45;
    /// Whether disks may be drained; argument: [`super::drain_state`].
    pub const GET_DRAIN_STATE: u32 = 0xc0a0_fe46;
    /// Lets disks be drained again; argument: [`super::drain_state`].
    pub const SET_DRAIN_STATE: u32 = 0xc0a8_fe47;
    /// The next block of changes of this file's disk; argument: [`super::dirty_block`].
    pub const GET_DIRTY_BLOCKS_TRANS_V2: u32 = 0xdff0_fe48;
    /// A disk goes away; argument: a disk name.
    pub const REMOVE_FILTER_DEVICE: u32 = 0x4080_fe49;
}

/// Bytes of a disk name (the device path, such as `/dev/sda`), NUL included.
pub const GUID_BYTES: usize = 128;
/// Bytes of a persistent name, NUL included.
pub const PNAME_BYTES: usize = 256;
/// Most changes in one metadata block (24-byte records in a 4 KiB page).
pub const MAX_CHANGES: usize = 170;

/// `inm_dev_info`, 4640 bytes. The request word says 4384: the persistent name comes after what it counts.
pub mod dev_info {
    /// Device type, u32: [`HOST_VOLUME`].
    pub const TYPE: u64 = 0;
    /// Device path, `char[256]`.
    pub const GUID: u64 = 4;
    /// Size in blocks, u64.
    pub const BLOCKS: u64 = 4360;
    /// Block size in bytes, u32.
    pub const BLOCK_BYTES: u64 = 4368;
    /// Persistent name, `char[256]`.
    pub const PNAME: u64 = 4384;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 4640;
    /// A disk of this host.
    pub const HOST_VOLUME: u32 = 2;
}

/// `inm_attribute_t`, 152 bytes. The request word says 8.
pub mod attribute {
    /// Index in the driver's or the disk's table, u32.
    pub const INDEX: u64 = 0;
    /// [`VALUE_GET`] or [`VALUE_SET`], u32.
    pub const WHY: u64 = 4;
    /// [`VALUE_COMMON`], or a disk's path or persistent name, `char[128]`.
    pub const GUID: u64 = 8;
    /// Pointer to the text, u64.
    pub const BUFFER: u64 = 136;
    /// Bytes of the text or of the room for it, u32.
    pub const BUFFER_BYTES: u64 = 144;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 152;

    /// The attribute's text is wanted.
    pub const VALUE_GET: u32 = 1;
    /// The attribute is to be set.
    pub const VALUE_SET: u32 = 2;
    /// The name of the driver's own attributes.
    pub const VALUE_COMMON: &[u8] = b"common";

    /// Indexes of the driver's attributes.
    pub mod common {
        /// `DirtyBlockHighWaterMarkServiceNotStarted`.
        pub const HIGH_WATER_NOT_STARTED: u32 = 4;
        /// `DirtyBlockLowWaterMarkServiceRunning`.
        pub const LOW_WATER_RUNNING: u32 = 5;
        /// `DirtyBlockHighWaterMarkServiceRunning`.
        pub const HIGH_WATER_RUNNING: u32 = 6;
        /// `DirtyBlockHighWaterMarkServiceShutdown`.
        pub const HIGH_WATER_SHUTDOWN: u32 = 7;
        /// `DataPoolSize`.
        pub const POOL: u32 = 0;
        /// `DirtyBlocksToPurgeWhenHighWaterMarkIsReached`.
        pub const PURGED: u32 = 8;
        /// `Bitmap512KGranularitySize`.
        pub const GRANULARITY_SIZE: u32 = 10;
        /// `VolumeDataFiltering`.
        pub const DATA_FILTERING: u32 = 11;
        /// `VolumeDataFilteringForNewVolumes`.
        pub const DATA_FILTERING_NEW: u32 = 12;
        /// `VolumeDataFiles`.
        pub const DATA_FILES: u32 = 13;
        /// `VolumeDataFilesForNewVolumes`.
        pub const DATA_FILES_NEW: u32 = 14;
        /// `MaxDataSizeForDataModeDirtyBlock`.
        pub const MAX_STREAM: u32 = 18;
        /// `VolumeResDataPoolSize`.
        pub const PROMISED_POOL: u32 = 19;
        /// `MaxDataPoolSize`.
        pub const MAX_POOL: u32 = 20;
        /// `StablePages`.
        pub const STABLE_PAGES: u32 = 30;
        /// `VolumeDataToDiskLimitInMB`.
        pub const DATA_FILE_LIMIT: u32 = 15;
        /// `SequenceNumber`.
        pub const SEQUENCE: u32 = 17;
        /// `CleanShutdown`.
        pub const CLEAN_SHUTDOWN: u32 = 21;
        /// `MaxCoalescedMetaDataChangeSize`.
        pub const MAX_COALESCED: u32 = 22;
        /// `VacpIObarrierTimeout`.
        pub const BARRIER_TIMEOUT: u32 = 26;
        /// `FsFreezeTimeout`.
        pub const FREEZE_TIMEOUT: u32 = 27;
        /// `VacpAppTagCommitTimeout`.
        pub const TAG_TIMEOUT: u32 = 28;
        /// `TrackRecursiveWrites`.
        pub const OWN_WRITES: u32 = 29;
        /// `ChainedIO`.
        pub const CHAINED_IO: u32 = 32;
    }

    /// Indexes of a disk's attributes.
    pub mod disk {
        /// `VolumeFilteringDisabled`.
        pub const FILTERING_DISABLED: u32 = 0;
        /// `VolumeBitmapReadDisabled`.
        pub const BITMAP_READ_DISABLED: u32 = 1;
        /// `VolumeBitmapWriteDisabled`.
        pub const BITMAP_WRITE_DISABLED: u32 = 2;
        /// `VolumeDataFiltering`.
        pub const DATA_FILTERING: u32 = 3;
        /// `VolumeDataFiles`.
        pub const DATA_FILES: u32 = 4;
        /// `VolumeDataToDiskLimitInMB`.
        pub const DATA_FILE_LIMIT: u32 = 5;
        /// `VolumeDataNotifyLimitInKB`.
        pub const NOTIFY_LIMIT: u32 = 6;
        /// `VolumeBitmapGranularity`.
        pub const GRANULARITY: u32 = 8;
        /// `VolumeResyncRequired`.
        pub const RESYNC_REQUIRED: u32 = 9;
        /// `VolumeOutOfSyncErrorCode`.
        pub const RESYNC_CODE: u32 = 10;
        /// `VolumeOutOfSyncErrorStatus`.
        pub const RESYNC_STATUS: u32 = 11;
        /// `VolumeOutOfSyncCount`.
        pub const RESYNC_COUNT: u32 = 12;
        /// `VolumeOutOfSyncTimeStamp`.
        pub const RESYNC_TIME: u32 = 13;
        /// `VolumeOutOfSyncErrorDescription`.
        pub const RESYNC_TEXT: u32 = 14;
        /// `VolumeFilterDevType`.
        pub const TYPE: u32 = 15;
        /// `VolumeNblks`.
        pub const BLOCKS: u32 = 16;
        /// `VolumeBsize`.
        pub const BLOCK_BYTES: u32 = 17;
        /// `VolumeResDataPoolSize`.
        pub const PROMISED_POOL: u32 = 18;
        /// `VolumePrevEndTimeStamp`.
        pub const PREVIOUS_TIME: u32 = 20;
        /// `VolumePrevEndSequenceNumber`.
        pub const PREVIOUS_SEQUENCE: u32 = 21;
        /// `VolumePrevSequenceIDforSplitIO`.
        pub const PREVIOUS_SPLIT: u32 = 22;
        /// `VolumePerfOptimization`.
        pub const OPTIMIZATION: u32 = 33;
        /// `VolumeRpoTimeStamp`.
        pub const OLDEST: u32 = 35;
        /// `VolumeDrainBlocked`.
        pub const DRAIN_BLOCKED: u32 = 36;
        /// `WriteIntent`, which is this driver's own: the C driver has none from here on.
        pub const WRITE_INTENT: u32 = 0x1000;
    }
}

/// `WAIT_FOR_DB_NOTIFY`, 132 bytes.
pub mod wait {
    /// Longest wait in seconds, i32.
    pub const SECONDS: u64 = 128;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 132;
}

/// `get_db_thres_t`, 132 bytes.
pub mod threshold {
    /// Bytes, u32.
    pub const THRESHOLD: u64 = 128;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 132;
    /// The C driver's default: 4 MiB.
    pub const VALUE: u32 = 4 << 20;
}

/// `RESYNC_START` and `RESYNC_END` as the C driver reads them: its second version.
pub mod resync_edge {
    /// Time, u64.
    pub const TIME: u64 = 128;
    /// Sequence, u64; the header's first version has a u32 here.
    pub const SEQUENCE: u64 = 136;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 144;
}

/// `VOLUME_STATS_ADDITIONAL_INFO`, 152 bytes.
pub mod additional_stats {
    /// Bytes that wait, u64.
    pub const PENDING: u64 = 128;
    /// When the oldest change came, u64.
    pub const OLDEST: u64 = 136;
    /// The driver's time, u64.
    pub const NOW: u64 = 144;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 152;
}

/// `VOLUME_BMAP_STATS`, 152 bytes.
pub mod bitmap_stats {
    /// Bytes that one bit stands for, u64.
    pub const GRANULARITY: u64 = 128;
    /// Bytes that all dirty bits stand for, u64.
    pub const BYTES_DIRTY: u64 = 136;
    /// Blocks of [`BLOCK_BYTES`] that they make, u32.
    pub const BLOCKS: u64 = 144;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 152;
    /// 1 MiB.
    pub const BLOCK_BYTES: u64 = 1 << 20;
}

/// `VOLUME_LATENCY_STATS`, 920 bytes: three groups behind the disk's path, in microseconds.
pub mod latency_stats {
    /// The group of gets.
    pub const RETURN: u64 = 128;
    /// The group of waits.
    pub const WAIT: u64 = 392;
    /// The group of commits.
    pub const COMMIT: u64 = 656;
    /// In a group: the longest time of each bucket, `u64[12]`.
    pub const BUCKETS: u64 = 0;
    /// In a group: how many are in each, `u32[12]`.
    pub const COUNTS: u64 = 96;
    /// In a group: number of the last ones that follow, u32.
    pub const AVAILABLE: u64 = 144;
    /// In a group: the last ones, `u64[12]`.
    pub const LAST: u64 = 152;
    /// In a group: the shortest, u64.
    pub const SHORTEST: u64 = 248;
    /// In a group: the longest, u64.
    pub const LONGEST: u64 = 256;
    /// Bytes of a group.
    pub const GROUP_BYTES: u64 = 264;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 920;
}

/// `BLK_MQ_STATUS`, 132 bytes. The request word says 4.
pub mod blk_mq {
    /// 1 for blk-mq, 0 for another one, i32.
    pub const ANSWER: u64 = 128;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 132;
}

/// `MONITORING_STATS`, 144 bytes.
pub mod monitoring {
    /// [`VALUE_TAGS`] or [`VALUE_CHURN`], u32.
    pub const WHAT: u64 = 128;
    /// The number, u64.
    pub const ANSWER: u64 = 136;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 144;
    /// Tags that were dropped.
    pub const VALUE_TAGS: u32 = 1;
    /// Bytes that were committed.
    pub const VALUE_CHURN: u32 = 2;
}

/// `vol_name_map_t`, 516 bytes.
pub mod name_map {
    /// [`VALUE_TO_PERSISTENT`] or [`VALUE_TO_PATH`], u32.
    pub const FLAGS: u64 = 0;
    /// The name that is known, `char[256]`.
    pub const REQUEST: u64 = 4;
    /// The other name, `char[256]`.
    pub const RESPONSE: u64 = 260;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 516;
    /// A path is given.
    pub const VALUE_TO_PERSISTENT: u32 = 1;
    /// A persistent name is given.
    pub const VALUE_TO_PATH: u32 = 2;
}

/// `MODIFY_PERSISTENT_DEVICE_NAME_INPUT`, 384 bytes.
pub mod rename {
    /// The disk's path, `char[128]`.
    pub const PATH: u64 = 0;
    /// Its persistent name, `char[128]`.
    pub const OLD: u64 = 128;
    /// The name it gets, `char[128]`.
    pub const NEW: u64 = 256;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 384;
}

/// `COMMIT_DB_FAILURE_STATS`, 152 bytes.
pub mod failed_commit {
    /// Id of the block, u64.
    pub const TRANSACTION: u64 = 128;
    /// Flags, u64.
    pub const FLAGS: u64 = 136;
    /// The agent's number for what has failed, u64.
    pub const ERROR: u64 = 144;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 152;
    /// The network failed.
    pub const FLAG_NETWORK: u64 = 1;
}

/// `replication_state_t`, 152 bytes.
pub mod replication_state {
    /// Flags, u64.
    pub const FLAGS: u64 = 128;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 152;
    /// The agent slows down.
    pub const FLAG_THROTTLED: u64 = 1;
}

/// `GET_DISK_STATE_*` and `SET_DRAIN_STATE_*`: a header, persistent names, and behind them the answer.
pub mod drain_state {
    /// Bytes before the names that are asked: their number, u64.
    pub const GET_HEADER: u64 = 8;
    /// Bytes before the names that are let go: flags, u64, and their number, u64.
    pub const SET_HEADER: u64 = 16;
    /// Bytes of a disk's state: its name, a u64 that means nothing, flags, u64.
    pub const STATE_BYTES: u64 = 144;
    /// Bytes of a disk's outcome: its name, flags, u64, outcome, u32, and an error, u64.
    pub const STATUS_BYTES: u64 = 152;
    /// The disk may be drained.
    pub const FLAG_ALLOWED: u64 = 1;
    /// It may not.
    pub const FLAG_BLOCKED: u64 = 2;
    /// Outcome: it may be drained.
    pub const VALUE_DONE: u32 = 0;
    /// Outcome: it is not filtered.
    pub const VALUE_NOT_FOUND: u32 = 1;
}

/// Length of a tag's GUID, which has no NUL.
pub const TAG_GUID_BYTES: usize = 36;

/// `volume_info_t`, 264 bytes: a block device and what has become of it.
pub mod volume_info {
    /// Flags, i32.
    pub const FLAGS: u64 = 0;
    /// What has become of it, i32.
    pub const STATUS: u64 = 4;
    /// Its path, `char[256]`.
    pub const NAME: u64 = 8;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 264;
    /// Of an io-barrier tag: the disk's tag is held until it is committed.
    pub const FLAG_HELD: u32 = 1;
    /// Frozen, thawed, or tagged.
    pub const VALUE_DONE: u32 = 0;
    /// It was not.
    pub const VALUE_FAILED: u32 = 1;
    /// The disk is not filtered.
    pub const VALUE_NOT_PROTECTED: u32 = 2;
    /// A tag was placed on a disk that delivers extents without data.
    pub const VALUE_METADATA: u32 = 4;
}

/// `freeze_info_t` and `thaw_info_t`, 56 bytes.
pub mod freeze {
    /// Number of volumes, i32.
    pub const VOLUMES: u64 = 0;
    /// How long at most, in milliseconds, i32; of a freeze only.
    pub const TIMEOUT: u64 = 4;
    /// Pointer to so many [`super::volume_info`], u64.
    pub const LIST: u64 = 8;
    /// Name of the consistency point, `char[36]`.
    pub const GUID: u64 = 16;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 56;
    /// Longest timeout at first: `FsFreezeTimeout`.
    pub const MAX_TIMEOUT: u32 = 60_000;
}

/// `tag_info_t_v2`, 72 bytes.
pub mod tag_info {
    /// Flags, i32.
    pub const FLAGS: u64 = 0;
    /// Number of volumes, i32.
    pub const VOLUMES: u64 = 4;
    /// Number of tags, i32.
    pub const TAGS: u64 = 8;
    /// How long the tags may be held, in milliseconds, i32.
    pub const TIMEOUT: u64 = 12;
    /// Name of the consistency point, `char[36]`.
    pub const GUID: u64 = 16;
    /// Pointer to so many [`super::volume_info`], u64.
    pub const LIST: u64 = 56;
    /// Pointer to so many names: a length, u16, and `char[256]`.
    pub const NAMES: u64 = 64;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 72;
    /// Bytes of a name: `tag_names_t`.
    pub const NAME_BYTES: usize = 258;
    /// All disks or none.
    pub const FLAG_ATOMIC: u32 = 1;
    /// File systems are meant to be consistent; says nothing to this driver.
    pub const FLAG_FILE_SYSTEMS: u32 = 2;
    /// All filtered disks, while their writes are held.
    pub const FLAG_ALL: u32 = 4;
    /// Longest timeout at first: `VacpAppTagCommitTimeout`.
    pub const MAX_TIMEOUT: u32 = 60_000;
}

/// `flt_barrier_create_t`, 44 bytes, `flt_barrier_remove_t` and `flt_tag_commit_t`, 40 bytes.
pub mod barrier {
    /// Name of the consistency point, `char[36]`.
    pub const GUID: u64 = 0;
    /// How long at most, in milliseconds, i32.
    pub const TIMEOUT: u64 = 36;
    /// Bytes of what makes a barrier.
    pub const CREATE_BYTES: usize = 44;
    /// Flags of what removes it, or commits tags, i32.
    pub const FLAGS: u64 = 36;
    /// Bytes of those.
    pub const BYTES: usize = 40;
    /// Longest timeout at first: `VacpIObarrierTimeout`.
    pub const MAX_TIMEOUT: u32 = 300;
    /// Tags are revoked.
    pub const VALUE_REVOKE: u32 = 0;
    /// They are committed.
    pub const VALUE_COMMIT: u32 = 1;
}

/// `TAG_COMMIT_NOTIFY_INPUT`: a header and persistent names; behind them `TAG_COMMIT_NOTIFY_OUTPUT`.
pub mod tag_notify {
    /// Name of the tags, `char[36]`, here and in the answer.
    pub const GUID: u64 = 0;
    /// Flags, u64, here and in the answer.
    pub const FLAGS: u64 = 40;
    /// Number of names, u64.
    pub const DISKS: u64 = 48;
    /// Bytes before the names.
    pub const HEADER: u64 = 56;
    /// A disk is not drained any further once its tag is.
    pub const FLAG_BLOCK: u64 = 1;
    /// In the answer: the session of all disks, [`super::churn_all`], without its disks.
    pub const ALL_DISKS: u64 = 48;
    /// In the answer: number of disks, u64.
    pub const ANSWER_DISKS: u64 = 784;
    /// Bytes of the answer before its disks.
    pub const ANSWER_HEADER: u64 = 792;
    /// Bytes of a disk of the answer: `TAG_COMMIT_STATUS`, which begins with its persistent name.
    pub const STATUS_BYTES: u64 = 584;
    /// In a disk of the answer: what has become of its tag, u32.
    pub const TAG_STATUS: u64 = 132;
    /// In a disk of the answer: time of the tag, u64.
    pub const TIME: u64 = 136;
    /// In a disk of the answer: sequence of the tag, u64.
    pub const SEQUENCE: u64 = 144;
    /// In a disk of the answer: its session, [`super::churn_disk`].
    pub const CHURN: u64 = 152;
    /// The request was understood, and the tag has not come.
    pub const VALUE_VERIFIED: u32 = 1;
    /// The tag came, and not for this disk.
    pub const VALUE_NOT_RECEIVED: u32 = 2;
    /// It waits.
    pub const VALUE_INSERTED: u32 = 3;
    /// The disk could not take it.
    pub const VALUE_NOT_INSERTED: u32 = 4;
    /// It was taken back, or is gone with the disk's changes.
    pub const VALUE_DROPPED: u32 = 5;
    /// It was delivered, and that was committed.
    pub const VALUE_COMMITTED: u32 = 6;
    /// The disk is not filtered any longer.
    pub const VALUE_UNKNOWN: u32 = 7;
}

/// `GET_CXFAILURE_NOTIFY`: a header and persistent names; behind them [`churn_all`] and one [`churn_disk`] for each disk.
pub mod churn_notify {
    /// Flags, u64.
    pub const FLAGS: u64 = 0;
    /// What is acknowledged, u64.
    pub const TRANSACTION: u64 = 8;
    /// Tags that fail one after the other before that is told, u64; 0 in this and in the next four: the driver's default.
    pub const TAG_FAILURES: u64 = 16;
    /// Churn of all disks that is supported, in MiB a second, u64.
    pub const ALL_DISKS: u64 = 24;
    /// Churn of a disk that is supported, in MiB a second, u64.
    pub const DISK: u64 = 32;
    /// Jump of the clock forwards that is accepted, in ms, u64.
    pub const FORWARDS: u64 = 40;
    /// Jump of the clock backwards that is accepted, in ms, u64.
    pub const BACKWARDS: u64 = 48;
    /// Disks that the answer has room for, u32.
    pub const ROOM: u64 = 56;
    /// Number of names, u32.
    pub const DISKS: u64 = 60;
    /// Bytes before the names.
    pub const HEADER: u64 = 64;
    /// What was told before is acknowledged.
    pub const FLAG_ACKNOWLEDGE: u64 = 1;
}

/// `VM_CXFAILURE_STATS`: the session of all disks. Times are in 100 ns since 1601.
pub mod churn_all {
    /// Flags, u64.
    pub const FLAGS: u64 = 0;
    /// What acknowledges it, u64.
    pub const TRANSACTION: u64 = 8;
    /// Seconds with 0, 10, ... 100 MiB and more of churn, `u64[11]`.
    pub const CHURN: u64 = 16;
    /// Seconds with so much more than is supported, `u64[11]`.
    pub const EXCESS: u64 = 104;
    /// When it began, u64.
    pub const STARTED: u64 = 192;
    /// When most waited, u64.
    pub const MOST_PENDING_TIME: u64 = 200;
    /// When there was too much churn first, u64.
    pub const FIRST_PEAK: u64 = 208;
    /// When there was too much churn last, u64.
    pub const LAST_PEAK: u64 = 216;
    /// When it ended, u64.
    pub const ENDED: u64 = 224;
    /// Most bytes of churn in a second, u64.
    pub const PEAK: u64 = 232;
    /// Bytes that wait, u64.
    pub const PENDING: u64 = 240;
    /// Most bytes that waited, u64.
    pub const MOST_PENDING: u64 = 248;
    /// Bytes beyond what is supported, u64.
    pub const EXCESS_BYTES: u64 = 256;
    /// When a jump of the clock was seen, u64.
    pub const JUMP_TIME: u64 = 264;
    /// How far it jumped, in ms, u64.
    pub const JUMP: u64 = 272;
    /// Tags that have failed one after the other, u64.
    pub const TAG_FAILURES: u64 = 280;
    /// Longest time from a get to its commit, in ms, u64.
    pub const SLOWEST: u64 = 288;
    /// Number of disks that follow, u32.
    pub const DISKS: u64 = 296;
    /// Bytes before the disks.
    pub const HEADER: u64 = 304;
    /// There was too much churn in a second.
    pub const FLAG_PEAK: u64 = 1;
    /// More waited after a second without too much churn.
    pub const FLAG_SLOW: u64 = 2;
    /// The clock jumped forwards.
    pub const FLAG_FORWARDS: u64 = 4;
    /// The clock jumped backwards.
    pub const FLAG_BACKWARDS: u64 = 8;
}

/// `DEVICE_CXFAILURE_STATS`, 432 bytes: the session of a disk. Times are in 100 ns since 1601, but for its start and its end,
/// which are since 1970.
pub mod churn_disk {
    /// Its persistent name, `char[128]`.
    pub const NAME: u64 = 0;
    /// Flags, u64.
    pub const FLAGS: u64 = 128;
    /// Seconds with 0, 5, ... 50 MiB and more of churn, `u64[11]`.
    pub const CHURN: u64 = 136;
    /// Seconds with so much more than is supported, `u64[11]`.
    pub const EXCESS: u64 = 224;
    /// When it began, u64.
    pub const STARTED: u64 = 312;
    /// When most waited, u64.
    pub const MOST_PENDING_TIME: u64 = 320;
    /// When the network failed first, u64.
    pub const FIRST_FAILURE: u64 = 328;
    /// When it failed last, u64.
    pub const LAST_FAILURE: u64 = 336;
    /// When there was too much churn first, u64.
    pub const FIRST_PEAK: u64 = 344;
    /// When there was too much churn last, u64.
    pub const LAST_PEAK: u64 = 352;
    /// When it ended, u64.
    pub const ENDED: u64 = 360;
    /// The agent's number for the last failure of the network, u64.
    pub const LAST_ERROR: u64 = 368;
    /// Most bytes of churn in a second, u64.
    pub const PEAK: u64 = 376;
    /// Bytes that wait, u64.
    pub const PENDING: u64 = 384;
    /// Most bytes that waited, u64.
    pub const MOST_PENDING: u64 = 392;
    /// Failures of the network, u64.
    pub const FAILURES: u64 = 400;
    /// Tags that have failed one after the other, u64.
    pub const TAG_FAILURES: u64 = 408;
    /// Bytes beyond what is supported, u64.
    pub const EXCESS_BYTES: u64 = 416;
    /// Longest time from a get to its commit, in ms, u64.
    pub const SLOWEST: u64 = 424;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 432;
    /// The network failed.
    pub const FLAG_NETWORK: u64 = 1;
    /// There was too much churn in a second.
    pub const FLAG_PEAK: u64 = 2;
    /// More waited after a second without too much churn.
    pub const FLAG_SLOW: u64 = 4;
    /// The disk was named, and is not filtered.
    pub const FLAG_NOT_FILTERED: u64 = 0x20;
    /// The disk had a session, and is not filtered any longer.
    pub const FLAG_REMOVED: u64 = 0x40;
}

/// 1 January 1601 to 1 January 1970, in 100 ns.
pub const EPOCH_1601: u64 = 116_444_736_000_000_000;

/// `VOLUME_FLAGS_INPUT`, 136 bytes.
pub mod volume_flags {
    /// [`VALUE_SET`] or [`VALUE_RESET`], u32.
    pub const OPERATION: u64 = 128;
    /// Flags, u32.
    pub const FLAGS: u64 = 132;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 136;
    /// The disk is to be read only; nothing enforces it.
    pub const FLAG_READ_ONLY: u32 = 2;
    /// The flags are set.
    pub const VALUE_SET: u32 = 1;
    /// They are reset.
    pub const VALUE_RESET: u32 = 2;
}

/// `TELEMETRY_VOL_STATS`, 400 bytes: what is told of it.
pub mod stats_v2 {
    /// Version of the structure, u16.
    pub const MAJOR: u64 = 0;
    /// Volumes that are told of, u64.
    pub const RETURNED: u64 = 8;
    /// Filtered disks, u64.
    pub const TOTAL: u64 = 32;
    /// Filtered disks, u16.
    pub const PROTECTED: u64 = 40;
    /// Whether the agent's service is there, u32.
    pub const SERVICE: u64 = 44;
    /// [`VALUE_NO_REBOOT`], u32.
    pub const MODE: u64 = 48;
    /// The disk's path, `char[128]`.
    pub const GUID: u64 = 104;
    /// When the driver was loaded, u64; as all times here in 100 ns since 1601, 0 where it has not come.
    pub const LOADED: u64 = 240;
    /// What the clock should have said when it jumped last, u64.
    pub const JUMP_EXPECTED: u64 = 248;
    /// What it said, u64.
    pub const JUMP_FOUND: u64 = 256;
    /// When the last drainer came, u64.
    pub const DRAINER_CAME: u64 = 264;
    /// When the last drainer went, u64.
    pub const DRAINER_WENT: u64 = 272;
    /// When the agent's service came, u64.
    pub const SERVICE_CAME: u64 = 280;
    /// When it went, u64.
    pub const SERVICE_WENT: u64 = 288;
    /// When somebody asked for tags, u64.
    pub const TAGGED: u64 = 296;
    /// Bytes that were tracked since it was started, u64.
    pub const TRACKED: u64 = 312;
    /// Size in bytes, u64.
    pub const SIZE: u64 = 320;
    /// Flags, u64.
    pub const FLAGS: u64 = 328;
    /// When there was memory for the disk, u64.
    pub const CREATED: u64 = 336;
    /// When it was filtered, u64.
    pub const STARTED: u64 = 344;
    /// When an agent asked for that last, u64.
    pub const ASKED: u64 = 352;
    /// When its changes were forgotten, u64.
    pub const CLEARED: u64 = 376;
    /// When a block was committed, u64.
    pub const COMMITTED: u64 = 384;
    /// When a block was given, u64.
    pub const GOT: u64 = 392;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 400;
    /// The version.
    pub const VALUE_MAJOR: u16 = 3;
    /// Disks are filtered without a boot.
    pub const VALUE_NO_REBOOT: u32 = 1;
}

/// `lcw_op_t`, 132 bytes.
pub mod last_writes {
    /// [`VALUE_LEARN`] to [`VALUE_LEARN_FILE`], u32.
    pub const OPERATION: u64 = 0;
    /// A disk's path, or a file's, `char[128]`.
    pub const NAME: u64 = 4;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 132;
    /// Learn where the disk's bitmap file lies.
    pub const VALUE_LEARN: u32 = 1;
    /// Open the disk's bitmap file; between the two: write it past its file system.
    pub const VALUE_OPEN: u32 = 4;
    /// Learn where a file lies.
    pub const VALUE_LEARN_FILE: u32 = 5;
}

/// What has become of a sync tag on a disk, i32 each.
pub mod tag_status {
    /// It waits.
    pub const PENDING: u32 = 1;
    /// It was delivered, and that was committed.
    pub const COMMITTED: u32 = 2;
    /// It has gone with the disk's changes.
    pub const DELETED: u32 = 3;
    /// It was dropped.
    pub const DROPPED: u32 = 4;
    /// The disk could not take it.
    pub const FAILED: u32 = 5;
}

/// `COMMIT_TRANSACTION`, 144 bytes.
pub mod commit {
    /// Id of the block that is committed, u64.
    pub const TRANSACTION: u64 = 128;
    /// Flags, u32.
    pub const FLAGS: u64 = 136;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 144;
    /// The agent has begun the resync that it was told of.
    pub const FLAG_RESYNC_STARTED: u32 = 1;
}

/// `DRIVER_VERSION`, 16 bytes: eight u16.
pub mod version {
    /// Driver 2.3.0x4f.0x3f and product 1.0, private 1, build 5, in the order of the structure.
    pub const WORDS: [u16; 8] = [2, 3, 0x4f, 0x3f, 1, 0, 1, 5];
}

/// `VOLUME_STATS`, 144 bytes.
pub mod volume_stats {
    /// Pointer to the caller's buffer, u64.
    pub const BUFFER: u64 = 128;
    /// Bytes in that buffer, u32.
    pub const BUFFER_BYTES: u64 = 136;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 144;
}

/// `GET_VOLUME_LIST`, 16 bytes.
pub mod volume_list {
    /// Pointer to the caller's buffer, u64.
    pub const BUFFER: u64 = 0;
    /// Bytes in that buffer, u32.
    pub const BUFFER_BYTES: u64 = 8;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 16;
    /// Added to the length that is asked for, so that the caller need not ask twice.
    pub const SLACK: u32 = 40960;
}

/// `UDIRTY_BLOCK_V2`, 8176 bytes.
pub mod dirty_block {
    /// Transaction id, u64.
    pub const TRANSACTION: u64 = 0;
    /// Bytes that the changes cover, u64.
    pub const CHANGED_BYTES: u64 = 8;
    /// Number of changes, u32.
    pub const CHANGES: u64 = 16;
    /// Changes that remain after this block, u32.
    pub const PENDING_CHANGES: u64 = 20;
    /// Bytes that remain after this block, u64.
    pub const PENDING_BYTES: u64 = 24;
    /// Flags, u32.
    pub const FLAGS: u64 = 32;
    /// Part number of a split change, u32: 1 where there is no split.
    pub const SPLIT_SEQUENCE: u64 = 36;
    /// Size of a data buffer, u32.
    pub const BUFFER_BYTES: u64 = 40;
    /// Data pages mapped, u16.
    pub const BUFFERS: u64 = 46;
    /// Length of the data stream, u32.
    pub const STREAM_BYTES: u64 = 48;
    /// Address of the mapped stream, u64.
    pub const BUFFER: u64 = 56;
    /// How often tracking has had a hole, u64.
    pub const RESYNC_COUNT: u64 = 72;
    /// Text of the first hole's reason, `char[128]`.
    pub const RESYNC_TEXT: u64 = 80;
    /// Code of the first hole's reason, u64.
    pub const RESYNC_CODE: u64 = 208;
    /// Time of the first hole, u64.
    pub const RESYNC_TIME: u64 = 216;
    /// Sequence at the end of the block committed last, u64.
    pub const PREVIOUS_SEQUENCE: u64 = 224;
    /// Time at the end of the block committed last, u64.
    pub const PREVIOUS_TIME: u64 = 232;
    /// Split part of the block committed last, u32.
    pub const PREVIOUS_SPLIT: u64 = 240;
    /// Capture state of this block, u32: [`STATE_BITMAP`], [`STATE_METADATA`] or [`STATE_DATA`].
    pub const STATE: u64 = 244;
    /// The list of tags and times.
    pub const TAGS: u64 = 512;
    /// Offsets in bytes, `u64[204]`.
    pub const OFFSETS: u64 = 4096;
    /// Lengths in bytes, `u32[204]`.
    pub const LENGTHS: u64 = 5728;
    /// Times after the first, `u32[204]`.
    pub const TIME_DELTAS: u64 = 6544;
    /// Sequences after the first, `u32[204]`.
    pub const SEQUENCE_DELTAS: u64 = 7360;
    /// Bytes of the whole structure.
    pub const BYTES: usize = 8176;
    /// Room for the text of a resync reason, NUL included.
    pub const RESYNC_TEXT_BYTES: usize = 128;

    /// The first part of a write that is larger than a block.
    pub const FLAG_SPLIT_START: u32 = 1;
    /// A part between the first and the last one.
    pub const FLAG_SPLIT_PART: u32 = 2;
    /// The last part.
    pub const FLAG_SPLIT_END: u32 = 4;
    /// The changes are in the stream that is mapped.
    pub const FLAG_STREAM: u32 = 0x10;
    /// Nothing is pending: the block carries a time and no change.
    pub const FLAG_TIMESTAMP_ONLY: u32 = 0x20;
    /// Tracking has a hole: the disk must be copied anew.
    pub const FLAG_RESYNC_REQUIRED: u32 = 0x8000_0000;
    /// Capture state: dirty bits only.
    pub const STATE_BITMAP: u32 = 1;
    /// Capture state: extents.
    pub const STATE_METADATA: u32 = 2;
    /// Capture state: data, in write order.
    pub const STATE_DATA: u32 = 3;

    /// Tag record types (u16, then flags u8, then length u8).
    pub mod tag {
        /// Start of the list.
        pub const START: u16 = 1;
        /// End of the list.
        pub const END: u16 = 2;
        /// A time and a sequence.
        pub const TIME: u16 = 3;
        /// Where the changes come from.
        pub const DATA_SOURCE: u16 = 4;
        /// A tag that somebody asked for.
        pub const USER: u16 = 5;
        /// Flag of a record: its length is a u32 behind the first four bytes.
        pub const FLAG_LONG: u8 = 1;
        /// Filler.
        pub const PADDING: u16 = 6;
        /// [`DATA_SOURCE`] of a block that has data, or tags among data.
        pub const SOURCE_DATA: u32 = 3;
        /// [`DATA_SOURCE`] of a block that has extents only.
        pub const SOURCE_METADATA: u32 = 2;
        /// [`DATA_SOURCE`] of a block without changes.
        pub const SOURCE_NONE: u32 = 0;
    }
}

/// What the records of a stream of changes, or of tags, begin with: four letters, as a u32.
pub mod svd {
    /// The stream's numbers are little-endian; the record is no longer than this word.
    pub const ORDER: u32 = u32::from_le_bytes(*b"DRTL");
    /// A header of 128 bytes that say nothing.
    pub const HEADER: u32 = u32::from_le_bytes(*b"SVD1");
    /// Stamp of the first change.
    pub const FIRST_TIME: u32 = u32::from_le_bytes(*b"TFV2");
    /// How many bytes of changes follow.
    pub const CONTENT: u32 = u32::from_le_bytes(*b"LODC");
    /// A change with its data.
    pub const CHANGE: u32 = u32::from_le_bytes(*b"DDV2");
    /// A tag.
    pub const USER: u32 = u32::from_le_bytes(*b"USER");
    /// Stamp of the last change, which ends the stream.
    pub const LAST_TIME: u32 = u32::from_le_bytes(*b"TLV2");
}

/// Reasons for a resync, as the block carries them.
pub mod resync_code {
    /// A change could not be noted for want of memory.
    pub const NO_MEMORY: u32 = 0x0f;
    /// A write past the known end of the disk.
    pub const OUT_OF_RANGE: u32 = 0x07;
    /// What the text says.
    pub const SEE_TEXT: u32 = 0x08;
    /// The bitmap file cannot be read.
    pub const BITMAP_READ: u32 = 0x02;
    /// A new source path.
    pub const NEW_PATH: u32 = 0x10;
    /// An unclean shutdown.
    pub const UNCLEAN: u32 = 0x11;
    /// The disk was filtered too late.
    pub const UNWATCHED: u32 = 0x18;
    /// An operation that the driver cannot decode.
    pub const UNSUPPORTED: u32 = 0x19;
}
