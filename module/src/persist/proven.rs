// SPDX-License-Identifier: GPL-2.0-only
//! Blocks past the file system: none is written that is not read and recognised first.

use super::block::{open, Identity, Kind, BLOCK};
use super::file::HEADERS;
use super::Blocks;
use crate::platform::{Errno, Pinned, Platform, Result};

/// A pinned file that is a bitmap file with an identity.
pub struct Proven<'a, P: Platform> {
    pinned: &'a mut P::Pinned,
    identity: Identity,
    there: &'a mut [u8; BLOCK],
}

impl<'a, P: Platform> Proven<'a, P> {
    /// What is there is read into `there`.
    pub fn new(pinned: &'a mut P::Pinned, identity: Identity, there: &'a mut [u8; BLOCK]) -> Self {
        Proven { pinned, identity, there }
    }
}

impl<P: Platform> Blocks for Proven<'_, P> {
    fn blocks(&self) -> u64 {
        self.pinned.blocks()
    }

    fn read(&mut self, index: u64, to: &mut [u8; BLOCK]) -> Result<()> {
        self.pinned.read(index, to)
    }

    /// Fails with [`Errno::STALE`], and writes nothing, where the disk has another block there than this file's with that index.
    fn write(&mut self, index: u64, from: &[u8; BLOCK]) -> Result<()> {
        self.pinned.read(index, self.there)?;
        let (kind, own) = if index < HEADERS { (Kind::Header, index) } else { (Kind::Bits, index - HEADERS) };
        let ours =
            open(self.there, kind).is_some_and(|(place, _)| place.identity == self.identity && place.index == own);
        if !ours {
            return Err(Errno::STALE);
        }
        self.pinned.write(index, from)
    }

    fn flush(&mut self) -> Result<()> {
        self.pinned.flush()
    }
}
