// SPDX-License-Identifier: GPL-2.0-only
//! Control requests as an agent makes them, well-formed and not, over memory that ends where the test says.

use involflt::abi::{
    self, attribute, commit, dev_info, dirty_block as block, request, version, volume_list, volume_stats, wait,
};
use involflt::control::{ioctl, poll, release, File, Ready};
use involflt::engine::{Registry, Service};
use involflt::host::{Files, Host, OwnMemory};
use involflt::platform::{Errno, Platform, User};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BASE: u64 = OwnMemory::BASE;
/// Room for any structure, and for a reply's buffer behind it.
const MEMORY: usize = 32 << 10;
const BUFFER: u64 = BASE + (16 << 10);
const FILL: u8 = 0xa5;
const DISK: &[u8] = b"sda:8000";

/// An open file of the driver.
struct Agent {
    registry: Arc<Registry<Host>>,
    file: File,
}

impl Agent {
    fn new() -> Self {
        OwnMemory::reset(MEMORY, FILL);
        Agent { registry: Arc::new(Registry::new().unwrap()), file: File::default() }
    }

    fn with_disk() -> Self {
        let mut agent = Agent::new();
        agent.start(DISK).unwrap();
        agent
    }

    /// An agent of a driver that was loaded before there was a root file system.
    fn before_root() -> Self {
        Host::common().begin_before_root();
        Agent::new()
    }

    fn root_is_there(&mut self) {
        put(BASE, &0u32.to_ne_bytes());
        self.call(request::INIT_DRIVER_FULLY, BASE).unwrap();
    }

    fn call(&mut self, word: u32, argument: u64) -> Result<(), Errno> {
        ioctl(&self.registry, &self.file, word, argument).map(drop)
    }

    fn start(&mut self, path: &[u8]) -> Result<(), Errno> {
        put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
        put_name(BASE + dev_info::GUID, 256, path);
        put_name(BASE + dev_info::PNAME, 256, b"name");
        self.call(request::START_FILTERING_DEVICE_V2, BASE)
    }

    fn stop(&mut self, path: &[u8]) -> Result<(), Errno> {
        put_name(BASE, abi::GUID_BYTES, path);
        self.call(request::STOP_FILTERING_DEVICE, BASE)
    }

    fn mark(&self, sector: u64, sectors: u64) {
        self.registry.find(DISK).unwrap().tracker.mark(sector, sectors);
    }

    fn get(&mut self) -> Result<(), Errno> {
        self.call(request::GET_DIRTY_BLOCKS_TRANS_V2, BASE)
    }

    fn commit(&mut self, transaction: u64) -> Result<(), Errno> {
        put(BUFFER + commit::TRANSACTION, &transaction.to_ne_bytes());
        put(BUFFER + commit::FLAGS, &0u32.to_ne_bytes());
        self.call(request::COMMIT_DIRTY_BLOCKS_TRANS, BUFFER)
    }
}

fn put(address: u64, bytes: &[u8]) {
    OwnMemory::write(address, bytes).unwrap();
}

fn put_name(address: u64, room: usize, name: &[u8]) {
    let mut bytes = vec![0; room];
    bytes[..name.len()].copy_from_slice(name);
    put(address, &bytes);
}

fn bytes<const N: usize>(address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    OwnMemory::read(address, &mut bytes).unwrap();
    bytes
}

fn u32_at(address: u64) -> u32 {
    u32::from_ne_bytes(bytes(address))
}

fn u64_at(address: u64) -> u64 {
    u64::from_ne_bytes(bytes(address))
}

fn text_at(address: u64) -> String {
    let all: [u8; 4096] = bytes(address);
    let end = all.iter().position(|&byte| byte == 0).expect("the text ends with a NUL");
    String::from_utf8(all[..end].to_vec()).unwrap()
}

const KNOWN: [(u32, usize); 11] = [
    (request::PROCESS_START_NOTIFY, 4),
    (request::SERVICE_SHUTDOWN_NOTIFY, 4),
    (request::GET_SET_ATTR, attribute::BYTES),
    (request::GET_DRIVER_VERSION, 2 * version::WORDS.len()),
    (request::START_FILTERING_DEVICE_V2, dev_info::BYTES),
    (request::STOP_FILTERING_DEVICE, abi::GUID_BYTES),
    (request::GET_PROTECTED_VOLUME_LIST, volume_list::BYTES),
    (request::GET_VOLUME_STATS, volume_stats::BYTES),
    (request::GET_DIRTY_BLOCKS_TRANS_V2, block::BYTES),
    (request::COMMIT_DIRTY_BLOCKS_TRANS, commit::BYTES),
    (request::UNSTACK_ALL, 0),
];

#[test]
fn the_version_is_eight_words_and_not_a_byte_more() {
    let mut agent = Agent::new();
    agent.call(request::GET_DRIVER_VERSION, BASE).unwrap();
    let words: Vec<u16> = (0..8).map(|index| u16::from_ne_bytes(bytes(BASE + 2 * index))).collect();
    assert_eq!(words, version::WORDS);
    assert_eq!(bytes::<1>(BASE + 16), [FILL]);
}

#[test]
fn a_disk_is_stacked_that_was_filtered_and_not_stopped() {
    let mut agent = Agent::with_disk();
    let stack = |agent: &mut Agent| {
        put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
        put_name(BASE + dev_info::GUID, 256, DISK);
        put_name(BASE + dev_info::PNAME, 256, b"name");
        agent.call(request::VOLUME_STACKING, BASE)
    };
    put_name(BASE, abi::GUID_BYTES, DISK);
    agent.call(request::REMOVE_FILTER_DEVICE, BASE).unwrap();
    assert_eq!(agent.registry.disks().count(), 0);
    stack(&mut agent).unwrap();
    assert_eq!(agent.registry.disks().count(), 1);
    assert_eq!(agent.get(), Err(Errno::INVAL), "the open file is no disk's");
    agent.stop(DISK).unwrap();
    assert_eq!(stack(&mut agent), Err(Errno::INVAL));
}

#[test]
fn a_disk_that_is_stacked_before_the_root_is_there_is_filtered_on_only_if_it_is_known() {
    let agent = Agent::with_disk();
    let stack = |agent: &mut Agent, path: &[u8], name: &[u8]| {
        put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
        put_name(BASE + dev_info::GUID, 256, path);
        put_name(BASE + dev_info::PNAME, 256, name);
        agent.call(request::VOLUME_STACKING, BASE).unwrap();
    };
    agent.registry.stop_all().unwrap();
    let mut agent = Agent::before_root();
    stack(&mut agent, DISK, b"name");
    stack(&mut agent, b"sdb:800", b"other");
    agent.start(b"sdc:800").unwrap();
    assert_eq!(agent.registry.disks().count(), 3);
    agent.root_is_there();
    let paths: Vec<_> = agent.registry.disks().map(|disk| disk.path.as_bytes().to_vec()).collect();
    assert_eq!(paths, [DISK, b"sdc:800"], "one that was asked for stays, too");
    agent.root_is_there();
    assert_eq!(agent.registry.disks().count(), 2, "the second time it means nothing");
}

/// Whoever asks, what the driver says is what it has read from its files.
#[test]
fn tunables_stamps_and_the_shutdown_outlive_the_module() {
    use attribute::common::{CLEAN_SHUTDOWN, HIGH_WATER_RUNNING, LOW_WATER_RUNNING};
    let mut agent = Agent::with_disk();
    let common = attribute::VALUE_COMMON;
    put(BASE, &0u32.to_ne_bytes());
    agent.call(request::SERVICE_SHUTDOWN_NOTIFY, BASE).unwrap();
    assert_eq!(agent.attribute(common, CLEAN_SHUTDOWN, None, 64).unwrap(), "0");
    agent.limit(HIGH_WATER_RUNNING, "12");
    agent.mark(0, 8);
    agent.get().unwrap();
    put(BASE, &0u32.to_ne_bytes());
    agent.call(request::SYS_SHUTDOWN, BASE).unwrap();
    let last = Host::common().clock.last();
    assert_eq!(agent.attribute(common, CLEAN_SHUTDOWN, None, 64).unwrap(), "1");
    // Another thread of this test is another machine, with the same files.
    let files = Files::with(|all| all.clone());
    std::thread::spawn(move || {
        Files::with(|all| *all = files);
        let mut agent = Agent::before_root();
        agent.root_is_there();
        let mut told = |index| agent.attribute(common, index, None, 64).unwrap();
        assert_eq!((told(HIGH_WATER_RUNNING), told(LOW_WATER_RUNNING)), ("12".into(), "16384".into()));
        assert_eq!(told(CLEAN_SHUTDOWN), "1");
        assert!(Host::common().clock.last() >= last);
    })
    .join()
    .unwrap();
}

#[test]
fn a_file_of_the_driver_that_is_no_number_changes_nothing() {
    let file = "/etc/vxagent/involflt/common/DirtyBlockHighWaterMarkServiceRunning";
    for text in ["", "-1", "many", "99999999999999999999999999", "18446744073709551616"] {
        Files::with(|all| all.files.insert(file.into(), text.into()));
        let mut agent = Agent::before_root();
        agent.root_is_there();
        let limit = attribute::common::HIGH_WATER_RUNNING;
        assert_eq!(agent.attribute(attribute::VALUE_COMMON, limit, None, 64).unwrap(), "65536", "{text:?}");
    }
}

#[test]
fn the_shutdown_request_says_where_its_file_cannot_be_written() {
    let mut agent = Agent::new();
    Files::with(|all| all.fault = Some((0, Errno(30))));
    put(BASE, &0u32.to_ne_bytes());
    assert_eq!(agent.call(request::SYS_SHUTDOWN, BASE), Err(Errno::IO));
}

#[test]
fn delivery_that_was_forbidden_is_so_until_it_is_allowed_or_the_disk_is_stopped() {
    let mut agent = Agent::with_disk();
    let blocked = attribute::disk::DRAIN_BLOCKED;
    agent.attribute(DISK, blocked, Some(b"1"), 1).unwrap();
    let mut after = |last: u32| {
        put_name(BASE, abi::GUID_BYTES, DISK);
        agent.call(last, BASE).unwrap();
        agent.start(DISK).unwrap();
        agent.attribute(DISK, blocked, None, 64).unwrap()
    };
    assert_eq!(after(request::REMOVE_FILTER_DEVICE), "1");
    assert_eq!(after(request::STOP_FILTERING_DEVICE), "0");
    agent.attribute(DISK, blocked, Some(b"1"), 1).unwrap();
    agent.attribute(DISK, blocked, Some(b"0"), 1).unwrap();
    put_name(BASE, abi::GUID_BYTES, DISK);
    agent.call(request::REMOVE_FILTER_DEVICE, BASE).unwrap();
    agent.start(DISK).unwrap();
    assert_eq!(agent.attribute(DISK, blocked, None, 64).unwrap(), "0");
}

#[test]
fn a_request_that_is_not_known_is_einval() {
    let mut agent = Agent::with_disk();
    for word in [0, u32::MAX, request::GET_DRIVER_VERSION ^ 0x1_0000, request::UNSTACK_ALL | 0x8000_0000] {
        assert_eq!(agent.call(word, BASE), Err(Errno::INVAL), "{word:#x}");
    }
}

#[test]
fn an_argument_that_is_no_memory_is_efault() {
    for (word, size) in KNOWN.into_iter().filter(|known| known.1 > 0) {
        for address in [0, 1, BASE - 1, BASE + MEMORY as u64, u64::MAX, u64::MAX - size as u64 + 1] {
            let mut agent = Agent::with_disk();
            agent.mark(0, 8);
            let outcome = agent.call(word, address);
            assert_eq!(outcome, Err(Errno::FAULT), "{word:#x} at {address:#x}");
            assert_eq!(agent.registry.disks().count(), 1, "{word:#x} at {address:#x} changed what is filtered");
        }
    }
}

#[test]
fn changes_that_could_not_be_copied_out_are_delivered_again() {
    let mut agent = Agent::with_disk();
    agent.mark(8, 8);
    // The header fits, the list of offsets does not.
    assert_eq!(
        agent.call(request::GET_DIRTY_BLOCKS_TRANS_V2, BASE + MEMORY as u64 - block::OFFSETS),
        Err(Errno::FAULT)
    );
    agent.get().unwrap();
    assert_eq!((u32_at(BASE + block::CHANGES), u64_at(BASE + block::OFFSETS)), (1, 4096));
}

#[test]
fn a_name_without_nul_or_with_nothing_in_it_is_einval() {
    let mut agent = Agent::with_disk();
    put(BASE, &[b'x'; abi::GUID_BYTES]);
    assert_eq!(agent.call(request::STOP_FILTERING_DEVICE, BASE), Err(Errno::INVAL));
    assert_eq!(agent.stop(b""), Err(Errno::INVAL));
    assert_eq!(agent.start(&[b'x'; 256]), Err(Errno::INVAL));
    assert_eq!(agent.start(b""), Err(Errno::INVAL));
    assert_eq!(agent.start(&[b'x'; abi::GUID_BYTES]), Err(Errno::INVAL), "longer than stop could name it");
}

#[test]
fn another_device_type_and_a_slash_in_the_persistent_name_are_einval() {
    let mut agent = Agent::new();
    agent.start(DISK).unwrap();
    agent.stop(DISK).unwrap();
    put_name(BASE + dev_info::GUID, 256, DISK);
    put(BASE + dev_info::TYPE, &3u32.to_ne_bytes());
    assert_eq!(agent.call(request::START_FILTERING_DEVICE_V2, BASE), Err(Errno::INVAL));
    put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
    put_name(BASE + dev_info::PNAME, 256, b"../etc");
    assert_eq!(agent.call(request::START_FILTERING_DEVICE_V2, BASE), Err(Errno::INVAL));
    assert_eq!(agent.registry.disks().count(), 0);
}

#[test]
fn an_unknown_disk_is_enodev() {
    let mut agent = Agent::new();
    assert_eq!(agent.start(b"nothing"), Err(Errno::NODEV));
    assert_eq!(agent.stop(DISK), Err(Errno::NODEV));
    put_name(BASE, abi::GUID_BYTES, DISK);
    assert_eq!(agent.call(request::GET_VOLUME_STATS, BASE), Err(Errno::NODEV));
}

#[test]
fn starting_a_disk_twice_keeps_its_changes() {
    let mut agent = Agent::with_disk();
    agent.mark(0, 8);
    let id = agent.file.disk();
    agent.start(DISK).unwrap();
    assert_eq!((agent.file.disk(), agent.registry.disks().count()), (id, 1));
    agent.get().unwrap();
    assert_eq!(u32_at(BASE + block::CHANGES), 1);
}

#[test]
fn a_block_is_delivered_until_it_is_committed_and_then_no_more() {
    let mut agent = Agent::with_disk();
    agent.mark(16, 8);
    agent.get().unwrap();
    let first: [u8; block::BYTES] = bytes(BASE);
    let transaction = u64_at(BASE + block::TRANSACTION);
    assert_eq!((u64_at(BASE + block::OFFSETS), u32_at(BASE + block::LENGTHS)), (8192, 4096));
    assert_eq!(u64_at(BASE + block::CHANGED_BYTES), 4096);
    agent.get().unwrap();
    assert_eq!(bytes(BASE), first, "the same bytes again");
    assert_eq!(agent.commit(transaction + 1), Err(Errno::FAULT));
    agent.get().unwrap();
    assert_eq!(bytes(BASE), first, "a wrong id commits nothing");
    agent.commit(transaction).unwrap();
    assert_eq!(agent.commit(transaction), Err(Errno::FAULT), "it is out no longer");
    agent.get().unwrap();
    assert_eq!(u32_at(BASE + block::CHANGES), 0);
    assert_eq!(u32_at(BASE + block::FLAGS), block::FLAG_TIMESTAMP_ONLY);
}

#[test]
fn more_changes_than_a_block_holds_come_in_several() {
    let mut agent = Agent::new();
    agent.start(DISK).unwrap();
    (0..400).for_each(|index| agent.mark(16 * index, 1));
    let mut offsets = Vec::new();
    loop {
        agent.get().unwrap();
        let changes = u32_at(BASE + block::CHANGES);
        if changes == 0 {
            break;
        }
        assert!(changes as usize <= abi::MAX_CHANGES);
        offsets.extend((0..u64::from(changes)).map(|index| u64_at(BASE + block::OFFSETS + 8 * index)));
        let left = 400 - offsets.len() as u64;
        assert_eq!(u64_at(BASE + block::PENDING_BYTES), 4096 * left);
        agent.commit(u64_at(BASE + block::TRANSACTION)).unwrap();
    }
    assert_eq!(offsets, (0..400).map(|index| 8192 * index).collect::<Vec<_>>());
}

#[test]
fn a_file_without_a_disk_is_einval_and_one_whose_disk_is_gone_ebusy() {
    let mut agent = Agent::new();
    assert_eq!(agent.get(), Err(Errno::INVAL));
    assert_eq!(agent.commit(1), Err(Errno::INVAL));
    agent.start(DISK).unwrap();
    agent.stop(DISK).unwrap();
    assert_eq!(agent.get(), Err(Errno::BUSY));
    assert_eq!(agent.commit(1), Err(Errno::BUSY));
    let stale = agent.file.disk();
    agent.start(DISK).unwrap();
    agent.file.set_disk(stale);
    assert_eq!(agent.get(), Err(Errno::BUSY), "the same disk started anew is another one");
}

#[test]
fn after_unstack_all_nothing_is_filtered_and_every_request_is_einval() {
    let mut agent = Agent::with_disk();
    agent.start(b"sdb:8000").unwrap();
    agent.call(request::UNSTACK_ALL, 0).unwrap();
    assert_eq!(agent.registry.disks().count(), 0);
    for (word, _) in KNOWN {
        assert_eq!(agent.call(word, BASE), Err(Errno::INVAL), "{word:#x}");
    }
}

#[test]
fn a_list_buffer_that_is_too_small_is_eagain_with_a_size_that_is_enough() {
    let mut agent = Agent::with_disk();
    agent.start(b"sdb:16").unwrap();
    let names = "sda:8000\nsdb:16\n";
    let ask = |agent: &mut Agent, room: u32| {
        put(BASE + volume_list::BUFFER, &BUFFER.to_ne_bytes());
        put(BASE + volume_list::BUFFER_BYTES, &room.to_ne_bytes());
        agent.call(request::GET_PROTECTED_VOLUME_LIST, BASE)
    };
    assert_eq!(ask(&mut agent, names.len() as u32), Err(Errno::AGAIN), "no room for the NUL");
    assert!(u32_at(BASE + volume_list::BUFFER_BYTES) as usize > names.len());
    assert_eq!(u64_at(BASE + volume_list::BUFFER), 0);
    ask(&mut agent, names.len() as u32 + 1).unwrap();
    assert_eq!(text_at(BUFFER), names);
    assert_eq!(bytes::<1>(BUFFER + names.len() as u64 + 1), [FILL], "nothing past the NUL");
}

#[test]
fn statistics_are_cut_where_the_buffer_ends() {
    let mut agent = Agent::with_disk();
    agent.mark(0, 8);
    let ask = |agent: &mut Agent, room: u32, buffer: u64| {
        put_name(BASE, abi::GUID_BYTES, DISK);
        put(BASE + volume_stats::BUFFER, &buffer.to_ne_bytes());
        put(BASE + volume_stats::BUFFER_BYTES, &room.to_ne_bytes());
        agent.call(request::GET_VOLUME_STATS, BASE)
    };
    ask(&mut agent, 4096, BUFFER).unwrap();
    let whole = text_at(BUFFER);
    for line in ["size_bytes: 4096000\n", "pending_bytes: 4096\n", "writes: 0\n", "resync_required: no\n"] {
        assert!(whole.contains(line), "{line:?} is not in {whole}");
    }
    put(BUFFER, &[FILL; 64]);
    ask(&mut agent, 20, BUFFER).unwrap();
    assert_eq!(text_at(BUFFER), whole[..19]);
    assert_eq!(bytes::<1>(BUFFER + 20), [FILL]);
    assert_eq!(ask(&mut agent, 0, BUFFER), Err(Errno::INVAL));
    assert_eq!(ask(&mut agent, 64, 0), Err(Errno::FAULT));
    assert_eq!(ask(&mut agent, 64, u64::MAX - 8), Err(Errno::FAULT));
}

#[test]
fn a_hole_is_told_with_its_reason_until_the_agent_has_begun_its_resync() {
    let mut agent = Agent::with_disk();
    agent.mark(7999, 2);
    agent.get().unwrap();
    assert_ne!(u32_at(BASE + block::FLAGS) & block::FLAG_RESYNC_REQUIRED, 0);
    assert_eq!(u64_at(BASE + block::RESYNC_CODE), u64::from(abi::resync_code::OUT_OF_RANGE));
    assert!(text_at(BASE + block::RESYNC_TEXT).contains("past the known end"));
    let since = u64_at(BASE + block::RESYNC_TIME);
    assert_ne!(since, 0);
    agent.mark(7999, 2);
    agent.commit(u64_at(BASE + block::TRANSACTION)).unwrap();
    agent.get().unwrap();
    assert_ne!(u32_at(BASE + block::FLAGS) & block::FLAG_RESYNC_REQUIRED, 0, "no resync was begun");
    assert_eq!(u64_at(BASE + block::RESYNC_TIME), since, "it is the first hole's time");
    put(BUFFER + commit::TRANSACTION, &bytes::<8>(BASE + block::TRANSACTION));
    put(BUFFER + commit::FLAGS, &commit::FLAG_RESYNC_STARTED.to_ne_bytes());
    agent.call(request::COMMIT_DIRTY_BLOCKS_TRANS, BUFFER).unwrap();
    agent.get().unwrap();
    assert_eq!(u32_at(BASE + block::FLAGS) & block::FLAG_RESYNC_REQUIRED, 0);
}

impl Agent {
    /// Gets (`None`) or sets an attribute; the text is at [`BUFFER`], of which `room` bytes are there.
    fn attribute(&mut self, name: &[u8], index: u32, set: Option<&[u8]>, room: u32) -> Result<String, Errno> {
        put(BASE + attribute::INDEX, &index.to_ne_bytes());
        let why = if set.is_some() { attribute::VALUE_SET } else { attribute::VALUE_GET };
        put(BASE + attribute::WHY, &why.to_ne_bytes());
        put_name(BASE + attribute::GUID, abi::GUID_BYTES, name);
        put(BASE + attribute::BUFFER, &BUFFER.to_ne_bytes());
        put(BASE + attribute::BUFFER_BYTES, &room.to_ne_bytes());
        put(BUFFER, set.unwrap_or(&[FILL; 64]));
        self.call(request::GET_SET_ATTR, BASE)?;
        Ok(if set.is_some() { String::new() } else { text_at(BUFFER) })
    }

    fn limit(&mut self, index: u32, value: &str) {
        let text = [value.as_bytes(), b"\0"].concat();
        self.attribute(attribute::VALUE_COMMON, index, Some(&text), text.len() as u32).unwrap();
    }
}

#[test]
fn a_limit_that_is_set_is_the_limit_from_then_on() {
    use attribute::common::HIGH_WATER_NOT_STARTED as LIMIT;
    let mut agent = Agent::with_disk();
    let common = attribute::VALUE_COMMON;
    assert_eq!(agent.attribute(common, LIMIT, None, 64).unwrap(), "8192");
    let tracker = |agent: &Agent| agent.registry.find(DISK).unwrap().tracker.wants_completion();
    assert!(tracker(&agent));
    agent.limit(LIMIT, "0\n");
    agent.registry.find(DISK).unwrap().tracker.complete(0, 8, false);
    assert!(!tracker(&agent), "the disk is in the bitmap state");
    agent.get().unwrap();
    assert_eq!(u32_at(BASE + block::STATE), block::STATE_BITMAP);
    agent.commit(u64_at(BASE + block::TRANSACTION)).unwrap();
    agent.limit(LIMIT, "8192");
    agent.get().unwrap();
    assert!(tracker(&agent), "and back");
    assert_eq!(agent.attribute(common, LIMIT, None, 64).unwrap(), "8192");
}

#[test]
fn an_attribute_that_is_asked_or_set_wrongly_says_why() {
    let mut agent = Agent::with_disk();
    let common = attribute::VALUE_COMMON;
    let limit = attribute::common::LOW_WATER_RUNNING;
    assert_eq!(agent.attribute(common, limit, None, 5), Err(Errno::INVAL), "16384 and no room for the NUL");
    assert_eq!(agent.attribute(common, limit, None, 6).unwrap(), "16384");
    for text in ["", "12x", "-1", " 1", "99999999999999999999999"] {
        let room = text.len() as u32;
        assert_eq!(agent.attribute(common, limit, Some(text.as_bytes()), room), Err(Errno::INVAL), "{text:?}");
    }
    assert_eq!(agent.attribute(common, limit, Some(&[b'1'; 4096]), 4096), Err(Errno::INVAL));
    assert_eq!(agent.attribute(common, 99, None, 64), Err(Errno::OPNOTSUPP));
    assert_eq!(agent.attribute(b"other", 0, None, 64), Err(Errno::NODEV));
    let files = attribute::common::DATA_FILES;
    assert_eq!(agent.attribute(common, files, Some(b"1"), 1), Err(Errno::OPNOTSUPP));
    agent.attribute(common, files, Some(b"0"), 1).expect("it is 0");
    let filtering = attribute::common::DATA_FILTERING;
    assert_eq!(agent.attribute(common, filtering, Some(b"2"), 1), Err(Errno::INVAL));
    let pool = attribute::common::POOL;
    assert_eq!(agent.attribute(common, pool, None, 64).unwrap(), "64MB");
    for text in ["63", "129", "18446744073709551615"] {
        assert_eq!(
            agent.attribute(common, pool, Some(text.as_bytes()), text.len() as u32),
            Err(Errno::INVAL),
            "{text}"
        );
    }
    agent.attribute(common, pool, Some(b"128"), 3).unwrap();
    assert_eq!(agent.attribute(common, pool, None, 64).unwrap(), "128MB", "half of the machine's memory");
    let stream = attribute::common::MAX_STREAM;
    agent.attribute(common, stream, Some(b"1000"), 4).unwrap();
    assert_eq!(agent.attribute(common, stream, None, 64).unwrap(), "64");
    put(BASE + attribute::WHY, &3u32.to_ne_bytes());
    assert_eq!(agent.call(request::GET_SET_ATTR, BASE), Err(Errno::INVAL));
}

#[test]
fn a_disk_has_attributes_under_both_of_its_names() {
    let mut agent = Agent::with_disk();
    use attribute::disk;
    assert_eq!(agent.attribute(b"name", disk::BLOCKS, None, 64).unwrap(), "8000");
    assert_eq!(agent.attribute(DISK, disk::BLOCK_BYTES, None, 64).unwrap(), "512");
    assert_eq!(agent.attribute(DISK, disk::RESYNC_REQUIRED, None, 64).unwrap(), "0");
    agent.mark(7999, 2);
    assert_eq!(agent.attribute(DISK, disk::RESYNC_REQUIRED, None, 64).unwrap(), "1");
    assert_eq!(agent.attribute(DISK, disk::RESYNC_CODE, None, 64).unwrap(), "7");
}

#[test]
fn an_attribute_without_a_meaning_here_is_told_as_an_agent_expects_it() {
    use attribute::{common, disk};
    let mut agent = Agent::with_disk();
    for (index, text) in [(common::GRANULARITY_SIZE, "512"), (common::CHAINED_IO, "1"), (common::OWN_WRITES, "0")] {
        assert_eq!(agent.attribute(attribute::VALUE_COMMON, index, None, 64).unwrap(), text);
    }
    agent.limit(common::PURGED, "17");
    assert_eq!(agent.attribute(attribute::VALUE_COMMON, common::PURGED, None, 64).unwrap(), "17");
    let facts = [(disk::TYPE, "Host-Volume"), (disk::NOTIFY_LIMIT, "4096"), (disk::GRANULARITY, "4096")];
    for (index, text) in facts.into_iter().chain([(disk::RESYNC_TEXT, ""), (disk::OPTIMIZATION, "7")]) {
        assert_eq!(agent.attribute(DISK, index, None, 64).unwrap(), text, "{index}");
    }
    agent.attribute(DISK, disk::OPTIMIZATION, Some(b"1"), 1).expect("any number may be set");
    assert_eq!(agent.attribute(DISK, disk::OPTIMIZATION, None, 64).unwrap(), "7");
    agent.mark(7999, 2);
    assert!(agent.attribute(DISK, disk::RESYNC_TEXT, None, 128).unwrap().contains("past the known end"));
    let oldest = |agent: &mut Agent| agent.attribute(DISK, disk::OLDEST, None, 64).unwrap().parse::<u64>().unwrap();
    assert!(oldest(&mut agent) < oldest(&mut agent), "only dirty bits wait, so it is now");
    agent.registry.find(DISK).unwrap().tracker.complete(0, 8, false);
    let first = oldest(&mut agent);
    agent.registry.find(DISK).unwrap().tracker.complete(800, 8, false);
    assert_eq!(oldest(&mut agent), first);
}

#[test]
fn there_is_one_drainer_and_the_service_is_there_as_long_as_its_file() {
    let mut agent = Agent::new();
    let service = || Host::common().service();
    assert_eq!(service(), Service::NotStarted);
    agent.call(request::PROCESS_START_NOTIFY, BASE).unwrap();
    assert_eq!(agent.call(request::PROCESS_START_NOTIFY, BASE), Err(Errno::INVAL));
    agent.call(request::SERVICE_SHUTDOWN_NOTIFY, BASE).unwrap();
    assert_eq!(service(), Service::Running);
    let file = std::mem::take(&mut agent.file);
    release(&agent.registry, &File::default());
    assert_eq!(service(), Service::Running, "another file was closed");
    // Twice by the same file is once.
    for _ in 0..2 {
        agent.call(request::SERVICE_SHUTDOWN_NOTIFY, BASE).unwrap();
    }
    release(&agent.registry, &file);
    assert_eq!(service(), Service::Running, "one of two was closed");
    release(&agent.registry, &agent.file);
    assert_eq!(service(), Service::Shutdown);
    agent.call(request::PROCESS_START_NOTIFY, BASE).expect("the first drainer is gone");
}

/// How each request answers, as `docs/abi.md` says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    /// It works, and needs an argument.
    Works,
    /// It works without one.
    WorksBare,
    /// It does nothing, and says that it is done.
    Nothing,
    /// Dead code of the C driver.
    Dead,
    /// The C driver does not answer it either.
    Never,
}
use Answer::{Dead, Never, Nothing, Works, WorksBare};

/// Each of the 74 numbers; without a word those of which the headers have no more than the number.
const ANSWERS: [(u32, Option<&str>, Answer); 74] = [
    (0, Some("STOP_FILTERING_DEVICE"), Works),
    (1, Some("START_FILTERING_DEVICE"), Never),
    (2, Some("PROCESS_START_NOTIFY"), Works),
    (3, Some("SERVICE_SHUTDOWN_NOTIFY"), Works),
    (4, None, Never),
    (5, Some("COMMIT_DIRTY_BLOCKS_TRANS"), Works),
    (6, Some("SET_VOLUME_FLAGS"), Works),
    (7, Some("GET_VOLUME_FLAGS"), Works),
    (8, Some("WAIT_FOR_DB"), Works),
    (9, Some("CLEAR_DIFFERENTIALS"), Works),
    (10, Some("GET_NANOSECOND_TIME"), Works),
    (11, Some("UNSTACK_ALL"), WorksBare),
    (12, Some("SYS_SHUTDOWN"), Works),
    (13, Some("TAG_VOLUME"), Works),
    (14, Some("WAKEUP_ALL_THREADS"), WorksBare),
    (15, Some("GET_DB_NOTIFY_THRESHOLD"), Works),
    (16, Some("VOLUME_STACKING"), Works),
    (17, Some("RESYNC_START_NOTIFICATION"), Works),
    (18, Some("RESYNC_END_NOTIFICATION"), Works),
    (19, Some("GET_DRIVER_VERSION"), Works),
    (20, Some("SHELL_LOG"), Nothing),
    (21, Some("AT_LUN_CREATE"), Dead),
    (22, Some("AT_LUN_DELETE"), Dead),
    (23, Some("AT_LUN_LAST_WRITE_VI"), Dead),
    (24, Some("AT_LUN_QUERY"), Dead),
    (25, Some("GET_GLOBAL_STATS"), Works),
    (26, Some("GET_VOLUME_STATS"), Works),
    (27, Some("GET_PROTECTED_VOLUME_LIST"), Works),
    (28, Some("GET_SET_ATTR"), Works),
    (29, Some("BOOTTIME_STACKING"), Nothing),
    (30, Some("VOLUME_UNSTACKING"), Works),
    (31, Some("START_FILTERING_DEVICE_V2"), Works),
    (32, Some("SYNC_TAG_VOLUME"), Works),
    (33, Some("GET_TAG_VOLUME_STATUS"), Works),
    (34, Some("START_MIRRORING_DEVICE"), Dead),
    (35, Some("STOP_MIRRORING_DEVICE"), Dead),
    (36, Some("MIRROR_VOLUME_STACKING"), Dead),
    (37, Some("MIRROR_EXCEPTION_NOTIFY"), Dead),
    (38, Some("AT_LUN_LAST_HOST_IO_TIMESTAMP"), Dead),
    (39, None, Never),
    (40, Some("BLOCK_AT_LUN"), Dead),
    (41, None, Never),
    (42, None, Never),
    (43, Some("GET_ADDITIONAL_VOLUME_STATS"), Works),
    (44, Some("GET_VOLUME_LATENCY_STATS"), Works),
    (45, Some("GET_VOLUME_BMAP_STATS"), Works),
    (46, Some("SET_INVOLFLT_VERBOSITY"), Works),
    (47, Some("MIRROR_TEST_HEARTBEAT"), Dead),
    (48, Some("INIT_DRIVER_FULLY"), Works),
    (49, Some("FREEZE_VOLUME"), Works),
    (50, Some("TAG_VOLUME_V2"), Works),
    (51, Some("THAW_VOLUME"), Works),
    (52, Some("IOBARRIER_TAG_VOLUME"), Works),
    (53, Some("CREATE_BARRIER_ALL"), Works),
    (54, Some("REMOVE_BARRIER_ALL"), Works),
    (55, Some("TAG_COMMIT_V2"), Works),
    (56, Some("SYS_PRE_SHUTDOWN"), WorksBare),
    (57, Some("GET_MONITORING_STATS"), Works),
    (58, Some("GET_BLK_MQ_STATUS"), Works),
    (59, Some("GET_VOLUME_STATS_V2"), Works),
    (60, Some("REPLICATION_STATE"), Works),
    (61, Some("NAME_MAPPING"), Works),
    (62, Some("COMMITDB_FAIL_TRANS"), Works),
    (63, Some("GET_CXSTATS_NOTIFY"), Works),
    (64, Some("WAKEUP_GET_CXSTATS_NOTIFY_THREAD"), WorksBare),
    (65, Some("LCW"), Works),
    (66, Some("WAIT_FOR_DB_V2"), Works),
    (67, Some("TAG_DRAIN_NOTIFY"), Works),
    (68, Some("WAKEUP_TAG_DRAIN_NOTIFY_THREAD"), WorksBare),
    (69, Some("MODIFY_PERSISTENT_DEVICE_NAME"), Works),
    (70, Some("GET_DRAIN_STATE"), Works),
    (71, Some("SET_DRAIN_STATE"), Works),
    (72, Some("GET_DIRTY_BLOCKS_TRANS_V2"), Works),
    (73, Some("REMOVE_FILTER_DEVICE"), Works),
];

#[test]
fn each_of_the_74_requests_answers_as_the_table_says() {
    let layout: serde_json::Value = serde_json::from_str(include_str!("data/abi-layout.json")).unwrap();
    let words = layout["ioctls"].as_array().unwrap();
    for (index, (number, name, answer)) in ANSWERS.into_iter().enumerate() {
        assert_eq!(number as usize, index, "the table is in order and whole");
        let word = name.map(|name| {
            let found = words.iter().find(|ioctl| ioctl["name"] == name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(found["nr"], number);
            u32::from_str_radix(found["request"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
        });
        let mut agent = Agent::with_disk();
        let got = agent.call(word.unwrap_or(0xfe00 | number), 0);
        let expected = match answer {
            // No argument is at address 0.
            WorksBare | Nothing => Ok(()),
            Works => Err(Errno::FAULT),
            Dead => Err(Errno::NOTTY),
            Never => Err(Errno::INVAL),
        };
        assert_eq!(got, expected, "{number} {name:?}");
    }
}

/// A request that begins with the disk's path.
fn with_path(agent: &mut Agent, word: u32) -> Result<(), Errno> {
    put_name(BASE, abi::GUID_BYTES, DISK);
    agent.call(word, BASE)
}

#[test]
fn the_edges_of_a_resync_are_later_than_what_was_drained() {
    let mut agent = Agent::with_disk();
    agent.mark(0, 8);
    agent.get().unwrap();
    let drained = u64_at(BASE + block::TAGS + 16);
    with_path(&mut agent, request::RESYNC_START_NOTIFICATION).unwrap();
    let start = (u64_at(BASE + 128), u64_at(BASE + 136));
    assert!(start.0 > drained && start.1 > drained, "{start:?} after {drained}");
    with_path(&mut agent, request::RESYNC_END_NOTIFICATION).unwrap();
    assert!((u64_at(BASE + 128), u64_at(BASE + 136)) > start);
    put_name(BASE, abi::GUID_BYTES, b"other");
    assert_eq!(agent.call(request::RESYNC_START_NOTIFICATION, BASE), Err(Errno::INVAL));
}

#[test]
fn numbers_of_a_disk_are_those_of_its_drain() {
    let mut agent = Agent::with_disk();
    agent.mark(0, 8);
    agent.registry.find(DISK).unwrap().tracker.complete(800, 3, false);
    with_path(&mut agent, request::GET_ADDITIONAL_VOLUME_STATS).unwrap();
    assert_eq!(u64_at(BASE + 128), 4096 + 3 * 512);
    assert!(u64_at(BASE + 136) <= u64_at(BASE + 144));
    with_path(&mut agent, request::GET_VOLUME_BMAP_STATS).unwrap();
    assert_eq!((u64_at(BASE + 128), u64_at(BASE + 136), u32_at(BASE + 144)), (4096, 4096, 1));
    with_path(&mut agent, request::GET_DB_NOTIFY_THRESHOLD).unwrap();
    assert_eq!(u32_at(BASE + 128), 4 << 20);
    agent.get().unwrap();
    agent.commit(u64_at(BASE + block::TRANSACTION)).unwrap();
    put(BASE + 128, &2u32.to_ne_bytes());
    with_path(&mut agent, request::GET_MONITORING_STATS).unwrap();
    assert_eq!(u64_at(BASE + 136), 3 * 512, "what was noted before the bits were taken comes first");
    put(BASE + 128, &3u32.to_ne_bytes());
    assert_eq!(with_path(&mut agent, request::GET_MONITORING_STATS), Err(Errno::INVAL));
}

#[test]
fn a_disk_is_named_both_ways_and_renamed_by_who_knows_its_name() {
    let mut agent = Agent::with_disk();
    let mut map = |flags: u32, name: &[u8]| {
        put(BASE, &flags.to_ne_bytes());
        put_name(BASE + 4, 256, name);
        agent.call(request::NAME_MAPPING, BASE).map(|()| text_at(BASE + 260))
    };
    assert_eq!(map(1, DISK).unwrap(), "name");
    assert_eq!(map(2, b"name").unwrap(), "sda:8000");
    assert_eq!(map(2, DISK), Err(Errno::NODEV));
    assert_eq!(map(0, DISK), Err(Errno::INVAL));
    let mut change = |path: &[u8], old: &[u8], new: &[u8]| {
        [path, old, new].iter().zip([0, 128, 256]).for_each(|(name, at)| put_name(BASE + at, 128, name));
        agent.call(request::MODIFY_PERSISTENT_DEVICE_NAME, BASE)
    };
    assert_eq!(change(b"other", b"name", b"new"), Err(Errno::NODEV));
    assert_eq!(change(DISK, b"wrong", b"new"), Err(Errno::INVAL));
    assert_eq!(change(DISK, b"name", b"a/b"), Err(Errno::INVAL));
    change(DISK, b"name", b"new").unwrap();
    assert_eq!(agent.registry.find(DISK).unwrap().persistent_name().as_bytes(), b"new");
}

#[test]
fn a_blocked_disk_is_not_drained_until_it_is_let_go_and_loses_nothing() {
    let mut agent = Agent::with_disk();
    agent.mark(0, 8);
    agent.attribute(DISK, attribute::disk::DRAIN_BLOCKED, Some(b"1"), 1).unwrap();
    assert_eq!(agent.get(), Err(Errno::FAULT));
    let ask = |agent: &mut Agent, word: u32, header: u64, name: &[u8]| {
        put(BASE, &[FILL; 1024]);
        put(BASE + header - 8, &1u64.to_ne_bytes());
        put_name(BASE + header, abi::GUID_BYTES, name);
        agent.call(word, BASE).map(|()| BASE + header + abi::GUID_BYTES as u64)
    };
    let answer = ask(&mut agent, request::GET_DRAIN_STATE, 8, b"name").unwrap();
    assert_eq!((u64_at(answer), u64_at(answer + 8), u64_at(answer + 16 + 136)), (0, 1, 2));
    assert_eq!(text_at(answer + 16), "name");
    assert_eq!(ask(&mut agent, request::GET_DRAIN_STATE, 8, b"other"), Err(Errno::NODEV));
    let answer = ask(&mut agent, request::SET_DRAIN_STATE, 16, b"other").unwrap();
    assert_eq!(u32_at(answer + 16 + 136), 1, "not found");
    assert_eq!(agent.get(), Err(Errno::FAULT));
    let answer = ask(&mut agent, request::SET_DRAIN_STATE, 16, b"name").unwrap();
    assert_eq!((u32_at(answer + 16 + 136), bytes::<1>(answer + 16 + 152)), (0, [FILL]), "and not a byte more");
    agent.get().unwrap();
    assert_eq!(u32_at(BASE + block::CHANGES), 1);
    put(BASE, &u64::MAX.to_ne_bytes());
    assert_eq!(agent.call(request::GET_DRAIN_STATE, BASE), Err(Errno::INVAL), "more disks than there can be");
}

#[test]
fn what_is_cleared_is_not_delivered_and_needs_no_resync() {
    let mut agent = Agent::with_disk();
    (0..500).for_each(|index| agent.mark(16 * index, 1));
    agent.get().unwrap();
    agent.mark(7999, 2);
    with_path(&mut agent, request::CLEAR_DIFFERENTIALS).unwrap();
    agent.get().unwrap();
    assert_eq!((u32_at(BASE + block::CHANGES), u32_at(BASE + block::FLAGS)), (0, block::FLAG_TIMESTAMP_ONLY));
    put_name(BASE, abi::GUID_BYTES, b"other");
    agent.call(request::CLEAR_DIFFERENTIALS, BASE).expect("a disk that is not filtered has no changes");
}

#[test]
fn a_commit_that_failed_is_counted_once_it_names_the_block_that_is_out() {
    let mut agent = Agent::with_disk();
    agent.mark(0, 8);
    agent.get().unwrap();
    let transaction = u64_at(BASE + block::TRANSACTION);
    let mut fail = |transaction: u64| {
        put(BASE + 128, &transaction.to_ne_bytes());
        put(BASE + 136, &1u64.to_ne_bytes());
        with_path(&mut agent, request::COMMITDB_FAIL_TRANS)
    };
    assert_eq!(fail(transaction + 1), Err(Errno::FAULT));
    fail(transaction).unwrap();
    let disk = agent.registry.find(DISK).unwrap();
    assert_eq!(disk.with(|disk| disk.drain.network_failures()).unwrap(), 1);
    put(BASE + 128, &1u64.to_ne_bytes());
    with_path(&mut agent, request::REPLICATION_STATE).unwrap();
    let throttled = |agent: &mut Agent| number(&agent.statistics(), "throttled_since");
    assert_ne!(throttled(&mut agent), 0);
    put(BASE + 128, &2u64.to_ne_bytes());
    assert_eq!(with_path(&mut agent, request::REPLICATION_STATE), Err(Errno::INVAL));
    agent.get().unwrap();
    assert_eq!(throttled(&mut agent), 0, "the agent goes on");
    assert_ne!(number(&agent.statistics(), "throttled_until"), 0);
}

/// The number after `key:`.
fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {key} in {text}"))
}

impl Agent {
    fn statistics(&mut self) -> String {
        put_name(BASE, abi::GUID_BYTES, DISK);
        put(BASE + volume_stats::BUFFER, &BUFFER.to_ne_bytes());
        put(BASE + volume_stats::BUFFER_BYTES, &4096u32.to_ne_bytes());
        self.call(request::GET_VOLUME_STATS, BASE).unwrap();
        text_at(BUFFER)
    }

    /// Times of the second version of the statistics.
    fn times<const N: usize>(&mut self, fields: [u64; N]) -> [u64; N] {
        put_name(BASE + abi::stats_v2::GUID, abi::GUID_BYTES, DISK);
        self.call(request::GET_VOLUME_STATS_V2, BASE).unwrap();
        fields.map(|field| u64_at(BASE + field))
    }
}

#[test]
fn statistics_tell_when_an_agent_did_what_last() {
    use abi::stats_v2::*;
    let mut agent = Agent::with_disk();
    let fields = [LOADED, CREATED, STARTED, ASKED];
    let [loaded, created, started, asked] = agent.times(fields);
    assert!(abi::EPOCH_1601 < loaded && loaded < created && created < started && started < asked);
    agent.start(DISK).unwrap();
    let again = agent.times(fields);
    assert!(again[..3] == [loaded, created, started] && again[3] > asked);
    let fields = [DRAINER_CAME, DRAINER_WENT, SERVICE_CAME, SERVICE_WENT, TAGGED, GOT, COMMITTED, CLEARED];
    assert_eq!(agent.times(fields), [0; 8]);
    agent.call(request::PROCESS_START_NOTIFY, BASE).unwrap();
    agent.call(request::SERVICE_SHUTDOWN_NOTIFY, BASE).unwrap();
    let file = std::mem::take(&mut agent.file);
    agent.start(DISK).unwrap();
    release(&agent.registry, &file);
    let stream = [&[0, 0, 0, 0, 1, 0, DISK.len() as u8, 0], DISK, &[1, 0, 1, 0, b't']].concat();
    put(BASE, &stream);
    agent.call(request::TAG_VOLUME, BASE).unwrap();
    agent.get().unwrap();
    agent.commit(u64_at(BASE + block::TRANSACTION)).unwrap();
    with_path(&mut agent, request::CLEAR_DIFFERENTIALS).unwrap();
    let [came, went, service_came, service_went, tagged, got, committed, cleared] = agent.times(fields);
    assert!(came < service_came && service_came < went && went < service_went, "in the order of the requests");
    assert!(service_went < tagged && tagged < got && got < committed && committed < cleared);
    let global = |agent: &mut Agent| {
        agent.call(request::GET_GLOBAL_STATS, BASE).unwrap();
        text_at(BASE)
    };
    let text = global(&mut agent);
    assert_eq!(number(&text, "drainer"), 0);
    assert_eq!(number(&text, "drainer_went") + abi::EPOCH_1601, went);
    agent.call(request::PROCESS_START_NOTIFY, BASE).unwrap();
    assert_eq!(number(&global(&mut agent), "drainer"), 1);
}

#[test]
fn a_jump_of_the_clock_is_in_the_statistics() {
    use abi::stats_v2::{JUMP_EXPECTED, JUMP_FOUND};
    let mut agent = Agent::with_disk();
    assert_eq!(agent.times([JUMP_EXPECTED, JUMP_FOUND]), [0; 2]);
    Host::set_clock(1_000_000);
    Host::pass(1000);
    let [expected, found] = agent.times([JUMP_EXPECTED, JUMP_FOUND]);
    assert!((found - expected).abs_diff(10_000_000_000) < 10_000, "1000 seconds from {expected} to {found}");
}

#[test]
fn tests_of_writes_past_the_file_system_fail_as_where_they_cannot_be_made() {
    use abi::last_writes::{NAME, OPERATION};
    let mut agent = Agent::with_disk();
    let mut ask = |operation: u32, name: &[u8]| {
        put(BASE + OPERATION, &operation.to_ne_bytes());
        put_name(BASE + NAME, abi::GUID_BYTES, name);
        agent.call(request::LCW, BASE)
    };
    for operation in 1..=5 {
        assert_eq!(ask(operation, DISK), Err(Errno::BADF), "{operation}");
    }
    assert_eq!(ask(1, b"other"), Err(Errno::NOENT));
    assert_eq!(ask(6, DISK), Err(Errno::INVAL));
    assert_eq!(ask(0, DISK), Err(Errno::INVAL));
}

/// Asks another thread's agent to wait for the disk; gives its answer and how long it took.
fn waiting(agent: &Agent, seconds: i32) -> std::thread::JoinHandle<(Result<(), Errno>, Duration)> {
    let (registry, disk) = (agent.registry.clone(), agent.file.disk());
    std::thread::spawn(move || {
        OwnMemory::reset(MEMORY, FILL);
        let file = File::default();
        file.set_disk(disk);
        put_name(BASE, abi::GUID_BYTES, DISK);
        put(BASE + wait::SECONDS, &seconds.to_ne_bytes());
        let start = Instant::now();
        (ioctl(&registry, &file, request::WAIT_FOR_DB_V2, BASE).map(drop), start.elapsed())
    })
}

/// Does `work` again and again until the other thread is through, for the case that it has not begun to wait yet.
fn until_done<T>(thread: &std::thread::JoinHandle<T>, mut work: impl FnMut()) {
    while !thread.is_finished() {
        work();
        std::thread::sleep(Duration::from_millis(1));
    }
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn a_wait_ends_once_there_are_170_extents_or_4_mib() {
    let one: fn(&Agent, u64) = |agent, index| agent.registry.find(DISK).unwrap().tracker.complete(16 * index, 1, false);
    let half_a_mib: fn(&Agent, u64) = |agent, index| agent.mark(1000 * (index % 8), 1000);
    for (enough, write) in [(170, one), (8, half_a_mib)] {
        let agent = Agent::with_disk();
        if enough == 8 {
            // The disk is smaller than 4 MiB, and all of it and one extent are more.
            agent.registry.find(DISK).unwrap().tracker.complete(0, 200, false);
        }
        (0..enough - 1).for_each(|index| write(&agent, index));
        let thread = waiting(&agent, 60);
        std::thread::sleep(Duration::from_millis(20));
        assert!(!thread.is_finished(), "there is one write too few");
        write(&agent, enough - 1);
        let (answer, time) = thread.join().unwrap();
        answer.unwrap();
        assert!(time < LONG, "{time:?}");
    }
}

#[test]
fn a_wait_that_is_over_says_whether_there_is_anything() {
    let mut agent = Agent::with_disk();
    let mut wait = |seconds: i32| {
        put(BASE + wait::SECONDS, &seconds.to_ne_bytes());
        with_path(&mut agent, request::WAIT_FOR_DB)
    };
    assert_eq!(wait(0), Err(Errno::TIMEDOUT));
    assert_eq!(wait(-1), Err(Errno::INVAL));
    put_name(BASE, abi::GUID_BYTES, b"other");
    assert_eq!(agent.call(request::WAIT_FOR_DB, BASE), Err(Errno::INVAL), "at once, for a disk that is not filtered");
    assert_eq!(agent.call(request::WAIT_FOR_DB_V2, BASE), Err(Errno::INVAL), "another disk than the file's");
    agent.mark(0, 1);
    put(BASE + wait::SECONDS, &0i32.to_ne_bytes());
    with_path(&mut agent, request::WAIT_FOR_DB).expect("one block waits");
    with_path(&mut agent, request::WAIT_FOR_DB_V2).expect("one block waits");
}

#[test]
fn waits_end_when_they_are_told_to_and_when_their_disk_is_stopped() {
    let mut agent = Agent::with_disk();
    let threads = [waiting(&agent, 60), waiting(&agent, 60)];
    for thread in threads {
        until_done(&thread, || agent.registry.disks().for_each(|disk| disk.tracker.waits.wake()));
        let (answer, time) = thread.join().unwrap();
        answer.unwrap();
        assert!(time < LONG, "{time:?}");
    }
    agent.call(request::WAKEUP_ALL_THREADS, 0).unwrap();
    let thread = waiting(&agent, 60);
    std::thread::sleep(Duration::from_millis(20));
    agent.stop(DISK).unwrap();
    let (answer, time) = thread.join().unwrap();
    assert_eq!(answer, Err(Errno::BUSY));
    assert!(time < LONG, "{time:?}");
}

#[test]
fn a_poll_is_ready_when_there_is_enough_and_is_told_so() {
    let mut agent = Agent::with_disk();
    assert_eq!(poll(&agent.registry, &agent.file), Ready::Not);
    let woken = Host::pollers_woken();
    (0..169).for_each(|index| agent.registry.find(DISK).unwrap().tracker.complete(16 * index, 1, false));
    assert_eq!(Host::pollers_woken(), woken);
    agent.registry.find(DISK).unwrap().tracker.complete(16 * 169, 1, false);
    assert_eq!(Host::pollers_woken(), woken + 1, "once, not with each write");
    agent.registry.find(DISK).unwrap().tracker.complete(16 * 170, 1, false);
    assert_eq!(Host::pollers_woken(), woken + 1);
    assert_eq!(poll(&agent.registry, &agent.file), Ready::Changes);
    agent.stop(DISK).unwrap();
    assert_eq!(poll(&agent.registry, &agent.file), Ready::Gone);
    assert_eq!(poll(&agent.registry, &File::default()), Ready::Gone);
}

#[test]
fn a_disk_that_somebody_holds_up_holds_up_no_other_disk() {
    let mut agent = Agent::with_disk();
    let held = agent.registry.find(DISK).unwrap();
    held.with(|_| {
        agent.start(b"sdb:16").unwrap();
        agent.get().unwrap();
        agent.stop(b"sdb:16").unwrap();
        with_path(&mut agent, request::GET_ADDITIONAL_VOLUME_STATS).expect("what needs no turn");
        assert_eq!(agent.registry.disks().count(), 1);
    })
    .unwrap();
}

/// The buckets' counts, the last times, the shortest and the longest of a group.
fn latencies(group: u64) -> (Vec<u32>, Vec<u64>, u64, u64) {
    use abi::latency_stats as stats;
    let at = BASE + group;
    let counts = (0..12).map(|index| u32_at(at + stats::COUNTS + 4 * index)).collect();
    let last =
        (0..u64::from(u32_at(at + stats::AVAILABLE))).map(|index| u64_at(at + stats::LAST + 8 * index)).collect();
    (counts, last, u64_at(at + stats::SHORTEST), u64_at(at + stats::LONGEST))
}

#[test]
fn latencies_are_told_of_gets_waits_and_commits() {
    use abi::latency_stats as stats;
    let mut agent = Agent::with_disk();
    with_path(&mut agent, request::GET_VOLUME_LATENCY_STATS).unwrap();
    for group in [stats::RETURN, stats::WAIT, stats::COMMIT] {
        assert_eq!(latencies(group), (vec![0; 12], vec![], 0, 0));
    }
    agent.mark(0, 8);
    for _ in 0..13 {
        agent.get().unwrap();
    }
    Host::pass(3);
    agent.commit(u64_at(BASE)).unwrap();
    with_path(&mut agent, request::GET_VOLUME_LATENCY_STATS).unwrap();
    let (counts, last, ..) = latencies(stats::RETURN);
    assert_eq!((counts.iter().sum::<u32>(), last.len()), (13, 12));
    assert!(latencies(stats::WAIT).1.is_empty());
    let (counts, last, shortest, longest) = latencies(stats::COMMIT);
    let bucket = counts.iter().position(|&count| count == 1).unwrap() as u64;
    assert!((3000..5000).contains(&shortest) && last == [shortest] && longest == shortest, "{last:?}");
    assert_eq!(u64_at(BASE + stats::COMMIT + stats::BUCKETS + 8 * bucket), 5000);
    put_name(BASE, abi::GUID_BYTES, b"other");
    assert_eq!(agent.call(request::GET_VOLUME_LATENCY_STATS, BASE), Err(Errno::INVAL));
}

#[test]
fn a_disk_need_not_be_filtered_to_say_whether_it_is_blk_mq() {
    let mut agent = Agent::new();
    let mut ask = |name: &[u8]| {
        put_name(BASE, abi::GUID_BYTES, name);
        agent.call(request::GET_BLK_MQ_STATUS, BASE).map(|()| u32_at(BASE + abi::blk_mq::ANSWER))
    };
    assert_eq!(ask(DISK), Ok(1));
    assert_eq!(ask(b"dm-0:8000"), Ok(0));
    assert_eq!(ask(b"nothing"), Err(Errno::NODEV));
}

#[test]
fn two_agents_of_one_disk_get_the_same_block_and_it_is_committed_once() {
    let mut agent = Agent::with_disk();
    let mut other = Agent { registry: agent.registry.clone(), file: File::default() };
    other.start(DISK).unwrap();
    agent.mark(0, 8);
    agent.get().unwrap();
    let first: [u8; block::BYTES] = bytes(BASE);
    other.get().unwrap();
    assert_eq!(bytes(BASE), first);
    let transaction = u64_at(BASE + block::TRANSACTION);
    other.commit(transaction).unwrap();
    assert_eq!(agent.commit(transaction), Err(Errno::FAULT), "the other one has it");
    agent.mark(800, 8);
    agent.get().unwrap();
    other.stop(DISK).unwrap();
    assert_eq!(agent.commit(u64_at(BASE + block::TRANSACTION)), Err(Errno::BUSY));
    assert_eq!(agent.get(), Err(Errno::BUSY), "of a disk that the other one has stopped");
    for word in [request::WAIT_FOR_DB, request::RESYNC_START_NOTIFICATION, request::GET_ADDITIONAL_VOLUME_STATS] {
        put(BASE + wait::SECONDS, &60i32.to_ne_bytes());
        assert_eq!(with_path(&mut agent, word), Err(Errno::INVAL), "{word:#x}");
    }
}
