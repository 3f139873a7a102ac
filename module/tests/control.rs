// SPDX-License-Identifier: GPL-2.0-only
//! Control requests as an agent makes them, well-formed and not, over memory that ends where the test says.

use involflt::abi::{
    self, attribute, commit, dev_info, dirty_block as block, request, version, volume_list, volume_stats,
};
use involflt::control::{ioctl, release, File};
use involflt::engine::{Registry, Service};
use involflt::host::{Host, OwnMemory};
use involflt::platform::{Attached, Errno, Platform, User};

const BASE: u64 = OwnMemory::BASE;
/// Room for any structure, and for a reply's buffer behind it.
const MEMORY: usize = 32 << 10;
const BUFFER: u64 = BASE + (16 << 10);
const FILL: u8 = 0xa5;
const DISK: &[u8] = b"sda:8000";

/// An open file of the driver.
struct Agent {
    registry: Registry<Host>,
    file: File,
}

impl Agent {
    fn new() -> Self {
        OwnMemory::reset(MEMORY, FILL);
        Agent { registry: Registry::new(), file: File::default() }
    }

    fn with_disk() -> Self {
        let mut agent = Agent::new();
        agent.start(DISK).unwrap();
        agent
    }

    fn call(&mut self, word: u32, argument: u64) -> Result<(), Errno> {
        ioctl(&mut self.registry, &mut self.file, word, argument)
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
        self.registry.find(DISK).unwrap().device.tracker().mark(sector, sectors);
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
    let id = agent.file.disk;
    agent.start(DISK).unwrap();
    assert_eq!((agent.file.disk, agent.registry.disks().count()), (id, 1));
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
    let stale = agent.file.disk;
    agent.start(DISK).unwrap();
    agent.file.disk = stale;
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
    let tracker = |agent: &Agent| agent.registry.find(DISK).unwrap().device.tracker().wants_completion();
    assert!(tracker(&agent));
    agent.limit(LIMIT, "0\n");
    agent.registry.find(DISK).unwrap().device.tracker().complete(0, 8, false);
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
    let filtering = attribute::common::DATA_FILTERING;
    assert_eq!(agent.attribute(common, filtering, Some(b"1"), 1), Err(Errno::OPNOTSUPP));
    agent.attribute(common, filtering, Some(b"0"), 1).expect("it is 0");
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
fn there_is_one_drainer_and_the_service_is_there_as_long_as_its_file() {
    let mut agent = Agent::new();
    let service = || Host::common().service();
    assert_eq!(service(), Service::NotStarted);
    agent.call(request::PROCESS_START_NOTIFY, BASE).unwrap();
    assert_eq!(agent.call(request::PROCESS_START_NOTIFY, BASE), Err(Errno::INVAL));
    agent.call(request::SERVICE_SHUTDOWN_NOTIFY, BASE).unwrap();
    assert_eq!(service(), Service::Running);
    let file = std::mem::take(&mut agent.file);
    release(&mut agent.registry, &File::default());
    assert_eq!(service(), Service::Running, "another file was closed");
    release(&mut agent.registry, &file);
    assert_eq!(service(), Service::Shutdown);
    agent.call(request::PROCESS_START_NOTIFY, BASE).expect("the first drainer is gone");
}
