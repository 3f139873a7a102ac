// SPDX-License-Identifier: GPL-2.0-only
//! Waiting for news of churn, and telling of it.

use crate::abi::{churn_all as all, churn_disk, churn_notify as notify, EPOCH_1601, GUID_BYTES};
use crate::control::user::Struct;
use crate::engine::{Churn, ChurnLimits, Name, Registry, Row, Session, LOOK, MAX_DISKS};
use crate::platform::{Errno, Event, Mutex, Platform, Result, User, Waited};

/// A time in 100 ns since 1601; none stays 0.
pub(crate) fn since_1601(time: u64) -> u64 {
    match time {
        0 => 0,
        _ => time.saturating_add(EPOCH_1601),
    }
}

/// What the agent asks.
struct Request<P: Platform> {
    acknowledged: u64,
    limits: ChurnLimits,
    names: P::Bytes,
    room: usize,
    answer: Struct<P>,
}

impl<P: Platform> Request<P> {
    /// Fails with [`Errno::INVAL`] for more disks than there can be.
    fn new(argument: u64) -> Result<Self> {
        let header = Struct::<P>::new(argument, notify::HEADER as usize)?;
        let count = |offset| {
            let count = header.u32(offset)? as usize;
            if count > MAX_DISKS {
                return Err(Errno::INVAL);
            }
            Ok(count)
        };
        let (room, disks) = (count(notify::ROOM)?, count(notify::DISKS)?);
        let whole = notify::HEADER + (disks * GUID_BYTES) as u64;
        let mut names = P::bytes(disks * GUID_BYTES)?;
        P::User::read(Struct::<P>::new(argument, whole as usize)?.address(notify::HEADER), &mut names)?;
        let acknowledges = header.u64(notify::FLAGS)? & notify::FLAG_ACKNOWLEDGE != 0;
        let request = Request {
            acknowledged: if acknowledges { header.u64(notify::TRANSACTION)? } else { 0 },
            limits: limits(&header)?,
            names,
            room,
            answer: Struct::new(argument + whole, answer_bytes(room))?,
        };
        (0..disks).try_for_each(|index| request.name(index).map(drop))?;
        Ok(request)
    }

    fn disks(&self) -> usize {
        self.names.len() / GUID_BYTES
    }

    fn name(&self, index: usize) -> Result<Name<GUID_BYTES>> {
        let mut name = [0; GUID_BYTES];
        name.copy_from_slice(&self.names[index * GUID_BYTES..][..GUID_BYTES]);
        Name::new(name)
    }

    fn is_named(&self, row: &Row) -> bool {
        (0..self.disks()).any(|index| self.name(index).is_ok_and(|name| name.as_bytes() == row.name.as_bytes()))
    }

    /// Disks that are told of though nobody named them. Their number.
    fn others(&self, churn: &Churn<P>, mut each: impl FnMut(&Row)) -> usize {
        let mut count = 0;
        for row in churn.rows() {
            if !self.is_named(row) {
                each(row);
                count += 1;
            }
        }
        count
    }

    fn has_room(&self, churn: &Churn<P>) -> Result<()> {
        if self.disks() + self.others(churn, |_| {}) > self.room {
            return Err(Errno::AGAIN);
        }
        Ok(())
    }
}

/// Bytes of an answer with room for so many disks.
fn answer_bytes(room: usize) -> usize {
    all::HEADER as usize + room * churn_disk::BYTES
}

fn limits<P: Platform>(header: &Struct<P>) -> Result<ChurnLimits> {
    let default = ChurnLimits::DEFAULT;
    let or = |offset, default| header.u64(offset).map(|value| if value == 0 { default } else { value });
    Ok(ChurnLimits {
        tag_failures: or(notify::TAG_FAILURES, default.tag_failures)?,
        all_disks: or(notify::ALL_DISKS, default.all_disks >> 20)?.saturating_mul(1 << 20),
        disk: or(notify::DISK, default.disk >> 20)?.saturating_mul(1 << 20),
        forwards: or(notify::FORWARDS, default.forwards)?,
        backwards: or(notify::BACKWARDS, default.backwards)?,
    })
}

/// Waits until there is news of churn, or somebody wakes those who wait, and tells how it is.
///
/// Fails with [`Errno::AGAIN`] where the answer has too little room, and with [`Errno::INTR`] for a signal.
pub(super) fn wait<P: Platform>(registry: &Registry<P>, argument: u64) -> Result<()> {
    let request = Request::<P>::new(argument)?;
    let mut answer = P::bytes(answer_bytes(request.room))?;
    let wakes = registry.churn.with_always(|churn| {
        request.has_room(churn)?;
        churn.acknowledge(request.acknowledged);
        churn.set_limits(request.limits);
        Ok(churn.wakes())
    })?;
    loop {
        let seen = registry.news.count();
        registry.look();
        if registry.churn.with_always(|churn| churn.news() != 0 || churn.wakes() != wakes) {
            registry.churn.with(|churn| tell(&request, churn, &mut answer))??;
            return request.answer.put(0, &answer);
        }
        if registry.news.wait(seen, LOOK as u32) == Waited::Interrupted {
            return Err(Errno::INTR);
        }
    }
}

/// Whoever waits for news waits no longer.
pub(super) fn wake<P: Platform>(registry: &Registry<P>) {
    registry.churn.with_always(Churn::wake);
    registry.news.happen();
}

/// A structure of an answer, all of it zero at first. It is made whole before a byte of it goes to the caller: nobody waits
/// for the caller's memory while he has the churn.
struct Part<'a>(&'a mut [u8]);

impl Part<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn put_u64(&mut self, offset: u64, value: u64) {
        self.put(offset, &value.to_ne_bytes());
    }

    /// A time that was told in 100 ns since 1970.
    fn put_time(&mut self, offset: u64, time: u64) {
        self.put_u64(offset, since_1601(time));
    }

    fn put_buckets(&mut self, offset: u64, buckets: &[u64]) {
        (0..).zip(buckets).for_each(|(index, &seconds)| self.put_u64(offset + 8 * index, seconds));
    }
}

/// Makes the answer, whose bytes are zero.
fn tell<P: Platform>(request: &Request<P>, churn: &Churn<P>, answer: &mut [u8]) -> Result<()> {
    request.has_room(churn)?;
    let (header, disks) = answer.split_at_mut(all::HEADER as usize);
    put_all(header, churn);
    let mut disks = disks.chunks_exact_mut(churn_disk::BYTES);
    for (index, disk) in (0..request.disks()).zip(&mut disks) {
        put_named(disk, churn, request.name(index)?.as_bytes());
    }
    let others = request.others(churn, |row| {
        if let Some(disk) = disks.next() {
            put_disk(disk, row);
        }
    });
    Part(header).put(all::DISKS, &((request.disks() + others) as u32).to_ne_bytes());
    Ok(())
}

/// The session of all disks, in bytes that are zero.
pub(super) fn put_all<P: Platform>(bytes: &mut [u8], churn: &Churn<P>) {
    let (mut part, session) = (Part(bytes), churn.all());
    let mut flags = flags(session, all::FLAG_PEAK, all::FLAG_SLOW);
    if let Some(jump) = churn.jump() {
        flags |= if jump.is_forwards() { all::FLAG_FORWARDS } else { all::FLAG_BACKWARDS };
        part.put_time(all::JUMP_TIME, jump.found);
        part.put_u64(all::JUMP, jump.milliseconds());
    }
    part.put_u64(all::FLAGS, flags);
    part.put_u64(all::TRANSACTION, churn.news());
    part.put_buckets(all::CHURN, &session.churn);
    part.put_buckets(all::EXCESS, &session.excess);
    part.put_time(all::STARTED, session.started);
    part.put_time(all::MOST_PENDING_TIME, session.most_pending_time);
    part.put_time(all::FIRST_PEAK, session.first_peak);
    part.put_time(all::LAST_PEAK, session.last_peak);
    part.put_time(all::ENDED, session.ended);
    part.put_u64(all::PEAK, session.peak);
    part.put_u64(all::PENDING, session.pending);
    part.put_u64(all::MOST_PENDING, session.most_pending);
    part.put_u64(all::EXCESS_BYTES, session.excess_bytes);
    part.put_u64(all::TAG_FAILURES, session.tag_failures);
    part.put_u64(all::SLOWEST, session.slowest);
}

/// The session of the disk with that persistent name, in bytes that are zero.
pub(super) fn put_named<P: Platform>(bytes: &mut [u8], churn: &Churn<P>, name: &[u8]) {
    let rows = || churn.rows().filter(|row| row.name.as_bytes() == name);
    // A disk that was stopped and started again has two.
    match rows().find(|row| row.is_filtered).or_else(|| rows().next()) {
        Some(row) => put_disk(bytes, row),
        None => {
            let mut part = Part(bytes);
            part.put(churn_disk::NAME, name);
            part.put_u64(churn_disk::FLAGS, churn_disk::FLAG_NOT_FILTERED);
        }
    }
}

fn put_disk(bytes: &mut [u8], row: &Row) {
    let (mut part, session, network) = (Part(bytes), &row.session, &row.session.network);
    let name = row.name.as_bytes();
    // A longer name cannot be told, and cannot have been named.
    part.put(churn_disk::NAME, &name[..name.len().min(GUID_BYTES - 1)]);
    part.put_u64(churn_disk::FLAGS, disk_flags(row));
    part.put_buckets(churn_disk::CHURN, &session.churn);
    part.put_buckets(churn_disk::EXCESS, &session.excess);
    part.put_u64(churn_disk::STARTED, session.started);
    part.put_time(churn_disk::MOST_PENDING_TIME, session.most_pending_time);
    part.put_time(churn_disk::FIRST_FAILURE, network.first);
    part.put_time(churn_disk::LAST_FAILURE, network.last);
    part.put_time(churn_disk::FIRST_PEAK, session.first_peak);
    part.put_time(churn_disk::LAST_PEAK, session.last_peak);
    part.put_u64(churn_disk::ENDED, session.ended);
    part.put_u64(churn_disk::LAST_ERROR, network.error);
    part.put_u64(churn_disk::PEAK, session.peak);
    part.put_u64(churn_disk::PENDING, session.pending);
    part.put_u64(churn_disk::MOST_PENDING, session.most_pending);
    part.put_u64(churn_disk::FAILURES, network.failures);
    part.put_u64(churn_disk::TAG_FAILURES, session.tag_failures);
    part.put_u64(churn_disk::EXCESS_BYTES, session.excess_bytes);
    part.put_u64(churn_disk::SLOWEST, session.slowest);
}

fn flags(session: &Session, peak: u64, slow: u64) -> u64 {
    let peaks = if session.first_peak != 0 { peak } else { 0 };
    let slow = if session.is_slow { slow } else { 0 };
    peaks | slow
}

fn disk_flags(row: &Row) -> u64 {
    let network = if row.session.network.failures != 0 { churn_disk::FLAG_NETWORK } else { 0 };
    let removed = if row.is_filtered { 0 } else { churn_disk::FLAG_REMOVED };
    flags(&row.session, churn_disk::FLAG_PEAK, churn_disk::FLAG_SLOW) | network | removed
}
