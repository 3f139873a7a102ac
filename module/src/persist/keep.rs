// SPDX-License-Identifier: GPL-2.0-only
//! A disk's bitmap file from its start to its end, in the place where the ABI has it.
//!
//! Whatever a file system refuses, the disk is filtered: then nothing of it is kept, and its next start finds a file that
//! does not say "clean", or one that was closed when less had been written to the disk.

use super::place::{Blockwise, Place};
use super::proven::Proven;
use super::{BitmapFile, Damage, Header, Resync, Seen, State};
use crate::engine::{Hole, Name, Op, Previous, ResyncReport, Stamp, Tracker};
use crate::platform::{Errno, File, Mode, Pinned, Platform, Result, Sighting};

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
}

/// What an earlier session has left.
#[derive(Clone, Copy)]
enum Past {
    /// There was none.
    New,
    /// There was one, and what it committed last is not known.
    Lost,
    /// What its file says.
    Closed { seen: Seen, previous: Previous, ended: Option<u16> },
}

/// What there was in the place.
enum Found<P: Platform> {
    /// Bits, which the tracker has now.
    Bits(BitmapFile<P>),
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
            Found::Nothing => (create(place, name, tracker), Past::New),
            Found::Hole(hole) => {
                tracker.hole(hole);
                (create(place, name, tracker), Past::Lost)
            }
        };
        let drain_blocked = place.is_filtered() && place.is_drain_blocked();
        place.set_filtered(true);
        let pinned = file.as_ref().ok().and_then(|_| P::Pinned::pin(place.bitmap()).ok());
        Keep { file, past, begun: Seen::NOTHING.disk, drain_blocked, pinned, rehearsed: None }
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
    fn is_still(&mut self, then: Seen, ended: Option<u16>, disk: Sighting) -> bool {
        let now = Seen { boot: boot::<P>(), disk };
        match ended {
            None => then.is_still(&now),
            Some(ended) => then.boot != now.boot && now.boot != Seen::NOTHING.boot && self.is_next_boot(ended, disk),
        }
    }

    /// Whether no boot came between: the file's file system was not mounted writable, but for now, and in this boot nobody
    /// has written to the disk before it was filtered.
    fn is_next_boot(&mut self, ended: u16, disk: Sighting) -> bool {
        let mounts = self.pinned.as_mut().and_then(|pinned| pinned.mounts().ok());
        disk.untouched && mounts.is_some_and(|mounts| mounts.ended() == ended)
    }

    /// The machine stops. Writes to the file's blocks what [`Self::finish`] will write; `false` where the disk has got other
    /// bits since the last time, which may come of that very writing.
    pub fn rehearse(&mut self, tracker: &Tracker<P>) -> bool {
        let (Ok(file), Some(pinned)) = (&mut self.file, &mut self.pinned) else { return true };
        let bits = tracker.live().dirty();
        if self.rehearsed == Some(bits) {
            return true;
        }
        let identity = file.header().identity;
        let done = Proven::<P>::new(pinned, identity).and_then(|mut blocks| file.rehearse(&mut blocks, tracker.live()));
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
        file.close(&mut Proven::<P>::new(pinned, identity)?, tracker.live(), last)
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
        self.file.as_ref().map(drop).map_err(|errno| *errno)
    }
}

/// The header of a file that is closed.
fn last<P: Platform>(
    header: &Header,
    name: &Name<256>,
    tracker: &Tracker<P>,
    seen: Seen,
    previous: Previous,
) -> Header {
    let report = tracker.resync.report();
    Header {
        stamp: P::common().clock.last(),
        resync: report.map(|report| Resync {
            reason: report.hole.number() as u32,
            count: report.count,
            time: report.time,
        }),
        name: padded(name),
        seen,
        previous,
        ended: None,
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
        Err(damage) => {
            if damage != Damage::InUse {
                place.put_aside(&mut blocks.0);
            }
            Found::Hole(hole(damage))
        }
    }
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
