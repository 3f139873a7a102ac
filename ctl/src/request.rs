// SPDX-License-Identifier: GPL-2.0-only
//! The driver's requests, and the way that carries them to it.
//!
//! This is the only place with `unsafe`: a [`Request`] knows how much memory the driver reads and writes for it, and
//! nobody outside can make one, so no caller can hand the kernel less.

use involflt::abi::{
    self, GUID_BYTES, attribute, barrier, commit, dev_info, dirty_block, freeze, request, resync_edge, tag_info,
    version, volume_info, volume_list, volume_stats, wait,
};
use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;

/// One kind of request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Its name in the ABI, without the prefix `IOCTL_INMAGE_`.
    pub name: &'static str,
    word: u32,
    argument_bytes: usize,
    pointers: &'static [Pointer],
}

/// Where in the argument a buffer's address (u64) stands, and (u32) how many items it has, of so many bytes each.
#[derive(Debug, PartialEq, Eq)]
struct Pointer {
    address_at: u64,
    items_at: u64,
    item_bytes: usize,
}

const fn plain(name: &'static str, word: u32, argument_bytes: usize) -> Request {
    Request { name, word, argument_bytes, pointers: &[] }
}

const fn bytes(address_at: u64, items_at: u64) -> Pointer {
    Pointer { address_at, items_at, item_bytes: 1 }
}

const fn volumes(name: &'static str, word: u32) -> Request {
    const LIST: &[Pointer] =
        &[Pointer { address_at: freeze::LIST, items_at: freeze::VOLUMES, item_bytes: volume_info::BYTES }];
    Request { pointers: LIST, ..plain(name, word, freeze::BYTES) }
}

const fn tags(name: &'static str, word: u32) -> Request {
    const LISTS: &[Pointer] = &[
        Pointer { address_at: tag_info::LIST, items_at: tag_info::VOLUMES, item_bytes: volume_info::BYTES },
        Pointer { address_at: tag_info::NAMES, items_at: tag_info::TAGS, item_bytes: tag_info::NAME_BYTES },
    ];
    Request { pointers: LISTS, ..plain(name, word, tag_info::BYTES) }
}

impl Request {
    /// The driver's and the product's version.
    pub const GET_DRIVER_VERSION: Request =
        plain("GET_DRIVER_VERSION", request::GET_DRIVER_VERSION, 2 * version::WORDS.len());
    /// Starts filtering of a disk.
    pub const START_FILTERING: Request =
        plain("START_FILTERING_DEVICE_V2", request::START_FILTERING_DEVICE_V2, dev_info::BYTES);
    /// The root file system is there, and with it what the driver keeps.
    pub const ROOT_IS_THERE: Request = plain("INIT_DRIVER_FULLY", request::INIT_DRIVER_FULLY, 4);
    /// Stops filtering of a disk.
    pub const STOP_FILTERING: Request = plain("STOP_FILTERING_DEVICE", request::STOP_FILTERING_DEVICE, GUID_BYTES);
    /// Forgets the changes of a disk.
    pub const CLEAR: Request = plain("CLEAR_DIFFERENTIALS", request::CLEAR_DIFFERENTIALS, GUID_BYTES);
    /// The names of the filtered disks, into a buffer.
    pub const GET_PROTECTED_VOLUME_LIST: Request = Request {
        pointers: &[bytes(volume_list::BUFFER, volume_list::BUFFER_BYTES)],
        ..plain("GET_PROTECTED_VOLUME_LIST", request::GET_PROTECTED_VOLUME_LIST, volume_list::BYTES)
    };
    /// The statistics of a disk as text, into a buffer.
    pub const GET_VOLUME_STATS: Request = Request {
        pointers: &[bytes(volume_stats::BUFFER, volume_stats::BUFFER_BYTES)],
        ..plain("GET_VOLUME_STATS", request::GET_VOLUME_STATS, volume_stats::BYTES)
    };
    /// The next block of changes of the connection's disk.
    pub const GET_DIRTY_BLOCKS: Request =
        plain("GET_DIRTY_BLOCKS_TRANS_V2", request::GET_DIRTY_BLOCKS_TRANS_V2, dirty_block::BYTES);
    /// Takes the block that is out of the driver's hands.
    pub const COMMIT_DIRTY_BLOCKS: Request =
        plain("COMMIT_DIRTY_BLOCKS_TRANS", request::COMMIT_DIRTY_BLOCKS_TRANS, commit::BYTES);
    /// The statistics of the driver as text, in place of the argument.
    pub const GET_GLOBAL_STATS: Request = plain("GET_GLOBAL_STATS", request::GET_GLOBAL_STATS, 4096);
    /// Gets or sets an attribute, whose text is in a buffer.
    pub const GET_SET_ATTR: Request = Request {
        pointers: &[bytes(attribute::BUFFER, attribute::BUFFER_BYTES)],
        ..plain("GET_SET_ATTR", request::GET_SET_ATTR, attribute::BYTES)
    };
    /// Freezes the file systems of the volumes in a buffer.
    pub const FREEZE: Request = volumes("FREEZE_VOLUME", request::FREEZE_VOLUME);
    /// Thaws them.
    pub const THAW: Request = volumes("THAW_VOLUME", request::THAW_VOLUME);
    /// Tags the disks in a buffer with the names in another one; the tags are held.
    pub const TAG: Request = tags("TAG_VOLUME_V2", request::TAG_VOLUME_V2);
    /// Tags all disks at one moment, with the names in the second buffer.
    pub const BARRIER_TAG: Request = tags("IOBARRIER_TAG_VOLUME", request::IOBARRIER_TAG_VOLUME);
    /// Holds what comes to any disk.
    pub const CREATE_BARRIER: Request = plain("CREATE_BARRIER_ALL", request::CREATE_BARRIER_ALL, barrier::CREATE_BYTES);
    /// Lets it go.
    pub const REMOVE_BARRIER: Request = plain("REMOVE_BARRIER_ALL", request::REMOVE_BARRIER_ALL, barrier::BYTES);
    /// Commits or revokes tags that are held.
    pub const TAG_COMMIT: Request = plain("TAG_COMMIT_V2", request::TAG_COMMIT_V2, barrier::BYTES);
    /// Registers the connection as the agent's service.
    pub const SERVICE: Request = plain("SERVICE_SHUTDOWN_NOTIFY", request::SERVICE_SHUTDOWN_NOTIFY, 4);
    /// A stamp between what was drained of a disk and what was not.
    pub const STAMP: Request = plain("RESYNC_END_NOTIFICATION", request::RESYNC_END_NOTIFICATION, resync_edge::BYTES);
    /// Waits until a good deal has changed on the connection's disk.
    pub const WAIT: Request = plain("WAIT_FOR_DB_V2", request::WAIT_FOR_DB_V2, wait::BYTES);

    /// A volume of a list, all zeroes.
    pub fn volume() -> Argument {
        Argument(vec![0; volume_info::BYTES])
    }

    /// The request word of the ABI.
    pub fn word(&self) -> u32 {
        self.word
    }

    /// An argument of the right size, all zeroes.
    pub fn argument(&self) -> Argument {
        Argument(vec![0; self.argument_bytes])
    }

    /// Puts the address and the length in bytes of each buffer where this request has them: as many as it has, of whole
    /// items.
    pub fn put_buffers(&self, argument: &mut Argument, buffers: &[(u64, usize)]) {
        assert_eq!(buffers.len(), self.pointers.len(), "buffers of {}", self.name);
        for (&Pointer { address_at, items_at, item_bytes }, &(address, bytes)) in self.pointers.iter().zip(buffers) {
            assert_eq!(bytes % item_bytes, 0, "a buffer of {}", self.name);
            let items = u32::try_from(bytes / item_bytes).expect("a buffer is smaller than 4 GiB");
            argument.put(address_at, &address.to_le_bytes());
            argument.put(items_at, &items.to_le_bytes());
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
    /// Sends a request with its argument, and the buffers that go with it.
    ///
    /// Fails with the driver's errno.
    fn send(&self, request: &Request, argument: &mut Argument, buffers: &mut [&mut [u8]]) -> io::Result<()>;

    /// Copies what the driver has mapped into this process at an address.
    ///
    /// Fails where there is nothing, or less.
    fn mapped(&self, address: u64, to: &mut [u8]) -> io::Result<()>;
}

impl Transport for File {
    fn send(&self, request: &Request, argument: &mut Argument, buffers: &mut [&mut [u8]]) -> io::Result<()> {
        assert!(argument.0.len() >= request.argument_bytes, "the argument of {} is too short", request.name);
        let places: Vec<_> =
            buffers.iter_mut().map(|buffer| (buffer.as_mut_ptr().expose_provenance() as u64, buffer.len())).collect();
        request.put_buffers(argument, &places);
        // SAFETY: the descriptor is open. The driver reads and writes at most `argument_bytes` bytes of the argument,
        // which is as long, and as many bytes of each buffer as `put_buffers` has just said; all are borrowed mutably
        // for the whole call.
        let answer = unsafe { libc::ioctl(self.as_raw_fd(), request.word as _, argument.0.as_mut_ptr()) };
        if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// By the kernel, which looks whether the memory is there: another thread may have committed the block meanwhile.
    fn mapped(&self, address: u64, to: &mut [u8]) -> io::Result<()> {
        let (base, len) = (address as usize, to.len());
        match process_vm_readv(Pid::this(), &mut [IoSliceMut::new(to)], &[RemoteIoVec { base, len }])? {
            read if read == len => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        }
    }
}

/// A disk's name as the argument of a request, with its NUL. `None` when it is too long or has a NUL in it.
pub fn name_bytes(name: &str, room: usize) -> Option<&[u8]> {
    (name.len() < room.min(abi::PNAME_BYTES) && !name.contains('\0')).then_some(name.as_bytes())
}
