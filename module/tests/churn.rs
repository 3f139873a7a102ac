// SPDX-License-Identifier: GPL-2.0-only
//! Sessions of too much churn: against a naive model, and as an agent hears of them.

use involflt::abi::{
    churn_all as all, churn_disk, churn_notify as notify, dev_info, dirty_block as block, failed_commit, request,
    tag_notify, EPOCH_1601, GUID_BYTES, TAG_GUID_BYTES,
};
use involflt::control::{ioctl, File};
use involflt::engine::{
    Churn, ChurnLimits, DiskSeen, Jump, Moment, Name, Network, Op, Registry, Seen, Session, TagId, CHURN_BUCKETS,
    THRESHOLD,
};
use involflt::host::{Host, OwnMemory};
use involflt::platform::{Errno, User};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Debug, Clone, Copy)]
struct Look {
    time: u64,
    seconds: u64,
    /// Bytes a second.
    rate: u64,
    pending: u64,
    slowest: u64,
    /// The session was not on before.
    begins: bool,
}

/// A session as it is remembered by who remembers every look.
#[derive(Debug, Clone, Default)]
struct Remembered {
    started: u64,
    ended: u64,
    looks: Vec<Look>,
    tag_failures: u64,
    network: Vec<(u64, u64)>,
}

impl Remembered {
    fn is_on(&self) -> bool {
        self.started != 0 && self.ended == 0
    }

    fn look(&mut self, now: Moment, milliseconds: u64, seen: Seen, on: bool, keep: bool) {
        let was_on = self.is_on();
        if on && !was_on {
            if keep && self.started != 0 {
                self.ended = 0;
            } else {
                *self = Remembered { started: now.time, ..Remembered::default() };
            }
        }
        if on || was_on {
            let seconds = if was_on { (milliseconds as f64 / 1000.0).round() as u64 } else { 1 };
            let rate = seen.written * 1000 / milliseconds;
            let Seen { pending, slowest, .. } = seen;
            self.looks.push(Look { time: now.time, seconds, rate, pending, slowest, begins: !was_on });
        }
        if was_on && !on {
            self.ended = now.time;
        }
    }

    /// The session of these looks, where so many bytes a second are supported.
    fn session(&self, width: u64, most: u64) -> Session {
        let mut session = Session {
            started: self.started,
            ended: self.ended,
            tag_failures: self.tag_failures,
            pending: self.looks.last().map_or(0, |look| look.pending),
            most_pending: self.looks.iter().map(|look| look.pending).max().unwrap_or(0),
            peak: self.looks.iter().map(|look| look.rate).max().unwrap_or(0),
            slowest: self.looks.iter().map(|look| look.slowest).max().unwrap_or(0),
            ..Session::default()
        };
        let first_most = self.looks.iter().find(|look| look.pending == session.most_pending && look.pending != 0);
        session.most_pending_time = first_most.map_or(0, |look| look.time);
        let is_slow = |two: &[Look]| !two[1].begins && two[1].pending > two[0].pending && two[1].rate <= most;
        session.is_slow = self.looks.windows(2).any(is_slow);
        let bucket = |rate: u64| CHURN_BUCKETS.min(1 + (rate / width) as usize) - 1;
        self.looks.iter().for_each(|look| session.churn[bucket(look.rate)] += look.seconds);
        let too_much: Vec<_> = self.looks.iter().filter(|look| look.rate > most).collect();
        for look in &too_much {
            session.excess[bucket(look.rate - most)] += look.seconds;
            session.excess_bytes += (look.rate - most) * look.seconds;
        }
        session.first_peak = too_much.first().map_or(0, |look| look.time);
        session.last_peak = too_much.last().map_or(0, |look| look.time);
        if let (Some(first), Some(last)) = (self.network.first(), self.network.last()) {
            let failures = self.network.len() as u64;
            session.network = Network { failures, first: first.0, last: last.0, error: last.1 };
        }
        session
    }
}

const DISKS: u64 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Milliseconds; for each disk that is filtered MiB that were written and wait; how far the clock jumps, in seconds.
    Look(u64, Vec<Option<(u64, u64)>>, i64),
    TagsFail(u64),
    TagDrained(u64, bool),
    NetworkFails(u64, u64),
    Acknowledge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let disk = prop::option::weighted(0.9, (0u64..150, prop_oneof![0u64..9, 5u64..40]));
    let jump = prop_oneof![9 => Just(0i64), 1 => -5000i64..5000];
    let step = prop_oneof![
        6 => (1000u64..4000, prop::collection::vec(disk, DISKS as usize), jump)
            .prop_map(|(time, disks, jump)| Step::Look(time, disks, jump)),
        2 => (0..1u64 << DISKS).prop_map(Step::TagsFail),
        1 => (0..DISKS, any::<bool>()).prop_map(|(disk, whole)| Step::TagDrained(disk, whole)),
        1 => (0..DISKS, any::<u64>()).prop_map(|(disk, error)| Step::NetworkFails(disk, error)),
        1 => Just(Step::Acknowledge),
    ];
    prop::collection::vec(step, 0..60)
}

/// Everything that is known, kept in the plainest way.
#[derive(Default)]
struct Model {
    all: Remembered,
    disks: Vec<Remembered>,
    filtered: Vec<bool>,
    news: bool,
    jump: Option<Jump>,
}

impl Model {
    fn forget(&mut self) {
        self.all = Remembered::default();
        self.disks.iter_mut().for_each(|disk| *disk = Remembered::default());
    }

    fn look(&mut self, now: Moment, milliseconds: u64, seen: &[Option<Seen>], jumped: Option<Jump>) {
        self.news |= jumped.is_some();
        self.jump = jumped.or(self.jump);
        let over: Vec<_> = seen.iter().map(|seen| seen.is_some_and(|seen| seen.pending > THRESHOLD)).collect();
        let on = over.contains(&true);
        let keep = self.news;
        if on && !self.all.is_on() && !keep {
            self.forget();
        }
        let mut sum = Seen::default();
        for ((disk, seen), over) in self.disks.iter_mut().zip(seen).zip(over) {
            let seen = seen.unwrap_or_default();
            disk.look(now, milliseconds, seen, over, keep);
            sum.written += seen.written;
            sum.pending += seen.pending;
        }
        self.all.look(now, milliseconds, sum, on, keep);
        self.filtered = seen.iter().map(Option::is_some).collect();
    }
}

fn name(disk: u64) -> Name<256> {
    Name::from_slice(format!("disk{disk}").as_bytes()).unwrap()
}

fn agree(churn: &Churn<Host>, model: &Model) {
    let limits = ChurnLimits::DEFAULT;
    assert_eq!(*churn.all(), model.all.session(10 << 20, limits.all_disks));
    assert_eq!((churn.news() != 0, churn.jump()), (model.news, model.jump));
    for (disk, (remembered, filtered)) in (0u64..).zip(model.disks.iter().zip(&model.filtered)) {
        let row = churn.rows().find(|row| row.name == name(disk));
        // A row that is forgotten, or was never there, says as much as an empty one.
        let session = row.map_or(Session::default(), |row| row.session);
        assert_eq!(session, remembered.session(5 << 20, limits.disk), "disk {disk}");
        assert!(row.map_or(!filtered, |row| row.is_filtered == *filtered), "disk {disk}");
    }
}

proptest! {
    #[test]
    fn sessions_are_those_of_who_remembers_every_look(steps in steps()) {
        let mut now = Moment { time: 1 << 50, uptime: 77 };
        let mut churn = Churn::<Host>::new(now).unwrap();
        let count = DISKS as usize;
        let mut model = Model { disks: vec![Remembered::default(); count], filtered: vec![false; count], ..Model::default() };
        let mut written = [0; DISKS as usize];
        for step in steps {
            match step {
                Step::Look(milliseconds, disks, seconds) => {
                    let expected = now.time + 10_000 * milliseconds;
                    let found = expected.saturating_add_signed(10_000_000 * seconds);
                    now = Moment { time: found, uptime: now.uptime + milliseconds };
                    let jumped = (!(-3600..=180).contains(&seconds)).then_some(Jump { expected, found });
                    let seen: Vec<_> = disks.iter().map(|disk| disk.map(|(written, pending)| {
                        Seen { written: written << 20, pending: pending << 20, slowest: 0 }
                    })).collect();
                    // What a disk counts begins with its row.
                    for (disk, total) in written.iter_mut().enumerate() {
                        if !churn.rows().any(|row| row.name == name(disk as u64)) {
                            *total = 0;
                        }
                    }
                    let all = seen.iter().enumerate().filter_map(|(disk, seen)| {
                        written[disk] += seen.as_ref()?.written;
                        let seen = Seen { written: written[disk], ..(*seen)? };
                        Some(DiskSeen { id: disk as u64 + 1, name: name(disk as u64), seen })
                    }).collect::<Vec<_>>();
                    churn.look(now, all.into_iter());
                    model.look(now, milliseconds, &seen, jumped);
                }
                Step::TagsFail(set) => {
                    churn.tags_failed(|id| set >> (id - 1) & 1 != 0);
                    if model.all.is_on() {
                        model.all.tag_failures += 1;
                        let failed = model.disks.iter_mut().enumerate().filter(|(disk, _)| set >> disk & 1 != 0);
                        failed.filter(|(_, disk)| disk.is_on()).for_each(|(_, disk)| disk.tag_failures += 1);
                    }
                    model.news |= model.all.tag_failures >= 3;
                }
                Step::TagDrained(disk, whole) => {
                    churn.tag_drained(disk + 1, whole);
                    model.disks[disk as usize].tag_failures = 0;
                    if whole {
                        model.all.tag_failures = 0;
                    }
                }
                Step::NetworkFails(disk, error) => {
                    churn.network_failed(disk + 1, now.time, error);
                    let disk = &mut model.disks[disk as usize];
                    if disk.is_on() {
                        disk.network.push((now.time, error));
                    }
                }
                Step::Acknowledge => {
                    let news = churn.news();
                    churn.acknowledge(news + 1);
                    agree(&churn, &model);
                    churn.acknowledge(news);
                    if model.news {
                        (model.news, model.jump) = (false, None);
                        model.forget();
                    }
                }
            }
            agree(&churn, &model);
        }
    }
}

const BASE: u64 = OwnMemory::BASE;
const MEMORY: usize = 64 << 10;
const FILL: u8 = 0xa5;
/// So many sectors that all the MiB of a test are in other places.
const PATHS: [&[u8]; 2] = [b"sda:800000", b"sdb:800000"];
const NAMES: [&[u8]; 2] = [b"one", b"two"];

/// An agent with two disks, who is the drainer.
struct Agent {
    registry: Arc<Registry<Host>>,
    files: [File; 2],
}

fn put(address: u64, bytes: &[u8]) {
    OwnMemory::write(address, bytes).unwrap();
}

fn put_name(address: u64, room: usize, name: &[u8]) {
    let mut bytes = vec![0; room];
    bytes[..name.len()].copy_from_slice(name);
    put(address, &bytes);
}

fn u64_at(address: u64) -> u64 {
    let mut bytes = [0; 8];
    OwnMemory::read(address, &mut bytes).unwrap();
    u64::from_ne_bytes(bytes)
}

fn u32_at(address: u64) -> u32 {
    u64_at(address) as u32
}

fn seconds(address: u64) -> Vec<u64> {
    (0..CHURN_BUCKETS as u64).map(|index| u64_at(address + 8 * index)).collect()
}

impl Agent {
    fn new() -> Self {
        OwnMemory::reset(MEMORY, 0);
        let agent = Agent { registry: Arc::new(Registry::new().unwrap()), files: Default::default() };
        // A host's clock that begins at 0 could not be told from "never".
        Host::pass(1000);
        (0..PATHS.len()).for_each(|disk| agent.start(disk));
        put(BASE, &[0; 4]);
        agent.call(request::PROCESS_START_NOTIFY).unwrap();
        agent
    }

    fn start(&self, disk: usize) {
        put(BASE + dev_info::TYPE, &dev_info::HOST_VOLUME.to_ne_bytes());
        put_name(BASE + dev_info::GUID, 256, PATHS[disk]);
        put_name(BASE + dev_info::PNAME, 256, NAMES[disk]);
        ioctl(&self.registry, &self.files[disk], request::START_FILTERING_DEVICE_V2, BASE).unwrap();
    }

    fn call(&self, word: u32) -> Result<u32, Errno> {
        ioctl(&self.registry, &self.files[0], word, BASE)
    }

    /// A second goes by, in which so many MiB were written to the disk, from the MiB `from` on.
    fn second(&self, disk: usize, from: u64, count: u64) {
        Host::pass(1000);
        let disk = self.registry.find(PATHS[disk]).unwrap();
        disk.tracker.count(Op::Write, count << 20);
        (from..from + count).for_each(|mib| disk.tracker.complete(mib << 11, 1 << 11, false));
        self.registry.look();
    }

    fn drain(&self, disk: usize) {
        loop {
            ioctl(&self.registry, &self.files[disk], request::GET_DIRTY_BLOCKS_TRANS_V2, BASE).unwrap();
            let changes = u32_at(BASE + block::CHANGES);
            put(BASE + 128, &u64_at(BASE).to_ne_bytes());
            put(BASE + 136, &[0; 8]);
            ioctl(&self.registry, &self.files[disk], request::COMMIT_DIRTY_BLOCKS_TRANS, BASE).unwrap();
            if changes == 0 {
                break;
            }
        }
    }

    /// A tag that no disk can take, since one of them has dirty bits.
    fn fail_tag(&self) {
        self.registry.tags_failed(|_| true);
    }

    /// Asks for news of the named disks, with room for so many.
    fn ask(&self, names: &[&[u8]], room: u32, acknowledged: Option<u64>) -> Result<u64, Errno> {
        put(BASE, &vec![FILL; MEMORY]);
        put(BASE, &[0; notify::HEADER as usize]);
        put(BASE + notify::FLAGS, &u64::from(acknowledged.is_some()).to_ne_bytes());
        put(BASE + notify::TRANSACTION, &acknowledged.unwrap_or(0).to_ne_bytes());
        put(BASE + notify::ROOM, &room.to_ne_bytes());
        put(BASE + notify::DISKS, &(names.len() as u32).to_ne_bytes());
        for (index, name) in (0..).zip(names) {
            put_name(BASE + notify::HEADER + index * GUID_BYTES as u64, GUID_BYTES, name);
        }
        self.call(request::GET_CXSTATS_NOTIFY).map(|_| BASE + notify::HEADER + (names.len() * GUID_BYTES) as u64)
    }

    /// Returns once somebody waits for a tag: there can be one who does.
    fn until_watched(&self) {
        let id = TagId::new(b"another").unwrap();
        loop {
            let mut point = self.registry.point.lock().unwrap();
            match point.watch(id, false) {
                Ok(serial) => point.unwatch(serial),
                Err(errno) => return assert_eq!(errno, Errno::BUSY),
            }
            drop(point);
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// As a program does that wants to know how it is now.
    fn ask_now(&self, names: &[&[u8]], room: u32) -> Result<u64, Errno> {
        let registry = self.registry.clone();
        let done = Arc::new(());
        let waits = Arc::downgrade(&done);
        let waker = std::thread::spawn(move || {
            OwnMemory::reset(MEMORY, 0);
            while waits.upgrade().is_some() {
                ioctl(&registry, &File::default(), request::WAKEUP_GET_CXSTATS_NOTIFY_THREAD, 0).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let answer = self.ask(names, room, None);
        drop(done);
        waker.join().unwrap();
        answer
    }
}

#[test]
fn three_tags_that_fail_while_much_waits_are_told_with_what_was_written() {
    let agent = Agent::new();
    agent.second(0, 0, 9);
    agent.second(0, 9, 30);
    agent.second(1, 0, 2);
    (0..3).for_each(|_| agent.fail_tag());
    let answer = agent.ask(&NAMES, 2, None).unwrap();
    let transaction = u64_at(answer + all::TRANSACTION);
    assert_ne!(transaction, 0);
    assert_eq!(u64_at(answer + all::FLAGS), all::FLAG_SLOW, "39 MiB in a second would be too much for one disk alone");
    assert_eq!(seconds(answer + all::CHURN), [2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((u64_at(answer + all::PENDING), u64_at(answer + all::TAG_FAILURES)), (41 << 20, 3));
    assert_eq!((u32_at(answer + all::DISKS), u64_at(answer + all::ENDED)), (2, 0));
    assert!(u64_at(answer + all::STARTED) > EPOCH_1601);
    let disk = answer + all::HEADER;
    assert_eq!(u64_at(disk + churn_disk::FLAGS), churn_disk::FLAG_PEAK);
    assert_eq!(seconds(disk + churn_disk::CHURN), [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(seconds(disk + churn_disk::EXCESS), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((u64_at(disk + churn_disk::EXCESS_BYTES), u64_at(disk + churn_disk::PEAK)), (5 << 20, 30 << 20));
    assert!(u64_at(disk + churn_disk::STARTED) < EPOCH_1601, "a disk's start is in Unix time");
    assert_eq!(u64_at(disk + churn_disk::FIRST_PEAK), u64_at(disk + churn_disk::LAST_PEAK));
    let other = disk + churn_disk::BYTES as u64;
    assert_eq!((u64_at(other + churn_disk::FLAGS), u64_at(other + churn_disk::STARTED)), (0, 0));
    assert_eq!(u64_at(other + churn_disk::BYTES as u64), u64::from_ne_bytes([FILL; 8]), "and not a byte more");
}

#[test]
fn news_are_told_again_until_they_are_acknowledged() {
    let agent = Agent::new();
    agent.second(0, 0, 20);
    (0..3).for_each(|_| agent.fail_tag());
    let ask = |acknowledged| {
        let answer = agent.ask(&NAMES, 2, acknowledged).unwrap();
        (u64_at(answer + all::TRANSACTION), u64_at(answer + all::PENDING))
    };
    let first = ask(None);
    assert_eq!(ask(Some(first.0 + 1)), first, "another number acknowledges nothing");
    agent.drain(0);
    agent.second(0, 0, 0);
    assert_eq!(ask(None), (first.0, 0), "and the session goes on being told after its end");
    agent.second(0, 0, 10);
    (0..3).for_each(|_| agent.fail_tag());
    assert_eq!(ask(None).0, first.0, "what comes meanwhile is part of the same news");
    let registry = agent.registry.clone();
    let waker = std::thread::spawn(move || {
        OwnMemory::reset(MEMORY, 0);
        std::thread::sleep(std::time::Duration::from_millis(20));
        ioctl(&registry, &File::default(), request::WAKEUP_GET_CXSTATS_NOTIFY_THREAD, 0).unwrap();
    });
    assert_eq!(ask(Some(first.0)), (0, 0), "nothing is left to tell, so this waited to be woken");
    waker.join().unwrap();
}

#[test]
fn tags_that_fail_without_a_session_or_without_a_drainer_are_no_news() {
    let agent = Agent::new();
    (0..5).for_each(|_| agent.fail_tag());
    let answer = agent.ask_now(&NAMES, 2).unwrap();
    assert_eq!((u64_at(answer + all::TAG_FAILURES), u64_at(answer + all::TRANSACTION)), (0, 0));
    agent.second(0, 0, 20);
    agent.registry.drainer_goes();
    (0..5).for_each(|_| agent.fail_tag());
    let answer = agent.ask_now(&NAMES, 2).unwrap();
    assert_eq!((u64_at(answer + all::TAG_FAILURES), u64_at(answer + all::TRANSACTION)), (0, 0));
}

#[test]
fn a_jump_of_the_clock_is_told_at_once() {
    let agent = Agent::new();
    for (milliseconds, flag) in [(400_000, all::FLAG_FORWARDS), (-4_000_000, all::FLAG_BACKWARDS)] {
        // Far enough from 0 to go back.
        Host::pass(5_000_000);
        agent.registry.look();
        Host::set_clock(milliseconds);
        Host::pass(1000);
        let answer = agent.ask(&NAMES, 2, None).unwrap();
        assert_eq!(u64_at(answer + all::FLAGS), flag);
        // The host's clock goes on by itself a little.
        assert!(u64_at(answer + all::JUMP).abs_diff(milliseconds.unsigned_abs()) <= 1);
        assert!(u64_at(answer + all::JUMP_TIME) > EPOCH_1601);
        let transaction = u64_at(answer + all::TRANSACTION);
        agent.registry.churn.lock().unwrap().acknowledge(transaction);
    }
}

#[test]
fn limits_are_the_agents() {
    let agent = Agent::new();
    agent.second(0, 0, 9);
    agent.fail_tag();
    put(BASE, &[0; notify::HEADER as usize]);
    put(BASE + notify::TAG_FAILURES, &1u64.to_ne_bytes());
    put(BASE + notify::DISK, &2u64.to_ne_bytes());
    put(BASE + notify::ALL_DISKS, &u64::MAX.to_ne_bytes());
    put(BASE + notify::ROOM, &2u32.to_ne_bytes());
    agent.call(request::GET_CXSTATS_NOTIFY).unwrap();
    agent.second(0, 9, 9);
    agent.call(request::GET_CXSTATS_NOTIFY).unwrap();
    let answer = BASE + notify::HEADER;
    assert_eq!(u64_at(answer + all::FLAGS) & all::FLAG_PEAK, 0);
    assert_eq!(u64_at(answer + all::HEADER + churn_disk::EXCESS_BYTES), 7 << 20);
}

#[test]
fn disks_that_are_not_named_are_told_of_and_those_that_are_gone_say_so() {
    let agent = Agent::new();
    agent.second(0, 0, 20);
    agent.second(1, 0, 20);
    assert_eq!(agent.ask_now(&[], 1), Err(Errno::AGAIN), "there are two");
    put_name(BASE, GUID_BYTES, PATHS[0]);
    agent.call(request::STOP_FILTERING_DEVICE).unwrap();
    agent.second(1, 20, 1);
    let answer = agent.ask_now(&[b"nobody", NAMES[0]], 3).unwrap();
    assert_eq!(u32_at(answer + all::DISKS), 3);
    let flags = |index: u64| u64_at(answer + all::HEADER + index * churn_disk::BYTES as u64 + churn_disk::FLAGS);
    assert_eq!(flags(0), churn_disk::FLAG_NOT_FILTERED);
    assert_eq!(flags(1), churn_disk::FLAG_REMOVED);
    let ended = answer + all::HEADER + churn_disk::BYTES as u64 + churn_disk::ENDED;
    assert_ne!(u64_at(ended), 0, "its session has ended with it");
    assert_eq!(flags(2) & !churn_disk::FLAG_SLOW, 0);
    agent.start(0);
    let answer = agent.ask_now(&NAMES, 4).unwrap();
    assert_eq!(u64_at(answer + all::HEADER + churn_disk::FLAGS), churn_disk::FLAG_REMOVED, "until the next look");
    agent.second(0, 0, 1);
    let answer = agent.ask_now(&NAMES, 4).unwrap();
    assert_eq!(u64_at(answer + all::HEADER + churn_disk::FLAGS), 0);
}

#[test]
fn a_request_that_is_wrong_waits_for_nothing() {
    let agent = Agent::new();
    let too_many = 257u32.to_ne_bytes();
    for place in [notify::ROOM, notify::DISKS] {
        put(BASE, &[0; notify::HEADER as usize]);
        put(BASE + place, &too_many);
        assert_eq!(agent.call(request::GET_CXSTATS_NOTIFY), Err(Errno::INVAL));
    }
    assert_eq!(agent.ask(&NAMES, 1, None), Err(Errno::AGAIN));
    assert_eq!(agent.ask(&[&[b'x'; GUID_BYTES]], 2, None), Err(Errno::INVAL), "a name without end");
    let end = BASE + MEMORY as u64 - notify::HEADER;
    put(end, &[0; notify::HEADER as usize]);
    put(end + notify::DISKS, &1u32.to_ne_bytes());
    assert_eq!(ioctl(&agent.registry, &agent.files[0], request::GET_CXSTATS_NOTIFY, end), Err(Errno::FAULT));
}

#[test]
fn failures_of_the_network_and_slow_commits_are_told_of_their_disk() {
    let agent = Agent::new();
    agent.second(0, 0, 20);
    ioctl(&agent.registry, &agent.files[0], request::GET_DIRTY_BLOCKS_TRANS_V2, BASE).unwrap();
    let transaction = u64_at(BASE);
    for error in [5u64, 7] {
        put_name(BASE, GUID_BYTES, PATHS[0]);
        put(BASE + failed_commit::TRANSACTION, &transaction.to_ne_bytes());
        put(BASE + failed_commit::FLAGS, &failed_commit::FLAG_NETWORK.to_ne_bytes());
        put(BASE + failed_commit::ERROR, &error.to_ne_bytes());
        agent.call(request::COMMITDB_FAIL_TRANS).unwrap();
        Host::pass(300);
    }
    put(BASE + 128, &transaction.to_ne_bytes());
    put(BASE + 136, &[0; 8]);
    agent.call(request::COMMIT_DIRTY_BLOCKS_TRANS).unwrap();
    agent.second(0, 0, 1);
    let answer = agent.ask_now(&NAMES, 2).unwrap();
    let disk = answer + all::HEADER;
    assert_eq!(u64_at(disk + churn_disk::FLAGS) & churn_disk::FLAG_NETWORK, churn_disk::FLAG_NETWORK);
    assert_eq!((u64_at(disk + churn_disk::FAILURES), u64_at(disk + churn_disk::LAST_ERROR)), (2, 7));
    assert!(u64_at(disk + churn_disk::FIRST_FAILURE) < u64_at(disk + churn_disk::LAST_FAILURE));
    assert_eq!((u64_at(disk + churn_disk::SLOWEST), u64_at(answer + all::SLOWEST)), (600, 600));
}

#[test]
fn who_waits_for_a_tag_hears_of_the_churn_too() {
    let agent = Agent::new();
    agent.second(0, 0, 20);
    agent.second(0, 20, 30);
    let (registry, guid) = (agent.registry.clone(), [b'7'; TAG_GUID_BYTES]);
    let waiter = std::thread::spawn(move || {
        OwnMemory::reset(MEMORY, 0);
        put(BASE + tag_notify::GUID, &guid);
        put(BASE + tag_notify::DISKS, &1u64.to_ne_bytes());
        put_name(BASE + tag_notify::HEADER, GUID_BYTES, NAMES[0]);
        ioctl(&registry, &File::default(), request::TAG_DRAIN_NOTIFY, BASE).unwrap();
        let answer = BASE + tag_notify::HEADER + GUID_BYTES as u64;
        let disk = answer + tag_notify::ANSWER_HEADER + tag_notify::CHURN;
        (u64_at(answer + tag_notify::ALL_DISKS + all::PENDING), u64_at(disk + churn_disk::FLAGS))
    });
    agent.until_watched();
    let mut stream = vec![0, 0, 0, 0, 1, 0, PATHS[0].len() as u8, 0];
    stream.extend_from_slice(PATHS[0]);
    stream.extend_from_slice(&[1, 0, 1, 0, b't']);
    let mut request = vec![TAG_GUID_BYTES as u8, 0];
    request.extend_from_slice(&guid);
    request.extend_from_slice(&stream);
    put(BASE, &request);
    agent.call(request::SYNC_TAG_VOLUME).unwrap();
    agent.drain(0);
    let (pending, flags) = waiter.join().unwrap();
    assert_eq!((pending, flags), (50 << 20, churn_disk::FLAG_PEAK));
}
