// SPDX-License-Identifier: GPL-2.0-only
//! Where a disk's files are, as the ABI has it: a directory for each disk, which has the disk's persistent name.

use super::block::BLOCK;
use super::Blocks;
use crate::engine::Name;
use crate::platform::{Errno, File, Mode, Platform, Result};

const DIRECTORY: &[u8] = b"/etc/vxagent/involflt/";
/// Bytes of a file that cannot be used that are put aside: more than any bitmap file has.
const MOST_ASIDE: u64 = 32 << 20;

/// A disk's place.
pub struct Place<P: Platform> {
    directory: P::Bytes,
    bitmap: P::Bytes,
    aside: P::Bytes,
}

/// Switches of a disk, a file each.
const DISABLED: &[u8] = b"/VolumeFilteringDisabled";
const DRAIN_BLOCKED: &[u8] = b"/VolumeDrainBlocked";
const WRITE_INTENT: &[u8] = b"/VolumeWriteIntent";

impl<P: Platform> Place<P> {
    /// The place of the disk with a persistent name. Fails with [`Errno::INVAL`] for a name that no directory has, with
    /// [`Errno::AGAIN`] where the root file system is not there yet, and with [`Errno::NOMEM`].
    pub fn new(name: &Name<256>) -> Result<Self> {
        let name = name.as_bytes();
        if name == b"." || name == b".." || name.contains(&b'/') {
            return Err(Errno::INVAL);
        }
        if P::common().is_before_root() {
            return Err(Errno::AGAIN);
        }
        Ok(Place {
            directory: path::<P>(&[DIRECTORY, name])?,
            bitmap: path::<P>(&[DIRECTORY, name, b"/InMage-", name, b".VolumeLog"])?,
            aside: path::<P>(&[DIRECTORY, name, b"/InMage-", name, b".VolumeLog.bad"])?,
        })
    }

    /// Path of the bitmap file, with a NUL.
    pub fn bitmap(&self) -> &[u8] {
        &self.bitmap
    }

    /// An empty bitmap file. Fails as making it does.
    pub fn create(&self) -> Result<P::File> {
        match P::File::open(&self.bitmap, Mode::New) {
            Err(Errno::NOENT) => {
                P::make_directory(&self.directory)?;
                P::File::open(&self.bitmap, Mode::New)
            }
            opened => opened,
        }
    }

    /// Empties the bitmap file, which is the same as none. Where that fails it says that it is in use, as before.
    pub fn empty(&self) {
        let _ = P::File::open(&self.bitmap, Mode::New).and_then(|mut file| file.flush());
    }

    /// Keeps a copy of a bitmap file that cannot be used, for whoever wants to know why. Where that fails there is none.
    pub fn put_aside(&self, bad: &mut P::File) {
        let _ = P::File::open(&self.aside, Mode::New).and_then(|mut to| copy::<P>(bad, &mut to));
    }

    /// Whether the disk was filtered when it was last heard of.
    pub fn is_filtered(&self) -> bool {
        self.says(DISABLED, b"0")
    }

    /// Notes whether the disk is filtered. Where that fails, a start that finds no bitmap file takes the disk for a new one.
    pub fn set_filtered(&self, filtered: bool) {
        self.note(DISABLED, if filtered { b"0" } else { b"1" });
    }

    /// Whether delivery was forbidden when the disk was last heard of.
    pub fn is_drain_blocked(&self) -> bool {
        self.says(DRAIN_BLOCKED, b"1")
    }

    /// Notes whether delivery is forbidden. Where that fails, it is so until the disk's next start.
    pub fn set_drain_blocked(&self, blocked: bool) {
        self.note(DRAIN_BLOCKED, if blocked { b"1" } else { b"0" });
    }

    /// Whether the disk was to be in write-intent mode when it was last heard of.
    pub fn is_write_intent(&self) -> bool {
        self.says(WRITE_INTENT, b"1")
    }

    /// Notes whether it is to be. Where that fails, it is so until the disk's next start.
    pub fn set_write_intent(&self, on: bool) {
        self.note(WRITE_INTENT, if on { b"1" } else { b"0" });
    }

    /// Whether a switch's file begins with `text`.
    fn says(&self, switch: &[u8], text: &[u8; 1]) -> bool {
        let mut there = [0; 1];
        let read = self.switch(switch, Mode::Read).and_then(|mut file| file.read(0, &mut there));
        read.is_ok() && there == *text
    }

    fn note(&self, switch: &[u8], text: &[u8; 1]) {
        let _ = self.switch(switch, Mode::New).and_then(|mut file| {
            file.write(0, text)?;
            file.flush()
        });
    }

    fn switch(&self, switch: &[u8], mode: Mode) -> Result<P::File> {
        let (_nul, directory) = self.directory.split_last().ok_or(Errno::INVAL)?;
        P::File::open(&path::<P>(&[directory, switch])?, mode)
    }
}

/// A path, with a NUL. Fails with [`Errno::NOMEM`].
pub fn path<P: Platform>(parts: &[&[u8]]) -> Result<P::Bytes> {
    let mut path = P::bytes(parts.iter().map(|part| part.len()).sum::<usize>() + 1)?;
    let mut at = 0;
    for part in parts {
        path[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    Ok(path)
}

fn copy<P: Platform>(from: &mut P::File, to: &mut P::File) -> Result<()> {
    let mut block = P::boxed([0; BLOCK])?;
    let end = from.bytes().min(MOST_ASIDE);
    let mut at = 0;
    while at < end {
        let part = &mut block[..(end - at).min(BLOCK as u64) as usize];
        from.read(at, part)?;
        to.write(at, part)?;
        at += part.len() as u64;
    }
    to.flush()
}

/// A file as blocks.
pub struct Blockwise<F>(pub F);

impl<F: File> Blocks for Blockwise<F> {
    fn blocks(&self) -> u64 {
        self.0.bytes() / BLOCK as u64
    }

    fn read(&mut self, index: u64, to: &mut [u8; BLOCK]) -> Result<()> {
        self.0.read(index * BLOCK as u64, to)
    }

    fn write(&mut self, index: u64, from: &[u8; BLOCK]) -> Result<()> {
        self.0.write(index * BLOCK as u64, from)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}
