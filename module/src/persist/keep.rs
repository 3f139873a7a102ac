// SPDX-License-Identifier: GPL-2.0-only
//! A disk's bitmap file from its start to its end, in the place where the ABI has it.
//!
//! Whatever a file system refuses, the disk is filtered: then nothing of it is kept, and its next start finds a file that
//! does not say "clean", or one that was closed when less had been written to the disk.

use super::aging::Aging;
use super::marker::Room;
use super::place::{Blockwise, Place};
use super::proven::Proven;
use super::{read_header, read_marks, BitmapFile, Damage, Header, Marker, Resync, Seen, State, BLOCK};
use crate::engine::{Drain, Hole, Intent, Name, Op, Phase, Previous, ResyncReport, Stamp, Tracker};
use crate::platform::{Attached, Ended, Errno, File, Mode, Mutex, Pinned, Platform, Result, Sighting};

/// What outlives the module of one disk.
pub struct Keep<P: Platform> {
    /// The file, in use; or why there is none.
    file: Result<BitmapFile<P>>,
    past: Past,
    /// The disk when it was attached.
    begun: Sighting,
    /// Whether delivery was forbidden at the end of an earlier session.
    drain_blocked: bool,
    /// The file's blocks, where its file system leaves them in their places.
    pinned: Option<P::Pinned>,
    /// Bits that the disk had when the file was written last, before the machine stops.
    rehearsed: Option<u64>,
    /// In write-intent mode the tracker has the file, and its blocks.
    aging: Option<Aging<P>>,
    /// Whether the disk is to be in write-intent mode.
    write_intent: bool,
}

/// What an earlier session has left.
#[derive(Clone, Copy)]
enum Past {
    /// There was none.
    New,
    /// There was one, and what it committed last is not known.
    Lost,
    /// What its file says.
    Closed { seen: Seen, previous: Previous, ended: Option<Ended> },
}

/// What there was in the place.
enum Found<P: Platform> {
    /// Bits, which the tracker has now.
    Bits(BitmapFile<P>),
    /// The machine stopped in write-intent mode: regions, whose bits the tracker has now.
    Regions(P::Boxed<Header>),
    /// Nothing: the disk is new.
    Nothing,
    /// Nothing that can be used.
    Hole(Hole),
}

impl<P: Platform> Keep<P> {
    /// Nothing is kept, for want of what `errno` says.
    pub fn nothing(errno: Errno) -> Self {
        Keep {
            file: Err(errno),
            past: Past::New,
            begun: Seen::NOTHING.disk,
            // What was said of it is not known before the root file system is there; nothing is delivered until then.
            drain_blocked: errno == Errno::AGAIN,
            pinned: None,
            rehearsed: None,
            aging: None,
            write_intent: false,
        }
    }

    /// Before the disk is filtered: takes over what its file has kept, and says in the file that it is in use, or makes
    /// a new one. What cannot be taken over is a hole.
    pub fn begin(name: &Name<256>, tracker: &Tracker<P>) -> Self {
        match Place::new(name) {
            Ok(place) => Self::begin_in(&place, name, tracker),
            Err(errno) => Self::nothing(errno),
        }
    }

    fn begin_in(place: &Place<P>, name: &Name<256>, tracker: &Tracker<P>) -> Self {
        let (file, past) = match find(place, name, tracker) {
            Found::Bits(file) => {
                let Header { seen, previous, ended, .. } = restored(file.header(), tracker);
                (begun(file, place), Past::Closed { seen, previous, ended })
            }
            Found::Regions(header) => {
                let Header { seen, previous, ended, .. } = restored(&header, tracker);
                (create(place, name, tracker), Past::Closed { seen, previous, ended })
            }
            Found::Nothing => (create(place, name, tracker), Past::New),
            Found::Hole(hole) => {
                tracker.hole(hole);
                (create(place, name, tracker), Past::Lost)
            }
        };
        let was_filtered = place.is_filtered();
        let drain_blocked = was_filtered && place.is_drain_blocked();
        let write_intent = was_filtered && place.is_write_intent();
        // Writing it anew would empty it for a moment, at which the power may be cut.
        if !was_filtered {
            place.set_filtered(true);
        }
        let pinned = file.as_ref().ok().and_then(|_| P::Pinned::pin(place.bitmap()).ok());
        let begun = Seen::NOTHING.disk;
        Keep { file, past, begun, drain_blocked, pinned, rehearsed: None, aging: None, write_intent }
    }

    /// The disk is filtered since it was `seen`. Gives the end of the block that was committed last, as the ABI has it for a
    /// disk that is new or of which that is not known. If what was kept is not true any longer, that is a hole.
    pub fn attached(&mut self, tracker: &Tracker<P>, seen: Sighting) -> Previous {
        self.begun = seen;
        let previous = match self.past {
            Past::New => return Previous::NONE,
            Past::Lost => return Previous::UNKNOWN,
            Past::Closed { seen: then, previous, ended } => self.is_still(then, ended, seen).then_some(previous),
        };
        previous.unwrap_or_else(|| {
            tracker.hole(Hole::Unwatched);
            Previous::UNKNOWN
        })
    }

    /// The root file system is there. A disk that is filtered since before that takes over what its file has kept, as in
    /// [`Self::begin`], and is given what [`Self::attached`] gives.
    pub fn root_is_there(&mut self, name: &Name<256>, tracker: &Tracker<P>) -> Option<Previous> {
        if !matches!(self.file, Err(Errno::AGAIN)) {
            return None;
        }
        let seen = self.begun;
        *self = Self::begin(name, tracker);
        Some(self.attached(tracker, seen))
    }

    /// Whether nobody has written to the disk since its file was closed.
    fn is_still(&mut self, then: Seen, ended: Option<Ended>, disk: Sighting) -> bool {
        let now = Seen { boot: boot::<P>(), disk };
        match ended {
            None => then.is_still(&now),
            Some(ended) => then.boot != now.boot && now.boot != Seen::NOTHING.boot && self.is_next_boot(ended, disk),
        }
    }

    /// Whether no boot came between: the file's file system was not mounted writable, but for now, and in this boot nobody
    /// has written to the disk before it was filtered.
    fn is_next_boot(&mut self, ended: Ended, disk: Sighting) -> bool {
        let mounts = self.pinned.as_mut().and_then(|pinned| pinned.mounts().ok());
        disk.untouched && mounts.is_some_and(|mounts| mounts.ended() == ended)
    }

    /// The machine stops. Writes to the file's blocks what [`Self::finish`] will write; `false` where the disk has got other
    /// bits since the last time, which may come of that very writing.
    pub fn rehearse(&mut self, tracker: &Tracker<P>) -> bool {
        let taken = tracker.intent.marker.try_with(|slot| self.take_back(tracker, slot));
        if taken != Some(Ok(())) {
            return true;
        }
        let (Ok(file), Some(pinned)) = (&mut self.file, &mut self.pinned) else { return true };
        let bits = tracker.live().dirty();
        if self.rehearsed == Some(bits) {
            return true;
        }
        let identity = file.header().identity;
        let done = P::boxed([0; BLOCK])
            .and_then(|mut there| file.rehearse(&mut Proven::<P>::new(pinned, identity, &mut there), tracker.live()));
        self.rehearsed = Some(bits);
        if let Err(errno) = done {
            self.file = Err(errno);
        }
        done.is_err()
    }

    /// The last word before the machine stops: the file's bits are true. Fails as reading and writing do, and with
    /// [`Errno::BUSY`] where somebody may still write.
    pub fn finish(&mut self, name: &Name<256>, tracker: &Tracker<P>, previous: Previous) -> Result<()> {
        let file = self.file.as_mut().map_err(|errno| *errno)?;
        let pinned = self.pinned.as_mut().ok_or(Errno::OPNOTSUPP)?;
        let mounts = pinned.mounts()?;
        if mounts.writable || self.rehearsed != Some(tracker.live().dirty()) {
            return Err(Errno::BUSY);
        }
        let seen = Seen { boot: boot::<P>(), ..Seen::NOTHING };
        let last = Header { ended: Some(mounts.ended()), ..last(file.header(), name, tracker, seen, previous) };
        let identity = last.identity;
        let mut there = P::boxed([0; BLOCK])?;
        file.close(&mut Proven::<P>::new(pinned, identity, &mut there), tracker.live(), last)
    }

    /// The disk is not filtered since it was `seen`, and `tracker` has all its changes as dirty bits: the next start goes
    /// on with them. Fails as writing does; the file then does not say "clean".
    pub fn close(&mut self, name: &Name<256>, tracker: &Tracker<P>, seen: Sighting, previous: Previous) -> Result<()> {
        let counted = seen.sure || self.has_counted(tracker, seen);
        // By way of the file system again.
        self.pinned = None;
        let file = self.file.as_mut().map_err(|errno| *errno)?;
        let seen = if counted { Seen { boot: boot::<P>(), disk: seen } } else { Seen::NOTHING };
        let last = last(file.header(), name, tracker, seen, previous);
        let mut blocks = Blockwise(P::File::open(Place::<P>::new(name)?.bitmap(), Mode::Write)?);
        file.close(&mut blocks, tracker.live(), last)
    }

    /// Whether the disk's driver has counted the writes of this session, so that it will have counted those after it.
    fn has_counted(&self, tracker: &Tracker<P>, seen: Sighting) -> bool {
        let operations: u64 = Op::ALL.iter().map(|&(op, ..)| tracker.counters.operations(op)).sum();
        operations != 0 && seen.written.saturating_sub(self.begun.written) >= operations
    }

    /// The disk is stopped for good: its next start is that of a new disk.
    pub fn forget(&mut self, name: &Name<256>) {
        self.pinned = None;
        if matches!(self.file, Err(Errno::EXIST)) {
            return;
        }
        if let Ok(place) = Place::<P>::new(name) {
            place.empty();
            place.set_filtered(false);
        }
    }

    /// Whether delivery was forbidden before the disk was filtered anew, and still is.
    pub fn is_drain_blocked(&self) -> bool {
        self.drain_blocked
    }

    /// Whether a disk with this persistent name was filtered when it was last heard of, and not stopped.
    pub fn is_known(name: &Name<256>) -> bool {
        Place::<P>::new(name).is_ok_and(|place| place.is_filtered())
    }

    /// Whether changes outlive the module; where not, why.
    pub fn state(&self) -> Result<()> {
        match self.aging {
            Some(_) => Ok(()),
            None => self.file.as_ref().map(drop).map_err(|errno| *errno),
        }
    }

    /// Whether the disk is to be in write-intent mode; [`crate::engine::Intent::phase`] says whether it is.
    pub fn is_write_intent(&self) -> bool {
        self.write_intent
    }

    /// The filtered disk `device` is to be in write-intent mode, also after its next start. `drain` has what the tracker does not.
    ///
    /// Fails with [`Errno::OPNOTSUPP`] where the file is not pinned or writes cannot be held, with [`Errno::DEADLK`] where the
    /// file is on the disk itself, and as reading, writing and flushing do. The mode is off then.
    pub fn begin_intent(
        &mut self,
        name: &Name<256>,
        tracker: &Tracker<P>,
        device: &P::Attached,
        drain: &Drain<P>,
    ) -> Result<()> {
        if tracker.intent.phase() == Phase::On {
            return Ok(());
        }
        self.end_intent(tracker, device)?;
        self.file.as_ref().map_err(|errno| *errno)?;
        let pinned = self.pinned.as_mut().ok_or(Errno::OPNOTSUPP)?;
        let mounts = pinned.mounts()?;
        device.hold_writes(pinned)?;
        tracker.intent.watch();
        // What was begun before that is noted then, and what the agent has of it cannot be lost.
        device.settle();
        let begun = device.flush().and_then(|()| {
            tracker.mark_regions(!drain.has_bits_alone(tracker));
            // The writable mount of now will have ended at the next boot.
            self.give(name, tracker, drain.previous(), mounts.will_have_ended())
        });
        if begun.is_err() {
            let _ = self.end_intent(tracker, device);
        }
        begun
    }

    /// Gives the file to the tracker, with a header that says which regions may have changed.
    fn give(&mut self, name: &Name<256>, tracker: &Tracker<P>, previous: Previous, ended: Ended) -> Result<()> {
        let intent = &tracker.intent;
        let (room, aging) = (Room::new(intent)?, Aging::new(intent)?);
        let pinned = self.pinned.take().ok_or(Errno::OPNOTSUPP)?;
        let mut file = core::mem::replace(&mut self.file, Err(Errno::BUSY))?;
        self.aging = Some(aging);
        let seen = Seen { boot: boot::<P>(), ..Seen::NOTHING };
        // Writes may wait from here on, and memory for one of them: none is asked for.
        intent.marker.with_always(|slot| {
            intent.begin();
            let header = file.header_mut();
            *header = last(header, name, tracker, seen, previous);
            (header.ended, header.state) = (Some(ended), State::InUse);
            let marker = slot.insert(Marker::new(file, pinned, room));
            // One that says nothing. Where the file is on the disk, by whatever way, it waits for a mark, and that for it.
            if let Err(errno) = marker.write(intent).and_then(|()| trust(intent)) {
                intent.end();
                return Err(errno);
            }
            marker.header_mut().region_shift = Some(intent.shift() + 9);
            marker.write(intent)
        })
    }

    /// The disk is to be in write-intent mode no longer. Fails as writing does: what the file says is still true then, as writes
    /// wait, and it is tried again with the next one.
    pub fn end_intent(&mut self, tracker: &Tracker<P>, device: &P::Attached) -> Result<()> {
        let ended = tracker.intent.marker.with(|slot| self.take_back(tracker, slot)).and_then(|taken| taken);
        if ended.is_ok() {
            tracker.intent.end();
            device.release_writes();
        }
        ended
    }

    /// Takes the file from the tracker, when it says no regions any longer.
    fn take_back(&mut self, tracker: &Tracker<P>, slot: &mut Option<Marker<P>>) -> Result<()> {
        let intent = &tracker.intent;
        intent.leave();
        if let Some(marker) = slot {
            marker.end(intent)?;
        }
        if let Some((file, pinned)) = slot.take().map(Marker::into_file) {
            (self.file, self.pinned, self.aging) = (Ok(file), Some(pinned), None);
        }
        Ok(())
    }

    /// In write-intent mode, before a block is given to the agent or after it was committed: the file says what the agent has.
    /// Where that cannot be written the mode ends.
    pub fn tell(&mut self, tracker: &Tracker<P>, device: &P::Attached, drain: &Drain<P>) {
        let intent = &tracker.intent;
        let Some(aging) = &mut self.aging else { return };
        if intent.phase() == Phase::On {
            aging.look(tracker, device);
        }
        // Whoever is killed meanwhile leaves the file as it was: its agent then has more than the file says.
        let _ = intent.marker.with(|slot| {
            let Some(marker) = slot else { return };
            if intent.phase() != Phase::On {
                let _ = marker.end(intent);
                return;
            }
            let unmarked = aging.unmark(tracker, drain);
            let told = (drain.previous(), tracker.resync.report().map(stored));
            let header = marker.header_mut();
            if !unmarked && told == (header.previous, header.resync) {
                return;
            }
            (header.previous, header.resync) = told;
            if marker.write(intent).is_err() {
                intent.leave();
            }
        });
    }
}

/// From here on the file may say regions. Fails with [`Errno::DEADLK`] where writes had to go on before its disk had a header,
/// and with [`Errno::AGAIN`] where a change could not be tracked meanwhile.
fn trust<P: Platform>(intent: &Intent<P>) -> Result<()> {
    match intent.trust() {
        true => Ok(()),
        false if intent.phase() == Phase::Late => Err(Errno::DEADLK),
        false => Err(Errno::AGAIN),
    }
}

/// A hole as a header has it.
fn stored(report: ResyncReport) -> Resync {
    Resync { reason: report.hole.number() as u32, count: report.count, time: report.time }
}

/// Whether a disk is to be in write-intent mode, also after its next start.
pub fn note_write_intent<P: Platform>(name: &Name<256>, on: bool) {
    if let Ok(place) = Place::<P>::new(name) {
        place.set_write_intent(on);
    }
}

/// The header of a file that is closed.
#[inline(never)]
fn last<P: Platform>(
    header: &Header,
    name: &Name<256>,
    tracker: &Tracker<P>,
    seen: Seen,
    previous: Previous,
) -> Header {
    Header {
        stamp: P::common().clock.last(),
        resync: tracker.resync.report().map(stored),
        name: padded(name),
        seen,
        previous,
        ended: None,
        region_shift: None,
        ..*header
    }
}

/// Delivery of a disk's changes was forbidden, or allowed, also after its next start.
pub fn note_drain_blocked<P: Platform>(name: &Name<256>, blocked: bool) {
    if let Ok(place) = Place::<P>::new(name) {
        place.set_drain_blocked(blocked);
    }
}

fn find<P: Platform>(place: &Place<P>, name: &Name<256>, tracker: &Tracker<P>) -> Found<P> {
    let file = match P::File::open(place.bitmap(), Mode::Write) {
        Ok(file) if file.bytes() != 0 => file,
        Ok(_) | Err(Errno::NOENT) if place.is_filtered() => return Found::Hole(Hole::FileGone),
        Ok(_) | Err(Errno::NOENT) => return Found::Nothing,
        Err(_) => return Found::Hole(Hole::FileUnreadable),
    };
    let mut blocks = Blockwise(file);
    match read(&mut blocks, name, tracker) {
        Ok(file) => Found::Bits(file),
        Err(Damage::InUse) => regions(&mut blocks, tracker).map_or(Found::Hole(Hole::Unclean), Found::Regions),
        Err(damage) => {
            place.put_aside(&mut blocks.0);
            Found::Hole(hole(damage))
        }
    }
}

/// The header of a file that was in use, which says the disk's regions that may have changed; their bits are set. In the boot that
/// it is of there is no such file that nobody has.
fn regions<P: Platform>(blocks: &mut Blockwise<P::File>, tracker: &Tracker<P>) -> Option<P::Boxed<Header>> {
    let mut block = P::boxed([0; BLOCK]).ok()?;
    let header = P::boxed(read_header(blocks, &mut block).ok()?).ok()?;
    let shift = tracker.intent.shift();
    let same = header.region_shift == Some(shift + 9) && header.block_shift == tracker.block_shift();
    (same && read_marks(blocks, &header, &mut block, |word, marks| tracker.set_region_bits(word, marks)).is_ok())
        .then_some(header)
}

fn read<P: Platform>(
    blocks: &mut Blockwise<P::File>,
    name: &Name<256>,
    tracker: &Tracker<P>,
) -> core::result::Result<BitmapFile<P>, Damage> {
    let mut file = BitmapFile::open(blocks, &padded(name), tracker.sectors())?;
    if file.header().block_shift != tracker.block_shift() {
        return Err(Damage::OtherSize);
    }
    file.load(blocks, tracker.live())?;
    Ok(file)
}

fn hole(damage: Damage) -> Hole {
    match damage {
        Damage::InUse => Hole::Unclean,
        Damage::NotOurs | Damage::OtherDisk => Hole::FileForeign,
        Damage::OtherSize => Hole::Resized,
        Damage::Truncated | Damage::Block(_) | Damage::Stale => Hole::FileDamaged,
        Damage::Unreadable(_) => Hole::FileUnreadable,
    }
}

/// The header, what it says of stamps and holes being so again.
fn restored<P: Platform>(header: &Header, tracker: &Tracker<P>) -> Header {
    P::common().clock.is_after(header.stamp);
    if let Some(Resync { reason, count, time }) = header.resync {
        tracker.resync.restore(ResyncReport { hole: Hole::stored(reason.into()), count, time });
    }
    *header
}

/// The file, which says that it is in use.
fn begun<P: Platform>(mut file: BitmapFile<P>, place: &Place<P>) -> Result<BitmapFile<P>> {
    file.begin(&mut Blockwise(P::File::open(place.bitmap(), Mode::Write)?))?;
    Ok(file)
}

fn create<P: Platform>(place: &Place<P>, name: &Name<256>, tracker: &Tracker<P>) -> Result<BitmapFile<P>> {
    let mut blocks = Blockwise(place.create()?);
    let mut identity = [0; 16];
    P::random(&mut identity);
    let header = Header {
        identity,
        generation: 0,
        state: State::InUse,
        sectors: tracker.sectors(),
        block_shift: tracker.block_shift(),
        digest: 0,
        stamp: Stamp::default(),
        resync: None,
        name: padded(name),
        seen: Seen::NOTHING,
        previous: Previous::NONE,
        ended: None,
        region_shift: None,
    };
    BitmapFile::create(&mut blocks, header)
}

/// The running boot's id; zeroes where the kernel does not tell it.
fn boot<P: Platform>() -> [u8; super::header::BOOT] {
    let mut boot = Seen::NOTHING.boot;
    let read = P::File::open(b"/proc/sys/kernel/random/boot_id\0", Mode::Read)
        .and_then(|mut file| file.read(0, &mut boot[..UUID]));
    match read {
        Ok(()) => boot,
        Err(_) => Seen::NOTHING.boot,
    }
}

/// Characters of a UUID.
const UUID: usize = 36;

/// A name, filled up with NULs.
fn padded(name: &Name<256>) -> [u8; 256] {
    let mut padded = [0; 256];
    padded[..name.as_bytes().len()].copy_from_slice(name.as_bytes());
    padded
}
