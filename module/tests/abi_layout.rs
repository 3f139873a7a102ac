// SPDX-License-Identifier: GPL-2.0-only
//! The driver's ABI constants against the layout that was measured with a C compiler (`data/abi-layout.json`).

use involflt::abi::{self, attribute, commit, dev_info, dirty_block, request, volume_list, volume_stats};
use serde_json::Value;

fn layout() -> Value {
    serde_json::from_str(include_str!("data/abi-layout.json")).expect("the layout is JSON")
}

#[track_caller]
fn is_request(name: &str, word: u32) {
    let layout = layout();
    let all = layout["ioctls"].as_array().expect("a list of ioctls");
    let measured = all.iter().find(|ioctl| ioctl["name"] == name).unwrap_or_else(|| panic!("no ioctl {name}"));
    assert_eq!(measured["request"], format!("{word:#010x}"), "{name}");
}

/// A structure of the measured layout.
struct Struct(Value);

impl Struct {
    fn new(name: &str) -> Self {
        let found = layout()["structs"][name].clone();
        assert!(found.is_object(), "no struct {name}");
        Struct(found)
    }

    #[track_caller]
    fn size(&self, bytes: usize) -> &Self {
        assert_eq!(self.0["size"], bytes);
        self
    }

    #[track_caller]
    fn field(&self, name: &str, offset: u64, bytes: usize) -> &Self {
        let fields = self.0["fields"].as_array().expect("a list of fields");
        let field = fields.iter().find(|field| field["field"] == name).unwrap_or_else(|| panic!("no field {name}"));
        assert_eq!((&field["offset"], &field["size"]), (&Value::from(offset), &Value::from(bytes)), "{name}");
        self
    }
}

#[test]
fn request_words_are_those_of_the_headers() {
    is_request("STOP_FILTERING_DEVICE", request::STOP_FILTERING_DEVICE);
    is_request("COMMIT_DIRTY_BLOCKS_TRANS", request::COMMIT_DIRTY_BLOCKS_TRANS);
    is_request("PROCESS_START_NOTIFY", request::PROCESS_START_NOTIFY);
    is_request("SERVICE_SHUTDOWN_NOTIFY", request::SERVICE_SHUTDOWN_NOTIFY);
    is_request("GET_SET_ATTR", request::GET_SET_ATTR);
    is_request("UNSTACK_ALL", request::UNSTACK_ALL);
    is_request("GET_DRIVER_VERSION", request::GET_DRIVER_VERSION);
    is_request("GET_VOLUME_STATS", request::GET_VOLUME_STATS);
    is_request("GET_PROTECTED_VOLUME_LIST", request::GET_PROTECTED_VOLUME_LIST);
    is_request("START_FILTERING_DEVICE_V2", request::START_FILTERING_DEVICE_V2);
    is_request("GET_DIRTY_BLOCKS_TRANS_V2", request::GET_DIRTY_BLOCKS_TRANS_V2);
}

#[test]
fn small_structures_stand_as_measured() {
    Struct::new("VOLUME_GUID").size(abi::GUID_BYTES);
    Struct::new("DRIVER_VERSION").size(2 * abi::version::WORDS.len());
    Struct::new("inm_dev_info_t")
        .size(dev_info::BYTES)
        .field("d_type", dev_info::TYPE, 4)
        .field("d_guid", dev_info::GUID, 256)
        .field("d_nblks", dev_info::BLOCKS, 8)
        .field("d_bsize", dev_info::BLOCK_BYTES, 4)
        .field("d_pname", dev_info::PNAME, abi::PNAME_BYTES);
    Struct::new("COMMIT_TRANSACTION")
        .size(commit::BYTES)
        .field("VolumeGUID", 0, abi::GUID_BYTES)
        .field("ulTransactionID", commit::TRANSACTION, 8)
        .field("ulFlags", commit::FLAGS, 4);
    Struct::new("VOLUME_STATS").size(volume_stats::BYTES).field("bufp", volume_stats::BUFFER, 8).field(
        "buf_len",
        volume_stats::BUFFER_BYTES,
        4,
    );
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
fn the_dirty_block_stands_as_measured() {
    let changes = 204;
    Struct::new("UDIRTY_BLOCK_V2")
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
        .field("uTagList.TagList.TagStartOfList.usStreamRecType", dirty_block::TAGS, 2)
        .field("ChangeOffsetArray", dirty_block::OFFSETS, 8 * changes)
        .field("ChangeLengthArray", dirty_block::LENGTHS, 4 * changes)
        .field("TimeDeltaArray", dirty_block::TIME_DELTAS, 4 * changes)
        .field("SequenceNumberDeltaArray", dirty_block::SEQUENCE_DELTAS, 4 * changes);
    assert!(abi::MAX_CHANGES <= changes);
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
    for module in ["request", "dev_info", "attribute", "commit", "volume_stats", "volume_list", "dirty_block"] {
        // Values of fields are not places; the layout has none of them.
        let outer = body(module).split("    pub mod ").next().unwrap_or_default();
        for line in outer.lines().filter_map(|line| line.trim().strip_prefix("pub const ")) {
            let name = line.split(':').next().unwrap_or_default();
            let value = ["FLAG_", "STATE_", "HOST_", "VALUE_", "SLACK"].iter().any(|start| name.starts_with(start));
            assert!(value || tests.contains(&format!("{module}::{name}")), "{module}::{name} is not measured");
        }
    }
}
