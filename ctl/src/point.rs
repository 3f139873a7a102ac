// SPDX-License-Identifier: GPL-2.0-only
//! Consistency points: tags at one moment on several disks.

use crate::driver::{Driver, put_name, refused};
use crate::error::{Error, Result};
use crate::request::{Argument, Request, Transport};
use involflt::abi::{TAG_GUID_BYTES, barrier, freeze, tag_info, volume_info};
use nix::errno::Errno;
use std::{fmt, fs};

/// How long tags are held at most: the driver revokes them by itself then.
const TIMEOUT_MILLISECONDS: u32 = 30_000;
/// How long file systems can stay frozen: the driver thaws them by itself.
pub const MAX_FREEZE_MILLISECONDS: u32 = freeze::MAX_TIMEOUT;
/// How long writes can be held: the driver lets them go by itself.
pub const MAX_BARRIER_MILLISECONDS: u32 = barrier::MAX_TIMEOUT;
/// Bytes of a name that a tag is given at most.
const NAME_BYTES: usize = tag_info::NAME_BYTES - 2;

/// The name of a consistency point, which no other one has.
#[derive(Debug, Clone)]
pub struct Guid(String);

impl Guid {
    /// A new one.
    pub fn new() -> Result<Self> {
        let path = "/proc/sys/kernel/random/uuid";
        let text = fs::read_to_string(path).map_err(|error| Error::failed(format!("{path}: {error}")))?;
        Self::from_text(text.trim()).ok_or_else(|| Error::failed(format!("{path}: {text:?} is no UUID")))
    }

    /// The one with this text, which has 36 bytes.
    pub fn from_text(text: &str) -> Option<Self> {
        (text.len() == TAG_GUID_BYTES).then(|| Guid(text.into()))
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T: Transport> Driver<T> {
    /// Tags every filtered disk at one moment, at which no write is under way on any of them.
    pub fn tag_all(&self, guid: &Guid, tag: &str) -> Result<()> {
        let request = &Request::BARRIER_TAG;
        let mut argument = tag_argument(request, guid, 0);
        let sent = self.attempt(request, &mut argument, &mut [&mut [], &mut name(tag)?]);
        sent.map_err(|errno| self.tag_refused(request, errno))
    }

    /// A refusal of what is for all filtered disks, or is not done: it is about those that have dirty bits, if any have.
    fn tag_refused(&self, request: &Request, errno: Errno) -> Error {
        let has_bits = |disk: &String| self.statistics(disk).is_ok_and(|statistics| statistics.has_dirty_bits());
        let disks: Vec<_> = self.protected().unwrap_or_default().into_iter().filter(has_bits).collect();
        let subject = if disks.is_empty() { "the filtered disks".into() } else { disks.join(", ") };
        refused(request, errno, &subject, TAG_CURES)
    }

    /// Tags disks, named as in [`Self::protected`]; the tags are held until [`Self::commit_tags`] or
    /// [`Self::revoke_tags`]. Fails unless every disk takes it.
    pub fn tag(&self, guid: &Guid, tag: &str, disks: &[String]) -> Result<()> {
        let request = &Request::TAG;
        let mut argument = tag_argument(request, guid, tag_info::FLAG_ATOMIC);
        let mut list = volumes(disks)?;
        let sent = self.attempt(request, &mut argument, &mut [&mut list, &mut name(tag)?]);
        sent.map_err(|errno| refused(request, errno, &disks.join(", "), TAG_CURES))?;
        let good = [volume_info::VALUE_DONE, volume_info::VALUE_METADATA];
        match failed(disks, &list, |status| good.contains(&status)) {
            None => Ok(()),
            Some(disk) => Err(Error::failed(format!("{disk}: did not take the tag {tag}")).note(DRAIN_FIRST)),
        }
    }

    /// Lets the tags of a consistency point be drained.
    pub fn commit_tags(&self, guid: &Guid) -> Result<()> {
        self.decide(guid, barrier::VALUE_COMMIT)
    }

    /// Takes them back.
    pub fn revoke_tags(&self, guid: &Guid) -> Result<()> {
        self.decide(guid, barrier::VALUE_REVOKE)
    }

    fn decide(&self, guid: &Guid, what: u32) -> Result<()> {
        let request = &Request::TAG_COMMIT;
        let mut argument = request.argument();
        argument.put(barrier::FLAGS, &what.to_le_bytes());
        self.at_point(request, argument, guid)
    }

    /// Holds what comes to any filtered disk, for so many milliseconds at most.
    pub fn hold(&self, guid: &Guid, milliseconds: u32) -> Result<()> {
        let request = &Request::CREATE_BARRIER;
        let mut argument = request.argument();
        argument.put(barrier::TIMEOUT, &milliseconds.to_le_bytes());
        argument.put(barrier::GUID, guid.0.as_bytes());
        self.attempt(request, &mut argument, &mut []).map_err(|errno| self.tag_refused(request, errno))
    }

    /// Lets it go.
    pub fn let_go(&self, guid: &Guid) -> Result<()> {
        let request = &Request::REMOVE_BARRIER;
        self.at_point(request, request.argument(), guid)
    }

    /// Tags every filtered disk while [`Self::hold`] holds. The tags are held, too, until [`Self::commit_tags`].
    pub fn tag_held(&self, guid: &Guid, tag: &str) -> Result<()> {
        let request = &Request::TAG;
        let mut argument = tag_argument(request, guid, tag_info::FLAG_ALL);
        let sent = self.attempt(request, &mut argument, &mut [&mut [], &mut name(tag)?]);
        sent.map_err(|errno| self.tag_refused(request, errno))
    }

    fn at_point(&self, request: &Request, mut argument: Argument, guid: &Guid) -> Result<()> {
        argument.put(barrier::GUID, guid.0.as_bytes());
        let sent = self.attempt(request, &mut argument, &mut []);
        sent.map_err(|errno| refused(request, errno, "the filtered disks", POINT_CURES))
    }

    /// Freezes the file systems on block devices, for so many milliseconds at most. Where one of them fails, none stays
    /// frozen.
    pub fn freeze(&self, guid: &Guid, devices: &[String], milliseconds: u32) -> Result<()> {
        let request = &Request::FREEZE;
        let mut argument = request.argument();
        argument.put(freeze::TIMEOUT, &milliseconds.to_le_bytes());
        let frozen = self.on_file_systems(request, argument, guid, devices);
        if frozen.is_err() {
            // Those that it says nothing of; one that is not frozen is passed over.
            let _ = self.thaw(guid, devices);
        }
        frozen
    }

    /// Thaws them again.
    pub fn thaw(&self, guid: &Guid, devices: &[String]) -> Result<()> {
        self.on_file_systems(&Request::THAW, Request::THAW.argument(), guid, devices)
    }

    fn on_file_systems(
        &self,
        request: &Request,
        mut argument: Argument,
        guid: &Guid,
        devices: &[String],
    ) -> Result<()> {
        argument.put(freeze::GUID, guid.0.as_bytes());
        let mut list = volumes(devices)?;
        self.attempt(request, &mut argument, &mut [&mut list]).map_err(|errno| {
            let failed = failed(devices, &list, |status| status == volume_info::VALUE_DONE);
            refused(request, errno, failed.unwrap_or(&devices.join(", ")), POINT_CURES)
        })
    }
}

const DRAIN_FIRST: &str =
    "a disk whose changes are in dirty bits takes no tag: drain it (`involfltctl replicate`, `drain`) and try again";
const TAG_CURES: &[(Errno, &str)] = &[
    (Errno::EPERM, DRAIN_FIRST),
    (Errno::EAGAIN, DRAIN_FIRST),
    (Errno::ENODEV, "no disk is filtered: `involfltctl start DISK`"),
    (Errno::EINVAL, "another consistency point is under way: try again"),
];
const POINT_CURES: &[(Errno, &str)] = &[
    (Errno::EPERM, "is there a file system on it, and mounted? see `lsblk -f`"),
    (Errno::EAGAIN, "another consistency point is under way: try again"),
    (Errno::EINVAL, "its time is over: file systems were thawed, and tags taken back"),
];

fn tag_argument(request: &Request, guid: &Guid, flags: u32) -> Argument {
    let mut argument = request.argument();
    argument.put(tag_info::FLAGS, &flags.to_le_bytes());
    argument.put(tag_info::TIMEOUT, &TIMEOUT_MILLISECONDS.to_le_bytes());
    argument.put(tag_info::GUID, guid.0.as_bytes());
    argument
}

/// A list with one name.
fn name(tag: &str) -> Result<Vec<u8>> {
    if tag.is_empty() || tag.len() > NAME_BYTES || tag.contains('\0') {
        return Err(Error::input(format!("{tag:?}: a tag's name has 1 to {NAME_BYTES} bytes")));
    }
    let mut name = vec![0; tag_info::NAME_BYTES];
    name[..2].copy_from_slice(&(tag.len() as u16).to_le_bytes());
    name[2..][..tag.len()].copy_from_slice(tag.as_bytes());
    Ok(name)
}

/// A list of volumes.
fn volumes(names: &[String]) -> Result<Vec<u8>> {
    let mut list = Vec::with_capacity(names.len() * volume_info::BYTES);
    for name in names {
        let mut volume = Request::volume();
        put_name(&mut volume, volume_info::NAME, name, volume_info::BYTES - volume_info::NAME as usize)?;
        list.extend_from_slice(volume.bytes());
    }
    Ok(list)
}

/// The first of these whose status is not good.
fn failed<'a>(names: &'a [String], list: &[u8], good: impl Fn(u32) -> bool) -> Option<&'a String> {
    let status = |volume: &[u8]| {
        let bytes = &volume[volume_info::STATUS as usize..][..4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    };
    names.iter().zip(list.chunks(volume_info::BYTES)).find(|(_, volume)| !good(status(volume))).map(|(name, _)| name)
}
