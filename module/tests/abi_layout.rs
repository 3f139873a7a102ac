// SPDX-License-Identifier: GPL-2.0-only
//! The driver's ABI constants against the layout that was measured with a C compiler (`data/abi-layout.json`).

use involflt::abi::{
    self, additional_stats, attribute, barrier, bitmap_stats, blk_mq, churn_all, churn_disk, churn_notify, commit,
    dev_info, dirty_block, drain_state, failed_commit, freeze, last_writes, latency_stats, monitoring, name_map,
    rename, replication_state, resync_edge, stats_v2, tag_info, tag_notify, threshold, volume_flags, volume_info,
    volume_list, volume_stats, wait,
};
use serde_json::Value;
use std::collections::BTreeMap;

fn layout() -> Value {
    serde_json::from_str(include_str!("data/abi-layout.json")).expect("the layout is JSON")
}

/// A structure of the measured layout. Each of its fields must be named before it is dropped.
struct Struct {
    name: &'static str,
    size: u64,
    /// Offset and size of those that nobody has named yet.
    fields: BTreeMap<String, (u64, u64)>,
}

impl Struct {
    fn new(name: &'static str) -> Self {
        let found = layout()["structs"][name].clone();
        let number = |value: &Value| value.as_u64().expect("a number");
        let fields = found["fields"].as_array().unwrap_or_else(|| panic!("no struct {name}")).iter();
        let fields = fields.map(|field| {
            (field["field"].as_str().expect("a name").to_string(), (number(&field["offset"]), number(&field["size"])))
        });
        Struct { name, size: number(&found["size"]), fields: fields.collect() }
    }

    #[track_caller]
    fn size(self, bytes: usize) -> Self {
        assert_eq!(self.size, bytes as u64, "{}", self.name);
        self
    }

    #[track_caller]
    fn field(mut self, name: &str, offset: u64, bytes: usize) -> Self {
        let found = self.fields.remove(name).unwrap_or_else(|| panic!("{}: no field {name}", self.name));
        assert_eq!(found, (offset, bytes as u64), "{}: {name}", self.name);
        self
    }

    /// Neither read nor written by the driver.
    #[track_caller]
    fn unused(mut self, names: &[&str]) -> Self {
        let found = names.iter().all(|name| self.fields.remove(*name).is_some());
        assert!(found, "{}: not all of these are there: {names:?}", self.name);
        self
    }
}

impl Drop for Struct {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || self.fields.is_empty(), "{}: not measured: {:?}", self.name, self.fields);
    }
}

#[test]
fn every_structure_is_measured() {
    let layout = layout();
    let structs = layout["structs"].as_object().expect("structures by name");
    let source = include_str!("abi_layout.rs");
    for name in structs.keys() {
        assert!(source.contains(&format!("Struct::new(\"{name}\")")), "{name} is not measured");
    }
    let fields: usize = structs.values().filter_map(|found| found["fields"].as_array()).map(Vec::len).sum();
    assert_eq!((layout["ioctls"].as_array().map(Vec::len), structs.len(), fields), (Some(70), 43, 290));
}

#[test]
fn request_words_are_those_of_the_headers() {
    let source = include_str!("../src/abi/mod.rs");
    let source = source.split("\n}\n").next().expect("the module of requests is the first");
    let constants = source.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split_once(": u32 = "));
    let ours: Vec<_> =
        constants.map(|(name, word)| (name.to_string(), word.trim_end_matches(';').replace('_', ""))).collect();
    let layout = layout();
    let all = layout["ioctls"].as_array().expect("a list of ioctls");
    let text = |value: &Value| value.as_str().expect("a text").to_string();
    let measured: Vec<_> = all.iter().map(|ioctl| (text(&ioctl["name"]), text(&ioctl["request"]))).collect();
    assert_eq!(ours, measured);
}

#[test]
fn small_structures_stand_as_measured() {
    Struct::new("VOLUME_GUID").size(abi::GUID_BYTES).field("volume_guid", 0, abi::GUID_BYTES);
    let words = [
        "ulDrMajorVersion",
        "ulDrMinorVersion",
        "ulDrMinorVersion2",
        "ulDrMinorVersion3",
        "ulPrMajorVersion",
        "ulPrMinorVersion",
        "ulPrMinorVersion2",
        "ulPrBuildNumber",
    ];
    let version = Struct::new("DRIVER_VERSION").size(2 * abi::version::WORDS.len());
    words.iter().zip(0..).fold(version, |version, (word, index)| version.field(word, 2 * index, 2));
    Struct::new("PROCESS_START_NOTIFY_INPUT").size(4).unused(&["ulFlags"]);
    Struct::new("SHUTDOWN_NOTIFY_INPUT").size(4).unused(&["ulFlags"]);
    Struct::new("inm_dev_info_compat_t")
        .size(dev_info::PNAME as usize)
        .field("d_type", dev_info::TYPE, 4)
        .field("d_guid", dev_info::GUID, 256)
        .field("d_nblks", dev_info::BLOCKS, 8)
        .field("d_bsize", dev_info::BLOCK_BYTES, 4)
        .unused(&["d_mnt_pt", "d_flags"]);
    Struct::new("inm_dev_info_t")
        .size(dev_info::BYTES)
        .field("d_type", dev_info::TYPE, 4)
        .field("d_guid", dev_info::GUID, 256)
        .field("d_nblks", dev_info::BLOCKS, 8)
        .field("d_bsize", dev_info::BLOCK_BYTES, 4)
        .field("d_pname", dev_info::PNAME, abi::PNAME_BYTES)
        .unused(&["d_mnt_pt", "d_flags"]);
    Struct::new("WAIT_FOR_DB_NOTIFY").size(wait::BYTES).field("VolumeGUID", 0, abi::GUID_BYTES).field(
        "Seconds",
        wait::SECONDS,
        4,
    );
    Struct::new("COMMIT_TRANSACTION")
        .size(commit::BYTES)
        .field("VolumeGUID", 0, abi::GUID_BYTES)
        .field("ulTransactionID", commit::TRANSACTION, 8)
        .field("ulFlags", commit::FLAGS, 4);
    Struct::new("get_db_thres_t").size(threshold::BYTES).field("VolumeGUID", 0, abi::GUID_BYTES).field(
        "threshold",
        threshold::THRESHOLD,
        4,
    );
    // The C driver has a u64 for the sequence, where the header has half of one and what is reserved.
    for edge in [Struct::new("RESYNC_START"), Struct::new("RESYNC_END")] {
        edge.size(resync_edge::BYTES)
            .field("VolumeGUID", 0, abi::GUID_BYTES)
            .field("TimeInHundNanoSecondsFromJan1601", resync_edge::TIME, 8)
            .field("ulSequenceNumber", resync_edge::SEQUENCE, 4)
            .field("ulReserved", resync_edge::SEQUENCE + 4, 4);
    }
    Struct::new("VOLUME_STATS_ADDITIONAL_INFO")
        .size(additional_stats::BYTES)
        .field("VolumeGuid.volume_guid", 0, abi::GUID_BYTES)
        .field("ullTotalChangesPending", additional_stats::PENDING, 8)
        .field("ullOldestChangeTimeStamp", additional_stats::OLDEST, 8)
        .field("ullDriverCurrentTimeStamp", additional_stats::NOW, 8);
    Struct::new("VOLUME_BMAP_STATS")
        .size(bitmap_stats::BYTES)
        .field("VolumeGuid.volume_guid", 0, abi::GUID_BYTES)
        .field("bmap_gran", bitmap_stats::GRANULARITY, 8)
        .field("bmap_data_sz", bitmap_stats::BYTES_DIRTY, 8)
        .field("nr_dbs", bitmap_stats::BLOCKS, 4);
    Struct::new("MONITORING_STATS")
        .size(monitoring::BYTES)
        .field("VolumeGuid.volume_guid", 0, abi::GUID_BYTES)
        .field("ReqStat", monitoring::WHAT, 4)
        .field("TagStats.TagsDropped", monitoring::ANSWER, 8)
        .field("ChurnStats.NumCommitedChangesInBytes", monitoring::ANSWER, 8);
    Struct::new("BLK_MQ_STATUS").size(blk_mq::BYTES).field("VolumeGuid.volume_guid", 0, abi::GUID_BYTES).field(
        "blk_mq_enabled",
        blk_mq::ANSWER,
        4,
    );
    Struct::new("vol_name_map_t")
        .size(name_map::BYTES)
        .field("vnm_flags", name_map::FLAGS, 4)
        .field("vnm_request", name_map::REQUEST, abi::PNAME_BYTES)
        .field("vnm_response", name_map::RESPONSE, abi::PNAME_BYTES);
    Struct::new("MODIFY_PERSISTENT_DEVICE_NAME_INPUT")
        .size(rename::BYTES)
        .field("DevName.volume_guid", rename::PATH, abi::GUID_BYTES)
        .field("OldPName.volume_guid", rename::OLD, abi::GUID_BYTES)
        .field("NewPName.volume_guid", rename::NEW, abi::GUID_BYTES);
    Struct::new("COMMIT_DB_FAILURE_STATS")
        .size(failed_commit::BYTES)
        .field("DeviceID.volume_guid", 0, abi::GUID_BYTES)
        .field("ulTransactionID", failed_commit::TRANSACTION, 8)
        .field("ullFlags", failed_commit::FLAGS, 8)
        .field("ullErrorCode", failed_commit::ERROR, 8);
    Struct::new("replication_state_t")
        .size(replication_state::BYTES)
        .field("DeviceId.volume_guid", 0, abi::GUID_BYTES)
        .field("ulFlags", replication_state::FLAGS, 8)
        .unused(&["Timestamp", "Data"]);
    Struct::new("GET_DISK_STATE_INPUT").field("ulNumDisks", drain_state::GET_HEADER - 8, 8).field(
        "DeviceId",
        drain_state::GET_HEADER,
        abi::GUID_BYTES,
    );
    Struct::new("GET_DISK_STATE_OUTPUT")
        .field("diskState", 16, drain_state::STATE_BYTES as usize)
        .field("ulNumDisks", 8, 8)
        .unused(&["ulSupportedFlags"]);
    Struct::new("SET_DRAIN_STATE_INPUT")
        .field("ulNumDisks", drain_state::SET_HEADER - 8, 8)
        .field("DeviceId", drain_state::SET_HEADER, abi::GUID_BYTES)
        .unused(&["ulFlags"]);
    Struct::new("SET_DRAIN_STATE_OUTPUT")
        .field("diskStatus", 16, drain_state::STATUS_BYTES as usize)
        .field("ulNumDisks", 8, 8)
        .unused(&["ulFlags"]);
    Struct::new("VOLUME_STATS")
        .size(volume_stats::BYTES)
        .field("guid.volume_guid", 0, abi::GUID_BYTES)
        .field("bufp", volume_stats::BUFFER, 8)
        .field("buf_len", volume_stats::BUFFER_BYTES, 4);
    Struct::new("inm_attribute_t")
        .size(attribute::BYTES)
        .field("type", attribute::INDEX, 4)
        .field("why", attribute::WHY, 4)
        .field("guid.volume_guid", attribute::GUID, abi::GUID_BYTES)
        .field("bufp", attribute::BUFFER, 8)
        .field("buflen", attribute::BUFFER_BYTES, 4);
    Struct::new("GET_VOLUME_LIST").size(volume_list::BYTES).field("bufp", volume_list::BUFFER, 8).field(
        "buf_len",
        volume_list::BUFFER_BYTES,
        4,
    );
}

#[test]
fn latencies_stand_as_measured() {
    let groups = [
        ("s2dbret", latency_stats::RETURN),
        ("s2dbwait_notify", latency_stats::WAIT),
        ("s2dbcommit", latency_stats::COMMIT),
    ];
    let whole = Struct::new("VOLUME_LATENCY_STATS").size(latency_stats::BYTES);
    let whole = whole.field("VolumeGuid.volume_guid", 0, abi::GUID_BYTES);
    groups.into_iter().fold(whole, |whole, (group, start)| {
        whole
            .field(&format!("{group}_bkts"), start + latency_stats::BUCKETS, 96)
            .field(&format!("{group}_freq"), start + latency_stats::COUNTS, 48)
            .field(&format!("{group}_nr_avail_bkts"), start + latency_stats::AVAILABLE, 4)
            .field(&format!("{group}_log_buf"), start + latency_stats::LAST, 96)
            .field(&format!("{group}_log_min"), start + latency_stats::SHORTEST, 8)
            .field(&format!("{group}_log_max"), start + latency_stats::LONGEST, 8)
    });
}

#[test]
fn the_structures_of_tags_stand_as_measured() {
    Struct::new("volume_info_t")
        .size(volume_info::BYTES)
        .field("flags", volume_info::FLAGS, 4)
        .field("status", volume_info::STATUS, 4)
        .field("vol_name", volume_info::NAME, 256);
    Struct::new("freeze_info_t")
        .size(freeze::BYTES)
        .field("nr_vols", freeze::VOLUMES, 4)
        .field("timeout", freeze::TIMEOUT, 4)
        .field("vol_info", freeze::LIST, 8)
        .field("tag_guid", freeze::GUID, abi::TAG_GUID_BYTES);
    Struct::new("thaw_info_t")
        .size(freeze::BYTES)
        .field("nr_vols", freeze::VOLUMES, 4)
        .field("vol_info", freeze::LIST, 8)
        .field("tag_guid", freeze::GUID, abi::TAG_GUID_BYTES);
    Struct::new("tag_info_t_v2")
        .size(tag_info::BYTES)
        .field("flags", tag_info::FLAGS, 4)
        .field("nr_vols", tag_info::VOLUMES, 4)
        .field("nr_tags", tag_info::TAGS, 4)
        .field("timeout", tag_info::TIMEOUT, 4)
        .field("tag_guid", tag_info::GUID, abi::TAG_GUID_BYTES)
        .field("vol_info", tag_info::LIST, 8)
        .field("tag_names", tag_info::NAMES, 8);
    Struct::new("tag_names_t").size(tag_info::NAME_BYTES).field("tag_len", 0, 2).field("tag_name", 2, 256);
    Struct::new("flt_barrier_create_t")
        .size(barrier::CREATE_BYTES)
        .field("fbc_guid", barrier::GUID, abi::TAG_GUID_BYTES)
        .field("fbc_timeout_ms", barrier::TIMEOUT, 4)
        .unused(&["fbc_flags"]);
    Struct::new("TAG_COMMIT_NOTIFY_INPUT")
        .field("TagGUID", tag_notify::GUID, abi::TAG_GUID_BYTES)
        .field("ulFlags", tag_notify::FLAGS, 8)
        .field("ulNumDisks", tag_notify::DISKS, 8)
        .field("DeviceId", tag_notify::HEADER, abi::GUID_BYTES);
    let answer = Struct::new("TAG_COMMIT_NOTIFY_OUTPUT")
        .field("TagGUID", tag_notify::GUID, abi::TAG_GUID_BYTES)
        .field("ulFlags", tag_notify::FLAGS, 8)
        .field("ulNumDisks", tag_notify::ANSWER_DISKS, 8)
        .field("TagStatus", tag_notify::ANSWER_HEADER, tag_notify::STATUS_BYTES as usize);
    churn_of_all(answer, "vmCxStatus.", tag_notify::ALL_DISKS);
    let behind = tag_notify::CHURN as usize + churn_disk::BYTES;
    assert_eq!(behind, tag_notify::STATUS_BYTES as usize, "a disk's churn is the last of its status");
    Struct::new("VOLUME_FLAGS_INPUT")
        .size(volume_flags::BYTES)
        .field("VolumeGUID", 0, abi::GUID_BYTES)
        .field("eOperation", volume_flags::OPERATION, 4)
        .field("ulVolumeFlags", volume_flags::FLAGS, 4);
    Struct::new("TELEMETRY_VOL_STATS")
        .size(stats_v2::BYTES)
        .field("drv_stats.usMajorVersion", stats_v2::MAJOR, 2)
        .field("drv_stats.ulVolumesReturned", stats_v2::RETURNED, 8)
        .field("drv_stats.ulTotalVolumes", stats_v2::TOTAL, 8)
        .field("drv_stats.ulNumProtectedDisk", stats_v2::PROTECTED, 2)
        .field("drv_stats.eServiceState", stats_v2::SERVICE, 4)
        .field("drv_stats.eDiskFilterMode", stats_v2::MODE, 4)
        .field("vol_stats.VolumeGUID", stats_v2::GUID, abi::GUID_BYTES)
        .field("vol_stats.ullTotalTrackedBytes", stats_v2::TRACKED, 8)
        .field("vol_stats.ulVolumeSize.QuadPart", stats_v2::SIZE, 8)
        .field("vol_stats.ulVolumeFlags", stats_v2::FLAGS, 8)
        .field("vol_stats.liDriverLoadTime.QuadPart", stats_v2::LOADED, 8)
        .field("vol_stats.llTimeJumpDetectedTS", stats_v2::JUMP_EXPECTED, 8)
        .field("vol_stats.llTimeJumpedTS", stats_v2::JUMP_FOUND, 8)
        .field("vol_stats.liLastS2StartTime.QuadPart", stats_v2::DRAINER_CAME, 8)
        .field("vol_stats.liLastS2StopTime.QuadPart", stats_v2::DRAINER_WENT, 8)
        .field("vol_stats.liLastAgentStartTime.QuadPart", stats_v2::SERVICE_CAME, 8)
        .field("vol_stats.liLastAgentStopTime.QuadPart", stats_v2::SERVICE_WENT, 8)
        .field("vol_stats.liLastTagReq.QuadPart", stats_v2::TAGGED, 8)
        .field("vol_stats.liVolumeContextCreationTS.QuadPart", stats_v2::CREATED, 8)
        .field("vol_stats.liStartFilteringTimeStamp.QuadPart", stats_v2::STARTED, 8)
        .field("vol_stats.liStartFilteringTimeStampByUser.QuadPart", stats_v2::ASKED, 8)
        .field("vol_stats.liClearDiffsTimeStamp.QuadPart", stats_v2::CLEARED, 8)
        .field("vol_stats.liCommitDBTimeStamp.QuadPart", stats_v2::COMMITTED, 8)
        .field("vol_stats.liGetDBTimeStamp.QuadPart", stats_v2::GOT, 8)
        .unused(&[
            "drv_stats.usMinorVersion",
            "drv_stats.ulNonPagedMemoryLimitInMB",
            "drv_stats.LockedDataBlockCounter",
            "drv_stats.LastShutdownMarker",
            "drv_stats.PersistentRegistryCreated",
            "drv_stats.ulDriverFlags",
            "drv_stats.ulCommonBootCounter",
            "drv_stats.ullDataPoolSizeAllocated",
            "drv_stats.ullPersistedTimeStampAfterBoot",
            "drv_stats.ullPersistedSequenceNumberAfterBoot",
            "vol_stats.ullDataPoolSize",
            "vol_stats.liStopFilteringAllTimeStamp.QuadPart",
            "vol_stats.liStopFilteringTimeStamp.QuadPart",
            "vol_stats.liStopFilteringTimestampByUser.QuadPart",
        ]);
    Struct::new("lcw_op_t").size(last_writes::BYTES).field("lo_op", last_writes::OPERATION, 4).field(
        "lo_name.volume_guid",
        last_writes::NAME,
        abi::GUID_BYTES,
    );
    for (end, prefix) in [(Struct::new("flt_barrier_remove_t"), "fbr"), (Struct::new("flt_tag_commit_t"), "ftc")] {
        end.size(barrier::BYTES).field(&format!("{prefix}_guid"), barrier::GUID, abi::TAG_GUID_BYTES).field(
            &format!("{prefix}_flags"),
            barrier::FLAGS,
            4,
        );
    }
}

/// The session of all disks, at `start` of the structure.
fn churn_of_all(whole: Struct, prefix: &str, start: u64) -> Struct {
    let fields = [
        ("ullFlags", churn_all::FLAGS, 8),
        ("ulTransactionID", churn_all::TRANSACTION, 8),
        ("ChurnBucketsMBps", churn_all::CHURN, 88),
        ("ExcessChurnBucketsMBps", churn_all::EXCESS, 88),
        ("CxStartTS", churn_all::STARTED, 8),
        ("ullMaxChurnThroughputTS", churn_all::MOST_PENDING_TIME, 8),
        ("firstPeakChurnTS", churn_all::FIRST_PEAK, 8),
        ("lastPeakChurnTS", churn_all::LAST_PEAK, 8),
        ("CxEndTS", churn_all::ENDED, 8),
        ("ullMaximumPeakChurnInBytes", churn_all::PEAK, 8),
        ("ullDiffChurnThroughputInBytes", churn_all::PENDING, 8),
        ("ullMaxDiffChurnThroughputInBytes", churn_all::MOST_PENDING, 8),
        ("ullTotalExcessChurnInBytes", churn_all::EXCESS_BYTES, 8),
        ("TimeJumpTS", churn_all::JUMP_TIME, 8),
        ("ullTimeJumpInMS", churn_all::JUMP, 8),
        ("ullNumOfConsecutiveTagFailures", churn_all::TAG_FAILURES, 8),
        ("ullMaxS2LatencyInMS", churn_all::SLOWEST, 8),
        ("ullNumDisks", churn_all::DISKS, 4),
        ("DeviceCxStats", churn_all::HEADER, churn_disk::BYTES),
    ];
    fields
        .into_iter()
        .fold(whole, |whole, (name, offset, bytes)| whole.field(&format!("{prefix}{name}"), start + offset, bytes))
}

#[test]
fn the_structures_of_churn_stand_as_measured() {
    Struct::new("GET_CXFAILURE_NOTIFY")
        .field("ullFlags", churn_notify::FLAGS, 8)
        .field("ulTransactionID", churn_notify::TRANSACTION, 8)
        .field("ullMinConsecutiveTagFailures", churn_notify::TAG_FAILURES, 8)
        .field("ullMaxVMChurnSupportedMBps", churn_notify::ALL_DISKS, 8)
        .field("ullMaxDiskChurnSupportedMBps", churn_notify::DISK, 8)
        .field("ullMaximumTimeJumpFwdAcceptableInMs", churn_notify::FORWARDS, 8)
        .field("ullMaximumTimeJumpBwdAcceptableInMs", churn_notify::BACKWARDS, 8)
        .field("ulNumberOfOutputDisks", churn_notify::ROOM, 4)
        .field("ulNumberOfProtectedDisks", churn_notify::DISKS, 4)
        .field("DeviceIdList", churn_notify::HEADER, abi::GUID_BYTES);
    churn_of_all(Struct::new("VM_CXFAILURE_STATS"), "", 0);
}

#[test]
fn the_dirty_block_stands_as_measured() {
    let changes = 204;
    let block = Struct::new("UDIRTY_BLOCK_V2")
        .size(dirty_block::BYTES)
        .field("uHdr.Hdr.uliTransactionID", dirty_block::TRANSACTION, 8)
        .field("uHdr.Hdr.ulicbChanges", dirty_block::CHANGED_BYTES, 8)
        .field("uHdr.Hdr.cChanges", dirty_block::CHANGES, 4)
        .field("uHdr.Hdr.ulTotalChangesPending", dirty_block::PENDING_CHANGES, 4)
        .field("uHdr.Hdr.ulicbTotalChangesPending", dirty_block::PENDING_BYTES, 8)
        .field("uHdr.Hdr.ulFlags", dirty_block::FLAGS, 4)
        .field("uHdr.Hdr.ulSequenceIDforSplitIO", dirty_block::SPLIT_SEQUENCE, 4)
        .field("uHdr.Hdr.ulBufferSize", dirty_block::BUFFER_BYTES, 4)
        .field("uHdr.Hdr.usNumberOfBuffers", dirty_block::BUFFERS, 2)
        .field("uHdr.Hdr.ulcbChangesInStream", dirty_block::STREAM_BYTES, 4)
        .field("uHdr.Hdr.ppBufferArray", dirty_block::BUFFER, 8)
        .field("uHdr.Hdr.ulOutOfSyncCount", dirty_block::RESYNC_COUNT, 8)
        .field("uHdr.Hdr.ErrorStringForResync", dirty_block::RESYNC_TEXT, dirty_block::RESYNC_TEXT_BYTES)
        .field("uHdr.Hdr.ulOutOfSyncErrorCode", dirty_block::RESYNC_CODE, 8)
        .field("uHdr.Hdr.liOutOfSyncTimeStamp", dirty_block::RESYNC_TIME, 8)
        .field("uHdr.Hdr.ullPrevEndSequenceNumber", dirty_block::PREVIOUS_SEQUENCE, 8)
        .field("uHdr.Hdr.ullPrevEndTimeStamp", dirty_block::PREVIOUS_TIME, 8)
        .field("uHdr.Hdr.ulPrevSequenceIDforSplitIO", dirty_block::PREVIOUS_SPLIT, 4)
        .field("uHdr.Hdr.eWOState", dirty_block::STATE, 4)
        .field("ChangeOffsetArray", dirty_block::OFFSETS, 8 * changes)
        .field("ChangeLengthArray", dirty_block::LENGTHS, 4 * changes)
        .field("TimeDeltaArray", dirty_block::TIME_DELTAS, 4 * changes)
        .field("SequenceNumberDeltaArray", dirty_block::SEQUENCE_DELTAS, 4 * changes)
        .field("uTagList.BufferForTags", dirty_block::TAGS, (dirty_block::OFFSETS - dirty_block::TAGS) as usize)
        .unused(&["uHdr.Hdr.usMaxNumberOfBuffers", "uHdr.Hdr.ulcbBufferArraySize", "uHdr.BufferReservedForHeader"])
        .unused(&["uTagList.DataFile.usLength", "uTagList.DataFile.FileName"]);
    tag_list(block);
    assert!(abi::MAX_CHANGES <= changes);
}

/// The list of tags begins with records at places of their own: `control::drain` writes them there.
fn tag_list(block: Struct) {
    let record = |block: Struct, name: &str, offset| {
        block
            .field(&format!("uTagList.TagList.{name}.usStreamRecType"), dirty_block::TAGS + offset, 2)
            .field(&format!("uTagList.TagList.{name}.ucFlags"), dirty_block::TAGS + offset + 2, 1)
            .field(&format!("uTagList.TagList.{name}.ucLength"), dirty_block::TAGS + offset + 3, 1)
    };
    let time = |block: Struct, name: &str, offset| {
        let block = record(block, &format!("{name}.Header"), offset);
        record(block, &format!("{name}.Reserved"), offset + 4)
            .field(&format!("uTagList.TagList.{name}.ullSequenceNumber"), dirty_block::TAGS + offset + 8, 8)
            .field(
                &format!("uTagList.TagList.{name}.TimeInHundNanoSecondsFromJan1601"),
                dirty_block::TAGS + offset + 16,
                8,
            )
    };
    let block = record(block, "TagStartOfList", 0);
    let block = record(block, "TagPadding", 4);
    let block = time(block, "TagTimeStampOfFirstChange", 8);
    let block = time(block, "TagTimeStampOfLastChange", 32);
    let block = record(block, "TagDataSource.Header", 56);
    let block = block.field("uTagList.TagList.TagDataSource.ulDataSource", dirty_block::TAGS + 60, 4);
    record(block, "TagEndOfList", 64);
}

/// A constant that is added to `abi` and to no list above would go unmeasured.
#[test]
fn every_number_that_can_be_measured_is() {
    let source = include_str!("../src/abi/mod.rs");
    let tests = include_str!("abi_layout.rs");
    let body = |module: &str| {
        let start = source.find(&format!("pub mod {module} {{")).expect("the module is there");
        source[start..].split("\n}\n").next().unwrap_or_default()
    };
    let modules = [
        "dev_info",
        "attribute",
        "commit",
        "volume_stats",
        "volume_list",
        "dirty_block",
        "threshold",
        "resync_edge",
        "additional_stats",
        "bitmap_stats",
        "monitoring",
        "name_map",
        "rename",
        "failed_commit",
        "replication_state",
        "drain_state",
        "churn_notify",
        "churn_all",
        "stats_v2",
        "last_writes",
    ];
    for module in modules {
        // Values of fields are not places; the layout has none of them.
        let outer = body(module).split("    pub mod ").next().unwrap_or_default();
        for line in outer.lines().filter_map(|line| line.trim().strip_prefix("pub const ")) {
            let name = line.split(':').next().unwrap_or_default();
            let value =
                ["FLAG_", "STATE_BITMAP", "STATE_METADATA", "STATE_DATA", "HOST_", "VALUE", "SLACK", "BLOCK_BYTES:"]
                    .iter()
                    .any(|start| line.starts_with(start));
            assert!(value || tests.contains(&format!("{module}::{name}")), "{module}::{name} is not measured");
        }
    }
}
