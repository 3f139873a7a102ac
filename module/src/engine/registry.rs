// SPDX-License-Identifier: GPL-2.0-only
//! The filtered disks.

use crate::engine::{Drain, Tracker};
use crate::platform::{Attached, Errno, Opened, Platform, Result};

/// Most disks that are filtered at once. Two bitmaps a disk are what bounds it.
pub const MAX_DISKS: usize = 256;

/// A NUL-terminated name in a buffer of `N` bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Name<N> {
    /// The name in `bytes`, up to its NUL. Fails with [`Errno::INVAL`] when it is empty or has no NUL.
    pub fn new(bytes: [u8; N]) -> Result<Self> {
        match bytes.iter().position(|&byte| byte == 0) {
            None | Some(0) => Err(Errno::INVAL),
            Some(length) => Ok(Name { bytes, length }),
        }
    }

    /// The name `text`, which holds no NUL. Fails with [`Errno::INVAL`] when it is empty or does not fit with a NUL.
    pub fn from_slice(text: &[u8]) -> Result<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len()).ok_or(Errno::INVAL)?.copy_from_slice(text);
        Name::new(bytes)
    }

    /// The name without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The name with its NUL.
    pub fn with_nul(&self) -> &[u8] {
        &self.bytes[..=self.length]
    }
}

/// One filtered disk.
pub struct Disk<P: Platform> {
    /// Never 0, and never given twice.
    pub id: u64,
    /// The path by which the agent names it.
    pub path: Name<256>,
    /// Its persistent name.
    pub persistent_name: Name<256>,
    identity: u64,
    /// The filtered disk itself.
    pub device: P::Attached,
    /// Delivery of its changes.
    pub drain: Drain<P>,
    /// Whether the agent has forbidden delivery for now.
    pub drain_blocked: bool,
}

impl<P: Platform> Disk<P> {
    /// Bytes that wait, those of the block that is out not counted.
    pub fn pending_bytes(&self) -> u64 {
        self.drain.pending_bytes(&self.device)
    }
}

/// All filtered disks, and what they share. Its owner sees to it that one caller at a time gets in.
pub struct Registry<P: Platform> {
    disks: [Option<P::Boxed<Disk<P>>>; MAX_DISKS],
    last_id: u64,
    closed: bool,
    drainer: bool,
}

impl<P: Platform> Registry<P> {
    /// No disks.
    pub const fn new() -> Self {
        Registry { disks: [const { None }; MAX_DISKS], last_id: 0, closed: false, drainer: false }
    }

    /// Whether [`Self::stop_all`] has been called.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The filtered disks.
    pub fn disks(&self) -> impl Iterator<Item = &Disk<P>> {
        self.disks.iter().flatten().map(|disk| &**disk)
    }

    /// The filtered disks.
    pub fn disks_mut(&mut self) -> impl Iterator<Item = &mut Disk<P>> {
        self.disks.iter_mut().flatten().map(|disk| &mut **disk)
    }

    /// The disk that is filtered as `path`.
    pub fn find_mut(&mut self, path: &[u8]) -> Option<&mut Disk<P>> {
        self.disks_mut().find(|disk| disk.path.as_bytes() == path)
    }

    /// The disk with `id`.
    pub fn disk_mut(&mut self, id: u64) -> Option<&mut Disk<P>> {
        Some(self.disks.iter_mut().flatten().find(|disk| disk.id == id)?)
    }

    /// The disk that is filtered as `path`.
    pub fn find(&self, path: &[u8]) -> Option<&Disk<P>> {
        self.disks().find(|disk| disk.path.as_bytes() == path)
    }

    /// The disk that is filtered as `path` or has the persistent name.
    pub fn find_by_any_name(&mut self, name: &[u8]) -> Option<&mut Disk<P>> {
        let is_path = self.find(name).is_some();
        self.disks_mut()
            .find(|disk| if is_path { disk.path.as_bytes() } else { disk.persistent_name.as_bytes() } == name)
    }

    /// Filters the disk at `path` and gives its id; a disk that is filtered already stays as it is, whatever its path.
    ///
    /// Fails as opening and attaching the disk do, and with [`Errno::NOSPC`] beyond [`MAX_DISKS`].
    pub fn start(&mut self, path: Name<256>, persistent_name: Name<256>) -> Result<u64> {
        let opened = P::Opened::open(path.with_nul())?;
        let geometry = opened.geometry();
        if let Some(disk) = self.disks().find(|disk| disk.identity == geometry.identity) {
            return Ok(disk.id);
        }
        let slot = self.disks.iter().position(Option::is_none).ok_or(Errno::NOSPC)?;
        let tracker = Tracker::<P>::new(geometry.sectors)?;
        let drain = Drain::new(tracker.same_shape()?)?;
        let device = opened.attach(P::boxed(tracker)?)?;
        let id = self.last_id + 1;
        let disk = Disk { id, path, persistent_name, identity: geometry.identity, device, drain, drain_blocked: false };
        self.disks[slot] = Some(P::boxed(disk)?);
        self.last_id = id;
        Ok(id)
    }

    /// Filters the disk no longer, and forgets its changes. Fails with [`Errno::NODEV`] when it is not filtered.
    pub fn stop(&mut self, path: &[u8]) -> Result<()> {
        let named = |disk: &Option<P::Boxed<Disk<P>>>| disk.as_ref().is_some_and(|disk| disk.path.as_bytes() == path);
        let slot = self.disks.iter_mut().find(|disk| named(disk)).ok_or(Errno::NODEV)?;
        Self::stop_slot(slot)
    }

    fn stop_slot(slot: &mut Option<P::Boxed<Disk<P>>>) -> Result<()> {
        if let Some(disk) = slot {
            disk.device.detach()?;
        }
        *slot = None;
        Ok(())
    }

    /// A drainer has come. Fails with [`Errno::INVAL`] where there is one.
    pub fn drainer_comes(&mut self) -> Result<()> {
        if self.drainer {
            return Err(Errno::INVAL);
        }
        self.drainer = true;
        Ok(())
    }

    /// The drainer has gone. What it did not commit is delivered again to the next one.
    pub fn drainer_goes(&mut self) {
        self.drainer = false;
    }

    /// Filters nothing any longer, and is closed from then on. Fails as detaching does; disks that came before are gone.
    pub fn stop_all(&mut self) -> Result<()> {
        self.disks.iter_mut().try_for_each(Self::stop_slot)?;
        self.closed = true;
        Ok(())
    }
}

impl<P: Platform> Default for Registry<P> {
    fn default() -> Self {
        Self::new()
    }
}
