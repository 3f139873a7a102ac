// SPDX-License-Identifier: GPL-2.0-only
//! Fields in the caller's memory.

use crate::engine::Name;
use crate::platform::{Errno, Platform, Result, User};

/// A structure in the caller's memory.
///
/// What reads and writes it is not inlined: in all requests together that would be 3 kB of code more.
pub(super) struct Struct<P: Platform> {
    address: u64,
    platform: core::marker::PhantomData<P>,
}

impl<P: Platform> Struct<P> {
    /// The structure of `bytes` bytes at `address`. Fails with [`Errno::FAULT`] where that is no place for one.
    pub(super) fn new(address: u64, bytes: usize) -> Result<Self> {
        address.checked_add(bytes as u64).ok_or(Errno::FAULT)?;
        Ok(Struct { address, platform: core::marker::PhantomData })
    }

    /// The address of what is at `offset`.
    pub(super) fn address(&self, offset: u64) -> u64 {
        self.address + offset
    }

    /// Reads `N` bytes at `offset`.
    pub(super) fn bytes<const N: usize>(&self, offset: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        P::User::read(self.address + offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a u32.
    #[inline(never)]
    pub(super) fn u32(&self, offset: u64) -> Result<u32> {
        self.bytes(offset).map(u32::from_ne_bytes)
    }

    /// Reads a u64.
    #[inline(never)]
    pub(super) fn u64(&self, offset: u64) -> Result<u64> {
        self.bytes(offset).map(u64::from_ne_bytes)
    }

    /// Reads a name that has its NUL within `N` bytes. Fails with [`Errno::INVAL`] otherwise.
    pub(super) fn name<const N: usize>(&self, offset: u64) -> Result<Name<N>> {
        Name::new(self.bytes(offset)?)
    }

    /// Writes bytes at `offset`.
    #[inline(never)]
    pub(super) fn put(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        P::User::write(self.address + offset, bytes)
    }

    /// Writes `count` zero bytes at `offset`.
    #[inline(never)]
    pub(super) fn zero(&self, offset: u64, count: u64) -> Result<()> {
        const ZEROES: [u8; 128] = [0; 128];
        let mut at = 0;
        while at < count {
            let length = (count - at).min(ZEROES.len() as u64);
            self.put(offset + at, &ZEROES[..length as usize])?;
            at += length;
        }
        Ok(())
    }

    /// Writes a u16.
    #[inline(never)]
    pub(super) fn put_u16(&self, offset: u64, value: u16) -> Result<()> {
        self.put(offset, &value.to_ne_bytes())
    }

    /// Writes a u32.
    #[inline(never)]
    pub(super) fn put_u32(&self, offset: u64, value: u32) -> Result<()> {
        self.put(offset, &value.to_ne_bytes())
    }

    /// Writes a u64.
    #[inline(never)]
    pub(super) fn put_u64(&self, offset: u64, value: u64) -> Result<()> {
        self.put(offset, &value.to_ne_bytes())
    }
}
