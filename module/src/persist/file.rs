// SPDX-License-Identifier: GPL-2.0-only
//! The file: two headers, and the bits behind them.

use super::block::{bytes_at, open, put, seal, Kind, Place, BITS, BLOCK, FRAME};
use super::crc32c::crc32c;
use super::header::{Header, Seen, State, AT_MARKS, MARKS};
use crate::engine::Bitmap;
use crate::platform::{Errno, Platform, Result};
use crate::sync::{AtomicU64, Ordering};

/// Headers are the blocks 0 and 1: while one is written, the other is whole.
pub const HEADERS: u64 = 2;
const WORDS: u64 = BITS / 64;
/// Beside a block's checksum: it has bits.
const HAS_BITS: u64 = 1 << 32;

/// The blocks of a file, by way of whatever has it.
pub trait Blocks {
    /// Whole blocks that the file has.
    fn blocks(&self) -> u64;
    /// Reads block `index`. Fails as reading does.
    fn read(&mut self, index: u64, to: &mut [u8; BLOCK]) -> Result<()>;
    /// Writes block `index`, which the file may not have yet. Fails as writing does.
    fn write(&mut self, index: u64, from: &[u8; BLOCK]) -> Result<()>;
    /// Returns when all that was written outlives a power cut.
    fn flush(&mut self) -> Result<()>;
}

/// Why the bits of a file are not true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// No header is whole: another program's file, or none.
    NotOurs,
    /// It is of a disk with another name.
    OtherDisk,
    /// The disk has another size than then.
    OtherSize,
    /// It was in use when the machine stopped.
    InUse,
    /// It ends before its last block.
    Truncated,
    /// The block of bits with this index is none of this file, or not whole.
    Block(u64),
    /// Some block of bits is an older one than the header knows.
    Stale,
    /// It could not be read.
    Unreadable(Errno),
}

/// What is known of a file with a whole header. The file itself is open only while something is done with it: one that is
/// open for writing keeps its file system from being made read-only.
pub struct BitmapFile<P: Platform> {
    header: P::Boxed<Header>,
    block: P::Boxed<[u8; BLOCK]>,
    /// Of each block of bits, its checksum and [`HAS_BITS`].
    sums: P::Words,
}

impl<P: Platform> BitmapFile<P> {
    /// Makes `file` a bitmap file of a disk: without bits, in use. `header` says of what; the rest of it is not looked at.
    /// Fails as writing does, or with [`Errno::NOMEM`].
    pub fn create(file: &mut dyn Blocks, header: Header) -> Result<Self> {
        let mut this = Self::new(Header {
            generation: 0,
            state: State::InUse,
            digest: 0,
            resync: None,
            seen: Seen::NOTHING,
            ended: None,
            region_shift: None,
            ..header
        })?;
        for block in 0..this.header.blocks() {
            this.write_bits(file, block, &|_| 0)?;
        }
        this.begin(file)?;
        Ok(this)
    }

    /// The file whose header says that its bits are true; [`Self::load`] is the proof. `name` and `sectors` are those of the
    /// disk whose file it should be.
    pub fn open(file: &mut dyn Blocks, name: &[u8; 256], sectors: u64) -> core::result::Result<Self, Damage> {
        let mut block = P::boxed([0; BLOCK]).map_err(Damage::Unreadable)?;
        let header = read_header(file, &mut block)?;
        if header.name != *name {
            return Err(Damage::OtherDisk);
        }
        if header.sectors != sectors {
            return Err(Damage::OtherSize);
        }
        match unclean(file, &header) {
            Some(damage) => Err(damage),
            None => Self::new(header).map_err(Damage::Unreadable),
        }
    }

    fn new(header: Header) -> Result<Self> {
        let blocks = usize::try_from(header.blocks()).map_err(|_| Errno::NOMEM)?;
        Ok(BitmapFile { header: P::boxed(header)?, block: P::boxed([0; BLOCK])?, sums: P::words(blocks)? })
    }

    /// The header that is in force.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Sets the file's bits in `bitmap`. Where that fails, those of the blocks before the damage are set.
    pub fn load(&mut self, file: &mut dyn Blocks, bitmap: &Bitmap<P::Words>) -> core::result::Result<(), Damage> {
        let sums = &self.sums;
        read_bits(file, &self.header, &mut self.block, |bits| {
            let mut any = 0;
            for (word, bits) in bits.words() {
                bitmap.set_word(word, bits);
                any |= bits;
            }
            remember(sums, bits.index, bits.sum, any != 0);
        })
    }

    /// From here on the bits are not true. Only when this has returned may the disk change. Fails as writing does; what the
    /// file says then is not known.
    pub fn begin(&mut self, file: &mut dyn Blocks) -> Result<()> {
        self.header.state = State::InUse;
        self.header.resync = None;
        self.header.region_shift = None;
        self.write_headers(file)
    }

    /// Writes a header that says that the file is in use, and of the regions in `marks` that they may have changed. Fails as
    /// writing does: then this one or the one before is in force.
    pub fn mark(&mut self, file: &mut dyn Blocks, marks: [&Bitmap<P::Words>; 2]) -> Result<()> {
        self.write_header(file, &marks)
    }

    /// The header that is written next.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// Says that the file is in use, and nothing of regions. Fails where neither header could be written.
    pub fn leave(&mut self, file: &mut dyn Blocks) -> Result<()> {
        self.header.region_shift = None;
        let older = self.write_header(file, &[]);
        self.write_header(file, &[]).or(older)
    }

    /// Writes `bitmap`, whose disk does not change any more, and says that the bits are true. Of `last` what the disk has come
    /// to is taken: stamp, resync, name, when it was seen, and what was committed. Fails as reading and writing do, and with
    /// [`Errno::STALE`] where another file is in this one's place. Whatever fails, and wherever it is broken off: unless this
    /// has written all, the file says that it is in use.
    pub fn close(&mut self, file: &mut dyn Blocks, bitmap: &Bitmap<P::Words>, last: Header) -> Result<()> {
        self.is_in(file)?;
        self.write_all_bits(file, bitmap)?;
        file.flush()?;
        let sums = (0..self.header.blocks()).map(|index| (self.sum(index) as u32).to_le_bytes());
        let digest = sums.fold(0, |digest, sum| crc32c(digest, &sum));
        let Header { identity, generation, sectors, block_shift, .. } = *self.header;
        *self.header = Header {
            identity,
            generation,
            sectors,
            block_shift,
            digest,
            state: State::Clean,
            region_shift: None,
            ..last
        };
        let done = self.write_headers(file);
        if done.is_err() {
            self.header.state = State::InUse;
        }
        done
    }

    /// Writes every block that [`Self::close`] would write of this `bitmap`, and still says that the file is in use: what
    /// closing it does to the disk that has the file, this does too. Fails as [`Self::close`] does.
    pub fn rehearse(&mut self, file: &mut dyn Blocks, bitmap: &Bitmap<P::Words>) -> Result<()> {
        self.is_in(file)?;
        self.write_all_bits(file, bitmap)?;
        self.begin(file)
    }

    /// The blocks that have bits, or had some.
    fn write_all_bits(&mut self, file: &mut dyn Blocks, bitmap: &Bitmap<P::Words>) -> Result<()> {
        for index in 0..self.header.blocks() {
            let words = index * WORDS..(index + 1) * WORDS;
            let had = self.sum(index) & HAS_BITS != 0;
            if had || words.clone().any(|word| bitmap.word(word) != 0) {
                self.write_bits(file, index, &|word| bitmap.word(index * WORDS + word))?;
            }
        }
        Ok(())
    }

    /// Whether the file is the one that this has written last: nobody may have put another one in its place.
    fn is_in(&mut self, file: &mut dyn Blocks) -> Result<()> {
        let there = read_header(file, &mut self.block).map_err(|damage| match damage {
            Damage::Unreadable(errno) => errno,
            _ => Errno::STALE,
        })?;
        let same = there.identity == self.header.identity && there.generation == self.header.generation;
        same.then_some(()).ok_or(Errno::STALE)
    }

    /// The older header first, so that one is whole at any time.
    fn write_headers(&mut self, file: &mut dyn Blocks) -> Result<()> {
        (0..HEADERS).try_for_each(|_| self.write_header(file, &[]))
    }

    /// The older one.
    fn write_header(&mut self, file: &mut dyn Blocks, marks: &[&Bitmap<P::Words>]) -> Result<()> {
        for word in 0..MARKS {
            let bits = marks.iter().fold(0, |bits, marks| bits | marks.word(word));
            put(&mut self.block, AT_MARKS + word as usize * 8, &bits.to_le_bytes());
        }
        self.header.generation += 1;
        let index = self.header.generation % HEADERS;
        self.header.seal(index, &mut self.block);
        file.write(index, &self.block)?;
        file.flush()
    }

    fn write_bits(&mut self, file: &mut dyn Blocks, index: u64, word: &dyn Fn(u64) -> u64) -> Result<()> {
        self.block.fill(0);
        let mut any = 0;
        for at in 0..WORDS {
            put(&mut self.block, FRAME + at as usize * 8, &word(at).to_le_bytes());
            any |= word(at);
        }
        let place = Place { identity: self.header.identity, index, generation: self.header.generation };
        let sum = seal(&mut self.block, Kind::Bits, place);
        file.write(HEADERS + index, &self.block)?;
        remember(&self.sums, index, sum, any != 0);
        Ok(())
    }

    fn sum(&self, index: u64) -> u64 {
        self.sums.get(index as usize).map_or(0, |sum| sum.load(Ordering::Relaxed))
    }
}

fn remember(sums: &[AtomicU64], index: u64, sum: u32, has_bits: bool) {
    if let Some(word) = sums.get(index as usize) {
        word.store(u64::from(sum) | if has_bits { HAS_BITS } else { 0 }, Ordering::Relaxed);
    }
}

/// One block of bits.
pub struct Bits<'a> {
    /// Its number among the blocks of bits.
    pub index: u64,
    sum: u32,
    block: &'a [u8; BLOCK],
}

impl Bits<'_> {
    /// Numbers of 64-bit words of the disk's bitmap, and the words.
    pub fn words(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        (0..WORDS).map(|word| {
            (self.index * WORDS + word, u64::from_le_bytes(bytes_at(self.block, FRAME + word as usize * 8)))
        })
    }
}

/// What `header` and the length of its file say against the bits.
pub fn unclean(file: &dyn Blocks, header: &Header) -> Option<Damage> {
    match header.state {
        State::InUse => Some(Damage::InUse),
        State::Clean if file.blocks() < HEADERS + header.blocks() => Some(Damage::Truncated),
        State::Clean => None,
    }
}

/// Gives each block of bits of a file with `header`, in order, by way of `block`. Fails at the first that is not the one
/// that was written last, or, where an older one is in its place, at the end.
pub fn read_bits(
    file: &mut dyn Blocks,
    header: &Header,
    block: &mut [u8; BLOCK],
    mut each: impl FnMut(Bits<'_>),
) -> core::result::Result<(), Damage> {
    let mut digest = 0;
    for index in 0..header.blocks() {
        file.read(HEADERS + index, block).map_err(Damage::Unreadable)?;
        let (place, sum) = open(block, Kind::Bits).ok_or(Damage::Block(index))?;
        if place.identity != header.identity || place.index != index {
            return Err(Damage::Block(index));
        }
        digest = crc32c(digest, &sum.to_le_bytes());
        each(Bits { index, sum, block });
    }
    // A block that never reached the disk has an older one in its place, which is as whole.
    if digest == header.digest {
        Ok(())
    } else {
        Err(Damage::Stale)
    }
}

/// Gives the words of marks of the file's header, which is `header`, by way of `block`. Fails with [`Damage::InUse`] where it
/// has none.
pub fn read_marks(
    file: &mut dyn Blocks,
    header: &Header,
    block: &mut [u8; BLOCK],
    mut each: impl FnMut(u64, u64),
) -> core::result::Result<(), Damage> {
    let index = header.generation % HEADERS;
    file.read(index, block).map_err(Damage::Unreadable)?;
    let there = Header::open(index, block).map(|there| there.generation);
    if header.region_shift.is_none() || there != Some(header.generation) {
        return Err(Damage::InUse);
    }
    (0..MARKS).for_each(|word| each(word, u64::from_le_bytes(bytes_at(block, AT_MARKS + word as usize * 8))));
    Ok(())
}

/// The whole header with the highest generation, by way of `block`.
pub fn read_header(file: &mut dyn Blocks, block: &mut [u8; BLOCK]) -> core::result::Result<Header, Damage> {
    let mut newest: Option<Header> = None;
    for index in 0..HEADERS.min(file.blocks()) {
        file.read(index, block).map_err(Damage::Unreadable)?;
        if let Some(header) = Header::open(index, block) {
            if newest.is_none_or(|newest| newest.generation < header.generation) {
                newest = Some(header);
            }
        }
    }
    newest.ok_or(Damage::NotOurs)
}
