// SPDX-License-Identifier: GPL-2.0-only
//! The driver's requests, and the way that carries them to it.
//!
//! This is the only place with `unsafe`: a [`Request`] knows how much memory the driver reads and writes for it, and
//! nobody outside can make one, so no caller can hand the kernel less.

use involflt::abi::{
    self, GUID_BYTES, commit, dev_info, dirty_block, request, version, volume_list, volume_stats, wait,
};
use nix::libc;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// One kind of request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name in the ABI, without the prefix `IOCTL_INMAGE_`.
    pub name: &'static str,
    word: u32,
    argument_bytes: usize,
    /// Where in the argument the address (u64) and the length (u32) of a buffer stand.
    buffer: Option<(u64, u64)>,
}

const fn plain(name: &'static str, word: u32, argument_bytes: usize) -> Request {
    Request { name, word, argument_bytes, buffer: None }
}

impl Request {
    /// The driver's and the product's version.
    pub const GET_DRIVER_VERSION: Request =
        plain("GET_DRIVER_VERSION", request::GET_DRIVER_VERSION, 2 * version::WORDS.len());
    /// Starts filtering of a disk.
    pub const START_FILTERING: Request =
        plain("START_FILTERING_DEVICE_V2", request::START_FILTERING_DEVICE_V2, dev_info::BYTES);
    /// Stops filtering of a disk.
    pub const STOP_FILTERING: Request = plain("STOP_FILTERING_DEVICE", request::STOP_FILTERING_DEVICE, GUID_BYTES);
    /// The names of the filtered disks, into a buffer.
    pub const GET_PROTECTED_VOLUME_LIST: Request = Request {
        buffer: Some((volume_list::BUFFER, volume_list::BUFFER_BYTES)),
        ..plain("GET_PROTECTED_VOLUME_LIST", request::GET_PROTECTED_VOLUME_LIST, volume_list::BYTES)
    };
    /// The statistics of a disk as text, into a buffer.
    pub const GET_VOLUME_STATS: Request = Request {
        buffer: Some((volume_stats::BUFFER, volume_stats::BUFFER_BYTES)),
        ..plain("GET_VOLUME_STATS", request::GET_VOLUME_STATS, volume_stats::BYTES)
    };
    /// The next block of changes of the connection's disk.
    pub const GET_DIRTY_BLOCKS: Request =
        plain("GET_DIRTY_BLOCKS_TRANS_V2", request::GET_DIRTY_BLOCKS_TRANS_V2, dirty_block::BYTES);
    /// Takes the block that is out of the driver's hands.
    pub const COMMIT_DIRTY_BLOCKS: Request =
        plain("COMMIT_DIRTY_BLOCKS_TRANS", request::COMMIT_DIRTY_BLOCKS_TRANS, commit::BYTES);
    /// Waits until a good deal has changed on the connection's disk.
    pub const WAIT: Request = plain("WAIT_FOR_DB_V2", request::WAIT_FOR_DB_V2, wait::BYTES);

    /// The request word of the ABI.
    pub fn word(&self) -> u32 {
        self.word
    }

    /// An argument of the right size, all zeroes.
    pub fn argument(&self) -> Argument {
        Argument(vec![0; self.argument_bytes])
    }

    /// Puts a buffer's address and length where this request has them. The buffer must be empty where it has none.
    pub fn put_buffer(&self, argument: &mut Argument, address: u64, bytes: usize) {
        match self.buffer {
            Some((address_at, bytes_at)) => {
                argument.put(address_at, &address.to_le_bytes());
                argument.put(bytes_at, &u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes());
            }
            None => assert_eq!(bytes, 0, "{} takes no buffer", self.name),
        }
    }
}

/// The structure that goes with a request: little-endian fields at the ABI's offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument(Vec<u8>);

impl Argument {
    /// Puts bytes at an offset; they must fit.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) {
        self.0[offset as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// The number at an offset.
    pub fn u32_at(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.array(offset))
    }

    /// The number at an offset.
    pub fn u64_at(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.array(offset))
    }

    fn array<const N: usize>(&self, offset: u64) -> [u8; N] {
        std::array::from_fn(|index| self.0[offset as usize + index])
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes, to change.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// What carries a request to the driver: the device, or in tests the driver's own code in this process.
pub trait Transport {
    /// Sends a request with its argument, and a buffer for those that fill one (empty for the others).
    ///
    /// Fails with the driver's errno.
    fn send(&self, request: &Request, argument: &mut Argument, buffer: &mut [u8]) -> io::Result<()>;
}

impl Transport for File {
    fn send(&self, request: &Request, argument: &mut Argument, buffer: &mut [u8]) -> io::Result<()> {
        assert!(argument.0.len() >= request.argument_bytes, "the argument of {} is too short", request.name);
        request.put_buffer(argument, buffer.as_mut_ptr().expose_provenance() as u64, buffer.len());
        // SAFETY: the descriptor is open. The driver reads and writes at most `argument_bytes` bytes of the argument,
        // which is as long, and as many bytes of the buffer as `put_buffer` has just said; both are borrowed mutably
        // for the whole call.
        let answer = unsafe { libc::ioctl(self.as_raw_fd(), request.word as _, argument.0.as_mut_ptr()) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// A disk's name as the argument of a request, with its NUL. `None` when it is too long or has a NUL in it.
pub fn name_bytes(name: &str, room: usize) -> Option<&[u8]> {
    (name.len() < room.min(abi::PNAME_BYTES) && !name.contains('\0')).then_some(name.as_bytes())
}
