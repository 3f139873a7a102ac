// SPDX-License-Identifier: GPL-2.0-only
//! Tags, barriers and frozen file systems, as an agent asks for them.

use involflt::abi::{
    attribute, barrier, commit, dev_info, dirty_block as block, failed_commit, freeze, request, resync_edge, stats_v2,
    tag_info, tag_notify, tag_status, volume_flags, volume_info, GUID_BYTES, PNAME_BYTES,
};
use involflt::control::{alarm, ioctl, release, work, File};
use involflt::engine::{Registry, TagId};
use involflt::host::{Files, Host, OwnMemory};
use involflt::platform::{Errno, Mutex, User};

const BASE: u64 = OwnMemory::BASE;
/// Lists that a request points to.
const LIST: u64 = BASE + (16 << 10);
const NAMES: u64 = BASE + (24 << 10);
const DISKS: [&[u8]; 2] = [b"sda:8000", b"sdb:8000"];
const POINT: [u8; 36] = *b"00000000-1111-2222-3333-444444444444";

/// An agent with two disks, and an open file for each.
struct Agent {
    registry: Registry<Host>,
    files: [File; 2],
}

fn put(address: u64, bytes: &[u8]) {
    OwnMemory::write(address, bytes).unwrap();
}

fn bytes(address: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    OwnMemory::read(address, &mut bytes).unwrap();
    bytes
}

fn u32_at(address: u64) -> u32 {
    u32::from_ne_bytes(bytes(address, 4).try_into().unwrap())
}

fn u64_at(address: u64) -> u64 {
    u64::from_ne_bytes(bytes(address, 8).try_into().unwrap())
}

impl Agent {
    fn new() -> Self {
        OwnMemory::reset(40 << 10, 0);
        let agent = Agent { registry: Registry::new().unwrap(), files: Default::default() };
        for (file, disk) in agent.files.iter().zip(DISKS) {
            OwnMemory::reset(40 << 10, 0);
            put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
            put(BASE + dev_info::GUID, disk);
            put(BASE + dev_info::PNAME, disk);
            ioctl(&agent.registry, file, request::START_FILTERING_DEVICE_V2, BASE).unwrap();
        }
        agent
    }

    fn call(&self, word: u32) -> Result<u32, Errno> {
        ioctl(&self.registry, &self.files[0], word, BASE)
    }

    /// A write to one sector has completed.
    fn write(&self, disk: usize, sector: u64) {
        self.registry.find(DISKS[disk]).unwrap().tracker.complete(sector, 1, false);
    }

    /// A block of a disk, which is committed: its changes' sectors and its tags' records.
    fn drain(&self, disk: usize) -> Result<(Vec<u64>, Vec<u8>), Errno> {
        ioctl(&self.registry, &self.files[disk], request::GET_DIRTY_BLOCKS_TRANS_V2, BASE)?;
        let changes = u64::from(u32_at(BASE + block::CHANGES));
        let sectors = (0..changes).map(|index| u64_at(BASE + block::OFFSETS + 8 * index) / 512).collect();
        let list = bytes(BASE + block::TAGS + 64, 256);
        let end = list.chunks(4).position(|record| record == [2, 0, 0, 4]).expect("the list has an end") * 4;
        let nothing = u32_at(BASE + block::FLAGS) & block::FLAG_TIMESTAMP_ONLY != 0;
        assert_eq!(nothing, changes == 0 && end == 0);
        put(BASE + 128, &u64_at(BASE).to_ne_bytes());
        put(BASE + 136, &[0; 8]);
        ioctl(&self.registry, &self.files[disk], request::COMMIT_DIRTY_BLOCKS_TRANS, BASE).unwrap();
        Ok((sectors, list[..end].to_vec()))
    }

    fn barrier(&self, milliseconds: u32) -> Result<u32, Errno> {
        put(BASE + barrier::GUID, &POINT);
        put(BASE + barrier::TIMEOUT, &milliseconds.to_ne_bytes());
        self.call(request::CREATE_BARRIER_ALL)
    }

    fn end(&self, word: u32, guid: [u8; 36], flags: u32) -> Result<u32, Errno> {
        put(BASE + barrier::GUID, &guid);
        put(BASE + barrier::FLAGS, &flags.to_ne_bytes());
        self.call(word)
    }

    /// A request for the tag `tag` of some volumes, or of all disks.
    fn tag(&self, word: u32, volumes: &[(&[u8], u32)], flags: u32) -> Result<u32, Errno> {
        put(BASE, &[0; tag_info::BYTES]);
        put(BASE + tag_info::FLAGS, &flags.to_ne_bytes());
        put(BASE + tag_info::VOLUMES, &(volumes.len() as u32).to_ne_bytes());
        put(BASE + tag_info::TAGS, &1u32.to_ne_bytes());
        put(BASE + tag_info::TIMEOUT, &1000u32.to_ne_bytes());
        put(BASE + tag_info::GUID, &POINT);
        put(BASE + tag_info::LIST, &LIST.to_ne_bytes());
        put(BASE + tag_info::NAMES, &NAMES.to_ne_bytes());
        put(NAMES, &3u16.to_ne_bytes());
        put(NAMES + 2, b"tag");
        put_volumes(volumes);
        self.call(word)
    }

    fn freeze(&self, word: u32, volumes: &[(&[u8], u32)]) -> Result<u32, Errno> {
        put(BASE, &[0; freeze::BYTES]);
        put(BASE + freeze::VOLUMES, &(volumes.len() as u32).to_ne_bytes());
        put(BASE + freeze::TIMEOUT, &500u32.to_ne_bytes());
        put(BASE + freeze::LIST, &LIST.to_ne_bytes());
        put(BASE + freeze::GUID, &POINT);
        put_volumes(volumes);
        self.call(word)
    }

    /// So many milliseconds go by, and the alarm rings where its time has come.
    fn pass(&self, milliseconds: u64) {
        if Host::pass(milliseconds) {
            alarm(&self.registry);
        }
    }
}

fn put_volumes(volumes: &[(&[u8], u32)]) {
    for (index, (name, flags)) in (0..).zip(volumes) {
        let at = LIST + index * volume_info::BYTES as u64;
        put(at, &[0; volume_info::BYTES]);
        put(at + volume_info::FLAGS, &flags.to_ne_bytes());
        put(at + volume_info::NAME, name);
    }
}

fn statuses(count: u64) -> Vec<u32> {
    (0..count).map(|index| u32_at(LIST + index * volume_info::BYTES as u64 + volume_info::STATUS)).collect()
}

/// The record of the tag `tag`: type, flags, length, length of the data, data, filler.
const RECORD: [u8; 12] = [5, 0, 0, 12, 3, 0, b't', b'a', b'g', 0, 0, 0];

#[test]
fn a_tag_under_a_barrier_lies_between_the_writes_and_holds_up_the_drain_until_it_is_committed() {
    let agent = Agent::new();
    agent.write(0, 1);
    agent.write(1, 2);
    assert_eq!(agent.barrier(300), Ok(0));
    assert!(Host::is_held());
    assert_eq!(agent.barrier(300), Err(Errno::AGAIN), "there is one already");
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &[], tag_info::FLAG_ALL), Ok(0));
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &[], tag_info::FLAG_ALL), Err(Errno::INVAL), "tagged already");
    let commit = request::TAG_COMMIT_V2;
    assert_eq!(agent.end(commit, POINT, barrier::VALUE_COMMIT), Err(Errno::INVAL), "the barrier stands");
    assert_eq!(agent.end(request::REMOVE_BARRIER_ALL, [1; 36], 0), Err(Errno::INVAL), "of another point");
    assert_eq!(agent.end(request::REMOVE_BARRIER_ALL, POINT, 0), Ok(0));
    assert!(!Host::is_held());
    for disk in 0..2 {
        agent.write(disk, 7);
        assert_eq!(agent.drain(disk).unwrap(), (vec![disk as u64 + 1], vec![]));
        assert_eq!(agent.drain(disk), Err(Errno::AGAIN));
    }
    assert_eq!(agent.end(commit, POINT, 2), Err(Errno::INVAL));
    assert_eq!(agent.end(commit, POINT, barrier::VALUE_COMMIT), Ok(0));
    assert_eq!(agent.end(commit, POINT, barrier::VALUE_COMMIT), Err(Errno::INVAL), "there is nothing to commit");
    for disk in 0..2 {
        assert_eq!(agent.drain(disk).unwrap(), (vec![], RECORD.to_vec()));
        assert_eq!(agent.drain(disk).unwrap(), (vec![7], vec![]));
        assert_eq!(agent.drain(disk).unwrap(), (vec![], vec![]));
    }
}

#[test]
fn a_revoked_tag_is_not_delivered() {
    let agent = Agent::new();
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0)], 0), Ok(0));
    assert_eq!(statuses(1), [volume_info::VALUE_METADATA]);
    agent.write(0, 3);
    assert_eq!(agent.drain(0), Err(Errno::AGAIN));
    assert_eq!(agent.end(request::TAG_COMMIT_V2, POINT, barrier::VALUE_REVOKE), Ok(0));
    assert_eq!(agent.drain(0).unwrap(), (vec![3], vec![]));
    assert_eq!(agent.registry.find(DISKS[0]).unwrap().tracker.capture.tags_lost(), 1);
}

#[test]
fn what_nobody_ends_ends_by_itself() {
    let agent = Agent::new();
    agent.barrier(300).unwrap();
    agent.tag(request::TAG_VOLUME_V2, &[], tag_info::FLAG_ALL).unwrap();
    agent.pass(299);
    assert!(Host::is_held());
    agent.pass(1);
    assert!(!Host::is_held());
    assert_eq!(agent.drain(0).unwrap(), (vec![], vec![]), "the tag was taken back");
    assert_eq!(agent.end(request::REMOVE_BARRIER_ALL, POINT, 0), Err(Errno::INVAL));
    agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0)], 0).unwrap();
    agent.pass(999);
    assert_eq!(agent.drain(0), Err(Errno::AGAIN));
    agent.pass(1);
    assert_eq!(agent.drain(0).unwrap(), (vec![], vec![]));
}

#[test]
fn a_barrier_needs_disks_that_take_tags_and_a_time_that_is_allowed() {
    let agent = Agent::new();
    for milliseconds in [0, 301, u32::MAX] {
        assert_eq!(agent.barrier(milliseconds), Err(Errno::INVAL), "{milliseconds}");
    }
    agent.registry.find(DISKS[1]).unwrap().tracker.mark(0, 8);
    assert_eq!(agent.barrier(300), Err(Errno::PERM));
    assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Err(Errno::PERM));
    agent.registry.stop_all().unwrap();
    assert_eq!(Agent { registry: Registry::new().unwrap(), files: Default::default() }.barrier(300), Err(Errno::NODEV));
}

#[test]
fn an_io_barrier_tag_is_delivered_at_once_but_on_the_disks_that_are_flagged() {
    let agent = Agent::new();
    let flagged = [(DISKS[1], volume_info::FLAG_HELD)];
    assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &flagged, 0), Ok(0));
    assert!(!Host::is_held());
    assert_eq!(agent.drain(0).unwrap(), (vec![], RECORD.to_vec()));
    assert_eq!(agent.drain(1), Err(Errno::AGAIN));
    assert_eq!(agent.end(request::TAG_COMMIT_V2, POINT, barrier::VALUE_COMMIT), Ok(0));
    assert_eq!(agent.drain(1).unwrap(), (vec![], RECORD.to_vec()));
}

#[test]
fn some_volumes_of_a_tag_are_not_protected() {
    let agent = Agent::new();
    let volumes: [(&[u8], u32); 3] = [(DISKS[0], 0), (b"sdz:1", 0), (DISKS[1], 0)];
    agent.registry.find(DISKS[1]).unwrap().tracker.mark(0, 8);
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &volumes, 0), Ok(1));
    let expected = [volume_info::VALUE_METADATA, volume_info::VALUE_NOT_PROTECTED, volume_info::VALUE_FAILED];
    assert_eq!(statuses(3), expected);
    agent.end(request::TAG_COMMIT_V2, POINT, barrier::VALUE_REVOKE).unwrap();
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &volumes[1..], 0), Err(Errno::AGAIN));
    agent.tag(request::TAG_VOLUME_V2, &volumes[..1], 0).expect("a request that placed nothing leaves no point");
}

#[test]
fn file_systems_stay_frozen_until_they_are_thawed_or_the_time_is_over() {
    let agent = Agent::new();
    let volumes: [(&[u8], u32); 2] = [(b"/dev/sda1", 0), (b"/dev/sdb1", 0)];
    assert_eq!(agent.freeze(request::FREEZE_VOLUME, &volumes), Ok(0));
    assert_eq!(Host::frozen(), ["/dev/sda1", "/dev/sdb1"]);
    assert_eq!(agent.barrier(300), Err(Errno::AGAIN), "there is a point");
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0)], 0), Ok(0));
    assert_eq!(agent.freeze(request::THAW_VOLUME, &volumes[..1]), Ok(0));
    assert_eq!(Host::frozen(), ["/dev/sdb1"]);
    let commit = request::TAG_COMMIT_V2;
    assert_eq!(agent.end(commit, POINT, barrier::VALUE_COMMIT), Err(Errno::INVAL), "one is frozen still");
    assert_eq!(agent.freeze(request::THAW_VOLUME, &volumes), Err(Errno::PERM));
    assert_eq!((statuses(2), Host::frozen()), (vec![1, 0], vec![]));
    assert_eq!(agent.end(commit, POINT, barrier::VALUE_COMMIT), Ok(0));
    assert_eq!(agent.freeze(request::FREEZE_VOLUME, &volumes), Ok(0));
    agent.pass(500);
    assert_eq!(Host::frozen(), [""; 0]);
    assert_eq!(agent.freeze(request::THAW_VOLUME, &volumes), Err(Errno::INVAL));
}

#[test]
fn one_volume_that_cannot_be_frozen_fails_the_request_and_says_which() {
    let agent = Agent::new();
    let volumes: [(&[u8], u32); 2] = [(b"none", 0), (b"/dev/sdb1", 0)];
    assert_eq!(agent.freeze(request::FREEZE_VOLUME, &volumes), Err(Errno::PERM));
    assert_eq!((statuses(2), Host::frozen()), (vec![1, 0], vec!["/dev/sdb1".to_string()]));
    agent.freeze(request::THAW_VOLUME, &volumes[1..]).unwrap();
    assert_eq!(agent.freeze(request::FREEZE_VOLUME, &volumes[..1]), Err(Errno::PERM));
    assert_eq!(agent.barrier(300), Ok(0), "nothing is frozen, so there is no point");
}

/// A stream: the id, if any, flags, volumes, tags; and its length.
fn stream(id: Option<&[u8]>, flags: u32, volumes: &[&[u8]], tags: &[&[u8]]) -> u64 {
    let mut stream = Vec::new();
    let text = |stream: &mut Vec<u8>, text: &[u8]| {
        stream.extend((text.len() as u16).to_ne_bytes());
        stream.extend(text);
    };
    if let Some(id) = id {
        text(&mut stream, id);
    }
    stream.extend(flags.to_ne_bytes());
    for list in [volumes, tags] {
        stream.extend((list.len() as u16).to_ne_bytes());
        list.iter().for_each(|item| text(&mut stream, item));
    }
    put(BASE, &stream);
    stream.len() as u64
}

#[test]
fn a_sync_tag_tells_what_became_of_it() {
    let agent = Agent::new();
    let end = stream(Some(b"id"), tag_info::FLAG_ATOMIC, &DISKS, &[b"tag"]);
    assert_eq!(agent.call(request::SYNC_TAG_VOLUME), Ok(0));
    assert_eq!(bytes(BASE + end, 8), [1, 0, 0, 0, 1, 0, 0, 0], "both are pending");
    assert_eq!(agent.drain(0).unwrap(), (vec![], RECORD.to_vec()));
    agent.registry.stop(DISKS[1]).unwrap();
    put(BASE, &[2, 0, b'i', b'd', 0, 0]);
    assert_eq!(agent.call(request::GET_TAG_VOLUME_STATUS), Ok(0));
    assert_eq!((u32_at(BASE + 6), u32_at(BASE + 10)), (tag_status::COMMITTED, tag_status::DELETED));
    put(BASE, &[2, 0, b'i', b'd', 0, 0]);
    assert_eq!(agent.call(request::GET_TAG_VOLUME_STATUS), Err(Errno::INVAL), "it was told, and forgotten");
}

#[test]
fn a_stream_of_tags_is_placed_whole_or_not_at_all_where_that_is_asked_for() {
    let agent = Agent::new();
    agent.registry.find(DISKS[1]).unwrap().tracker.mark(0, 8);
    stream(None, tag_info::FLAG_ATOMIC, &DISKS, &[b"tag"]);
    assert_eq!(agent.call(request::TAG_VOLUME), Err(Errno::AGAIN));
    stream(None, 0, &DISKS, &[b"tag", b"tag"]);
    assert_eq!(agent.call(request::TAG_VOLUME), Ok(0));
    assert_eq!(agent.drain(0).unwrap(), (vec![], [RECORD, RECORD].concat()));
    for (volumes, tags) in
        [(&[][..], &[&b"tag"[..]][..]), (&[DISKS[0]], &[]), (&[b"sdz:1"], &[b"tag"]), (&[DISKS[0]], &[b""])]
    {
        stream(None, 0, volumes, tags);
        assert_eq!(agent.call(request::TAG_VOLUME), Err(Errno::INVAL), "{volumes:?} {tags:?}");
    }
    stream(None, tag_info::FLAG_ALL, &DISKS, &[b"tag"]);
    assert_eq!(agent.call(request::TAG_VOLUME), Err(Errno::INVAL));
}

#[test]
fn no_more_tags_wait_than_there_is_room_for_and_clearing_deletes_them() {
    let agent = Agent::new();
    stream(None, 0, &DISKS[..1], &[b"tag"]);
    for _ in 0..64 {
        assert_eq!(agent.call(request::TAG_VOLUME), Ok(0));
    }
    assert_eq!(agent.call(request::TAG_VOLUME), Err(Errno::AGAIN));
    let too_long = [0xff; 4000];
    stream(None, 0, &DISKS[1..], &[&too_long]);
    assert_eq!(agent.call(request::TAG_VOLUME), Err(Errno::INVAL));
    put(BASE, &[0; 128]);
    put(BASE, DISKS[0]);
    assert_eq!(agent.call(request::CLEAR_DIFFERENTIALS), Ok(0));
    assert_eq!(agent.drain(0).unwrap(), (vec![], vec![]));
}

#[test]
fn a_long_tag_has_a_long_header() {
    let agent = Agent::new();
    let text = [b'x'; 300];
    stream(None, 0, &DISKS[..1], &[&text]);
    assert_eq!(agent.call(request::TAG_VOLUME), Ok(0));
    let file = &agent.files[0];
    ioctl(&agent.registry, file, request::GET_DIRTY_BLOCKS_TRANS_V2, BASE).unwrap();
    let record = bytes(BASE + block::TAGS + 64, 316);
    assert_eq!(record[..10], [5, 0, 1, 0, 56, 1, 0, 0, 44, 1], "312 bytes in all, 300 of them the tag");
    assert_eq!((&record[10..310], &record[310..]), (&text[..], &[0, 0, 2, 0, 0, 4][..]));
}

/// Another thread's request to wait until the tags of [`POINT`] are drained from both disks: the answer, and where it is good
/// what the disks' tags have come to.
fn notified(registry: &Registry<Host>) -> Result<Vec<u32>, Errno> {
    OwnMemory::reset(8 << 10, 0xa5);
    put(BASE, &[0; tag_notify::HEADER as usize + 2 * GUID_BYTES]);
    put(BASE + tag_notify::GUID, &POINT);
    put(BASE + tag_notify::FLAGS, &tag_notify::FLAG_BLOCK.to_ne_bytes());
    put(BASE + tag_notify::DISKS, &2u64.to_ne_bytes());
    let names = BASE + tag_notify::HEADER;
    put(names, DISKS[0]);
    put(names + GUID_BYTES as u64, DISKS[1]);
    loop {
        match ioctl(registry, &File::default(), request::TAG_DRAIN_NOTIFY, BASE) {
            Err(Errno::BUSY) => std::thread::yield_now(),
            other => {
                other?;
                break;
            }
        };
    }
    let answer = names + 2 * GUID_BYTES as u64;
    assert_eq!(u64_at(answer + tag_notify::ANSWER_DISKS), 2);
    let disk = |index| answer + tag_notify::ANSWER_HEADER + index * tag_notify::STATUS_BYTES;
    assert_eq!(bytes(disk(1), DISKS[1].len()), DISKS[1]);
    assert_eq!(bytes(disk(2), 1), [0xa5], "not a byte more");
    Ok((0..2).map(|index| u32_at(disk(index) + tag_notify::TAG_STATUS)).collect())
}

/// Returns once somebody waits for tags.
fn somebody_waits(agent: &Agent) {
    let id = TagId::new(&POINT).unwrap();
    while let Ok(watch) = agent.registry.point.with_always(|point| point.watch(id, false)) {
        agent.registry.point.with_always(|point| point.unwatch(watch));
        std::thread::yield_now();
    }
}

#[test]
fn whoever_waits_for_a_tag_hears_of_it_when_all_disks_have_drained_it_and_they_stay_as_they_are() {
    let agent = Agent::new();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| notified(&agent.registry));
        somebody_waits(&agent);
        agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0), (DISKS[1], 0)], 0).unwrap();
        agent.end(request::TAG_COMMIT_V2, POINT, barrier::VALUE_COMMIT).unwrap();
        for disk in 0..2 {
            agent.write(disk, 5);
            assert_eq!(agent.drain(disk).unwrap(), (vec![], RECORD.to_vec()));
            assert_eq!(agent.drain(disk), Err(Errno::FAULT), "what is behind the tag waits");
        }
        assert_eq!(waiter.join().unwrap(), Ok(vec![tag_notify::VALUE_COMMITTED; 2]));
    });
}

#[test]
fn a_tag_that_one_disk_did_not_get_lets_the_others_go_on() {
    let agent = Agent::new();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| notified(&agent.registry));
        somebody_waits(&agent);
        agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0)], 0).unwrap();
        let expected = [tag_notify::VALUE_INSERTED, tag_notify::VALUE_NOT_RECEIVED];
        assert_eq!(waiter.join().unwrap(), Ok(expected.to_vec()));
        let waiter = scope.spawn(|| notified(&agent.registry));
        somebody_waits(&agent);
        agent.call(request::WAKEUP_TAG_DRAIN_NOTIFY_THREAD).unwrap();
        assert_eq!(waiter.join().unwrap(), Err(Errno::INTR));
    });
    assert!(!agent.registry.find(DISKS[0]).unwrap().is_drain_blocked());
}

#[test]
fn there_is_no_consistency_point_once_the_system_shuts_down() {
    let agent = Agent::new();
    agent.barrier(300).unwrap();
    assert_eq!(agent.call(request::SYS_PRE_SHUTDOWN), Ok(0));
    assert!(!Host::is_held());
    assert_eq!(agent.barrier(300), Err(Errno::AGAIN));
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0)], 0), Err(Errno::INVAL));
    stream(None, 0, &DISKS, &[b"tag"]);
    assert_eq!(agent.call(request::TAG_VOLUME), Err(Errno::INVAL));
}

#[test]
fn a_disks_flag_and_its_telemetry_say_the_same() {
    let agent = Agent::new();
    let flags = |operation: u32, flags: u32| {
        put(BASE, &[0; volume_flags::BYTES]);
        put(BASE, DISKS[0]);
        put(BASE + volume_flags::OPERATION, &operation.to_ne_bytes());
        put(BASE + volume_flags::FLAGS, &flags.to_ne_bytes());
        agent.call(request::SET_VOLUME_FLAGS)
    };
    assert_eq!(flags(volume_flags::VALUE_SET, 4), Err(Errno::INVAL));
    assert_eq!(flags(3, volume_flags::FLAG_READ_ONLY), Err(Errno::INVAL));
    assert_eq!(flags(volume_flags::VALUE_SET, volume_flags::FLAG_READ_ONLY), Ok(0));
    agent.call(request::GET_VOLUME_FLAGS).unwrap();
    assert_eq!(u32_at(BASE + volume_flags::FLAGS), volume_flags::FLAG_READ_ONLY);
    put(BASE, &[0xa5; stats_v2::BYTES]);
    put(BASE + stats_v2::GUID, &[0; GUID_BYTES]);
    put(BASE + stats_v2::GUID, DISKS[0]);
    agent.call(request::GET_VOLUME_STATS_V2).unwrap();
    assert_eq!(u64_at(BASE + stats_v2::FLAGS), 2);
    assert_eq!((u64_at(BASE + stats_v2::TOTAL), u64_at(BASE + stats_v2::SIZE)), (2, 8000 * 512));
    assert_eq!(bytes(BASE + stats_v2::JUMP_EXPECTED, 64), [0; 64], "what has not come is 0");
    agent.call(request::GET_GLOBAL_STATS).unwrap();
    assert_eq!(bytes(BASE, 9), b"disks: 2\n");
}

#[test]
fn the_longest_times_are_tunables() {
    use attribute::common::{BARRIER_TIMEOUT, FREEZE_TIMEOUT, TAG_TIMEOUT};
    let agent = Agent::new();
    let set = |index: u32, text: &str| {
        put(BASE, &[0; attribute::BYTES]);
        put(BASE + attribute::INDEX, &index.to_ne_bytes());
        put(BASE + attribute::WHY, &attribute::VALUE_SET.to_ne_bytes());
        put(BASE + attribute::GUID, attribute::VALUE_COMMON);
        put(BASE + attribute::BUFFER, &NAMES.to_ne_bytes());
        put(BASE + attribute::BUFFER_BYTES, &(text.len() as u32).to_ne_bytes());
        put(NAMES, text.as_bytes());
        agent.call(request::GET_SET_ATTR)
    };
    assert_eq!(agent.barrier(301), Err(Errno::INVAL));
    set(BARRIER_TIMEOUT, "1000").unwrap();
    agent.barrier(1000).unwrap();
    agent.end(request::REMOVE_BARRIER_ALL, POINT, 0).unwrap();
    // What is asked for here is 500 ms for a freeze, and 1000 ms for a tag.
    set(FREEZE_TIMEOUT, "499").unwrap();
    assert_eq!(agent.freeze(request::FREEZE_VOLUME, &[(b"sda", 0)]), Err(Errno::INVAL));
    set(FREEZE_TIMEOUT, "500").unwrap();
    agent.freeze(request::FREEZE_VOLUME, &[(b"sda", 0)]).unwrap();
    agent.freeze(request::THAW_VOLUME, &[(b"sda", 0)]).unwrap();
    set(TAG_TIMEOUT, "999").unwrap();
    assert_eq!(agent.tag(request::TAG_VOLUME_V2, &[(DISKS[0], 0)], 0), Err(Errno::INVAL));
    for text in ["0", "10001", "x"] {
        assert_eq!(set(BARRIER_TIMEOUT, text), Err(Errno::INVAL), "{text}");
    }
}

/// An agent on a machine that has a place for telemetry.
fn recorded() -> Agent {
    Files::with(|all| all.directories.insert("/var/log".into()));
    Agent::new()
}

/// The records of a telemetry file, where there is one.
fn records(number: u64) -> Option<Vec<serde_json::Value>> {
    let path = format!("/var/log/involflt_telemetry_completed_{number}.log");
    let text = Files::with(|all| all.files.get(&path).cloned())?;
    let text = String::from_utf8(text).unwrap();
    Some(text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["Map"].clone()).collect())
}

/// What each record says under a key, sorted.
fn said(records: &[serde_json::Value], key: &str) -> Vec<String> {
    let mut said: Vec<String> = records.iter().filter_map(|record| Some(record[key].as_str()?.to_string())).collect();
    said.sort();
    said
}

#[test]
fn telemetry_tells_what_became_of_each_tag() {
    let agent = recorded();
    let held = [(DISKS[1], volume_info::FLAG_HELD)];
    assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &held, 0), Ok(0));
    agent.drain(0).unwrap();
    agent.end(request::TAG_COMMIT_V2, POINT, barrier::VALUE_REVOKE).unwrap();
    agent.registry.find(DISKS[0]).unwrap().tracker.mark(0, 8);
    assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Err(Errno::PERM));
    work(&agent.registry);
    assert_eq!(records(0), None);
    agent.pass(300_000);
    agent.call(request::GET_NANOSECOND_TIME).unwrap();
    assert!(Host::has_work());
    work(&agent.registry);
    let records = records(0).expect("a file after five minutes");
    // The ABI's numbers: the request has failed, the tag was drained, it was revoked.
    assert_eq!(said(&records, "TagState"), ["11", "12", "8"]);
    assert_eq!(said(&records, "MessageType"), [16, 17, 19].map(|message| (0x6000_0000 + message).to_string()));
    assert_eq!(said(&records, "NumOfTaggedDisk"), ["0", "2", "2"]);
    assert_eq!(said(&records, "DiskIdentity"), ["sda:8000", "sdb:8000"]);
    assert_eq!(said(&records, "GlobalIoctlStatus"), ["-1", "0", "0"]);
    assert_eq!(said(&records, "EventRecId"), ["1", "2", "3"]);
    assert_eq!(said(&records, "TagMarkerGUID"), [std::str::from_utf8(&POINT).unwrap(); 3]);
}

#[test]
fn telemetry_tells_of_the_drain_from_tag_to_tag() {
    let agent = recorded();
    let failed = |transaction: u64| {
        put(BASE, &[0; failed_commit::BYTES]);
        put(BASE, DISKS[0]);
        put(BASE + failed_commit::TRANSACTION, &transaction.to_ne_bytes());
        agent.call(request::COMMITDB_FAIL_TRANS).unwrap();
    };
    let tag = || assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Ok(0));
    agent.write(0, 8);
    tag();
    agent.call(request::GET_DIRTY_BLOCKS_TRANS_V2).unwrap();
    failed(u64_at(BASE));
    // The same block again, and the tag.
    (0..2).for_each(|_| drop(agent.drain(0).unwrap()));
    agent.write(0, 16);
    tag();
    put(BASE, &[0; resync_edge::BYTES]);
    put(BASE, DISKS[0]);
    agent.call(request::RESYNC_START_NOTIFICATION).unwrap();
    (0..2).for_each(|_| drop(agent.drain(0).unwrap()));
    agent.registry.telemetry.flush();
    let records = records(0).unwrap();
    let [first, second] = &records[..] else { panic!("{records:?}") };
    let numbers =
        |record: &serde_json::Value, keys: [&str; 6]| keys.map(|key| record[key].as_str().unwrap().to_string());
    let waits = ["PendChgPrev", "PendChgOnInsert", "PendChgToCmp"];
    assert_eq!(waits.map(|key| first[key].as_str().unwrap()), ["0", "512", "0"]);
    assert_eq!(waits.map(|key| second[key].as_str().unwrap()), ["512", "512", "0"]);
    let before = [
        "DrainDBCountPrev",
        "RevertDBCountPrev",
        "CommitDBCountPrev",
        "DrainDataPrevInBytes",
        "CommitDbFailPrev",
        "LastTagInsertTime",
    ];
    assert_eq!(numbers(first, before), ["0"; 6]);
    let placed = [
        "DrainDBCountCurr",
        "RevertDBCountCurr",
        "CommitDBCountCurr",
        "DrainDataCurr",
        "CommitDbFailCurr",
        "TagStatus",
    ];
    assert_eq!(numbers(first, placed), ["0"; 6]);
    assert_eq!(numbers(second, placed), ["3", "1", "2", "512", "1", "0"]);
    let drained =
        ["DrainDBCountCmp", "RevertDBCountCmp", "CommitDBCountCmp", "DrainDataToCmp", "CommitDbFailToCmp", "TagStatus"];
    assert_eq!(numbers(first, drained), ["3", "1", "2", "512", "1", "0"]);
    assert_eq!(numbers(second, drained), ["5", "1", "4", "1024", "1", "0"]);
    for key in ["LastTagInsertTime", "LastSuccessInsertTime"] {
        assert_eq!(second[key], first["TagInsertTime"], "{key}");
    }
    assert_eq!(second["PrevTagEndSeq"], first["TagEndSeq"]);
    assert_eq!(second["PrevCommittedSeq"], second["TagEndSeq"]);
    assert_eq!((&first["ResyncStartTime"], &first["ResyncEndTime"]), (&"0".into(), &"0".into()));
    assert!(second["ResyncStartTime"].as_str() > first["TagInsertTime"].as_str());
    // Made by a driver; the service and the drainer are not there, and the machine was not started with it.
    assert_eq!(first["DiskBlendedState"], ((1u64 << 58) + 2 + 4 + 8).to_string());
}

#[test]
fn telemetry_tells_of_the_capture_state() {
    let agent = recorded();
    let service = File::default();
    ioctl(&agent.registry, &service, request::SERVICE_SHUTDOWN_NOTIFY, BASE).unwrap();
    let drain = || {
        for file in &agent.files {
            ioctl(&agent.registry, file, request::GET_DIRTY_BLOCKS_TRANS_V2, BASE).unwrap();
            put(BASE + commit::TRANSACTION, &u64_at(BASE + block::TRANSACTION).to_ne_bytes());
            put(BASE + commit::FLAGS, &[0; 4]);
            ioctl(&agent.registry, file, request::COMMIT_DIRTY_BLOCKS_TRANS, BASE).unwrap();
        }
    };
    let tagged = || {
        // A drain puts the disks back to the state that they can have.
        drain();
        assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Ok(0));
        drain();
        agent.registry.telemetry.flush();
    };
    tagged();
    let all = records(0).unwrap();
    // From extents (2) to data (3), whose mode is 2.
    let flags = |before: u64, now: u64, mode: u64| ((1 << 58) + (before << 4) + (now << 2) + mode).to_string();
    assert_eq!(said(&all, "WoFlags"), [flags(2, 3, 2), flags(2, 3, 2)]);
    assert_eq!(said(&all, "NonWoSReason"), ["0", "0"]);
    release(&agent.registry, &service);
    tagged();
    let all = records(1).unwrap();
    assert_eq!(said(&all, "WoFlags"), [flags(3, 2, 1), flags(3, 2, 1)]);
    assert_eq!(
        (said(&all, "NonWoSReason"), said(&all, "CountWOSToMDUser")),
        (vec!["1".to_string(); 2], vec!["1".into(); 2])
    );
    assert_eq!(said(&all, "NewWoState"), ["2", "2"]);
}

#[test]
fn a_record_of_a_disk_with_the_longest_names_fits_its_page() {
    Files::with(|all| all.directories.insert("/var/log".into()));
    OwnMemory::reset(40 << 10, 0);
    let (registry, file) = (Registry::<Host>::new().unwrap(), File::default());
    let path = format!("{}:8000", "d".repeat(GUID_BYTES - 6));
    put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
    put(BASE + dev_info::GUID, path.as_bytes());
    put(BASE + dev_info::PNAME, "p".repeat(PNAME_BYTES - 1).as_bytes());
    ioctl(&registry, &file, request::START_FILTERING_DEVICE_V2, BASE).unwrap();
    let agent = Agent { registry, files: [file, File::default()] };
    assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Ok(0));
    agent.drain(0).unwrap();
    agent.registry.telemetry.flush();
    let records = records(0).expect("one record");
    assert_eq!((records[0]["DiskName"].as_str(), &records[0]["TagState"]), (Some(path.as_str()), &"12".into()));
}

#[test]
fn telemetry_leaves_twelve_files_and_those_of_before() {
    let agent = recorded();
    let path = |number: u64| format!("/var/log/involflt_telemetry_completed_{number}.log");
    Files::with(|all| all.files.insert(path(0), b"of before".to_vec()));
    for _ in 0..20 {
        assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Ok(0));
        (0..2).for_each(|disk| drop(agent.drain(disk)));
        agent.registry.telemetry.flush();
    }
    let numbers = |all: &mut Files| (0..30).filter(|number| all.files.contains_key(&path(*number))).collect::<Vec<_>>();
    assert_eq!(Files::with(numbers), (0..11).collect::<Vec<u64>>());
    assert_eq!(Files::with(|all| all.files[&path(0)].clone()), b"of before");
    Files::with(|all| all.files.remove(&path(0)));
    agent.registry.telemetry.flush();
    assert_eq!(Files::with(numbers), (1..12).collect::<Vec<u64>>());
    assert_eq!(records(11).unwrap().len(), 20);
}

#[test]
fn telemetry_that_cannot_be_written_is_lost_and_says_so() {
    let agent = recorded();
    let tagged = || {
        assert_eq!(agent.tag(request::IOBARRIER_TAG_VOLUME, &[], 0), Ok(0));
        (0..2).for_each(|disk| drop(agent.drain(disk)));
        agent.registry.telemetry.flush();
    };
    Files::with(|all| all.fault = Some((0, Errno::NOSPC)));
    tagged();
    Files::with(|all| all.fault = None);
    tagged();
    assert_eq!(said(&records(0).unwrap(), "Lost"), ["0", "1"]);
}
