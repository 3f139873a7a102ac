// SPDX-License-Identifier: GPL-2.0-only
//! The driver, by way of `/dev/involflt`.

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::request::{Argument, Request, Transport, name_bytes};
use crate::statistics::Statistics;
use involflt::abi::{GUID_BYTES, PNAME_BYTES, attribute, dev_info, resync_edge, version, volume_list};
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// The driver's device.
pub const DEVICE: &str = "/dev/involflt";

/// Bytes of a disk's statistics text at most: the driver writes one page.
const STATISTICS_BYTES: usize = 4096;

/// An open connection to the driver.
///
/// Filtering does not depend on it: a disk stays filtered when the connection is closed.
pub struct Driver<T = File> {
    transport: T,
}

/// The driver's and the product's version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Major, minor and two more numbers of the driver.
    pub driver: [u16; 4],
    /// Major, minor, private and build number of the product.
    pub product: [u16; 4],
}

impl Driver {
    /// Opens [`DEVICE`].
    ///
    /// Fails with [`crate::error::Kind::Unavailable`] where there is no driver, and for a caller without
    /// `CAP_SYS_ADMIN`.
    pub fn open() -> Result<Self> {
        Self::open_at(DEVICE)
    }

    /// Opens the driver's device under another name.
    pub fn open_at(device: &str) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(device);
        Ok(Driver { transport: file.map_err(|error| no_device(device, &error))? })
    }
}

impl<T: Transport> Driver<T> {
    /// A driver at the other end of `transport`.
    pub fn new(transport: T) -> Self {
        Driver { transport }
    }

    /// The driver's version.
    pub fn version(&self) -> Result<Version> {
        let mut argument = Request::GET_DRIVER_VERSION.argument();
        self.request(&Request::GET_DRIVER_VERSION, &mut argument, &mut [], "the driver", CLOSED_CURES)?;
        let bytes = argument.bytes();
        let words: [u16; version::WORDS.len()] =
            std::array::from_fn(|index| u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]));
        let [a, b, c, d, e, f, g, h] = words;
        Ok(Version { driver: [a, b, c, d], product: [e, f, g, h] })
    }

    /// Names of the filtered disks, as they were given when filtering was started.
    pub fn protected(&self) -> Result<Vec<String>> {
        let request = &Request::GET_PROTECTED_VOLUME_LIST;
        let mut buffer = vec![0; volume_list::SLACK as usize];
        let mut argument = request.argument();
        self.request(request, &mut argument, &mut [&mut buffer], "the filtered disks", CLOSED_CURES)?;
        Ok(until_nul(&buffer).lines().map(str::to_owned).collect())
    }

    /// The root file system is there, and writable: a driver that was loaded before that takes over what was kept of its disks.
    /// To another one it says nothing new.
    pub fn root_is_there(&self) -> Result<()> {
        let request = &Request::ROOT_IS_THERE;
        self.request(request, &mut request.argument(), &mut [], "the driver", CLOSED_CURES)
    }

    /// Starts filtering of a disk; one that is filtered already stays as it is.
    pub fn start(&self, disk: &Disk) -> Result<()> {
        let request = &Request::START_FILTERING;
        let mut argument = request.argument();
        put_name(&mut argument, dev_info::GUID, &disk.node, GUID_BYTES)?;
        put_name(&mut argument, dev_info::PNAME, &disk.persistent_name, PNAME_BYTES)?;
        argument.put(dev_info::TYPE, &dev_info::HOST_VOLUME.to_le_bytes());
        argument.put(dev_info::BLOCKS, &(disk.bytes / 512).to_le_bytes());
        argument.put(dev_info::BLOCK_BYTES, &512_u32.to_le_bytes());
        self.request(request, &mut argument, &mut [], &disk.node, START_CURES)
    }

    /// Stops filtering of a disk, named as in [`Self::protected`], and forgets its changes.
    pub fn stop(&self, name: &str) -> Result<()> {
        let request = &Request::STOP_FILTERING;
        let mut argument = request.argument();
        put_name(&mut argument, 0, name, GUID_BYTES)?;
        self.request(request, &mut argument, &mut [], name, STOP_CURES)
    }

    /// Statistics of a disk, named as in [`Self::protected`].
    pub fn statistics(&self, name: &str) -> Result<Statistics> {
        Statistics::parse(&self.statistics_text(name)?).map_err(|cause| {
            Error::failed(format!("{name}: {}: {cause}", Request::GET_VOLUME_STATS.name)).note(OTHER_VERSION)
        })
    }

    fn statistics_text(&self, name: &str) -> Result<String> {
        let request = &Request::GET_VOLUME_STATS;
        let mut buffer = vec![0; STATISTICS_BYTES];
        let mut argument = request.argument();
        put_name(&mut argument, 0, name, GUID_BYTES)?;
        self.request(request, &mut argument, &mut [&mut buffer], name, STATISTICS_CURES)?;
        Ok(until_nul(&buffer))
    }

    /// The statistics of the driver: names and values, in its order.
    pub fn global_statistics(&self) -> Result<Vec<(String, String)>> {
        let request = &Request::GET_GLOBAL_STATS;
        let mut argument = request.argument();
        self.request(request, &mut argument, &mut [], "the driver", CLOSED_CURES)?;
        Ok(pairs(&until_nul(argument.bytes())))
    }

    /// The statistics of a disk, named as in [`Self::protected`]: names and values, in the driver's order.
    pub fn all_statistics(&self, name: &str) -> Result<Vec<(String, String)>> {
        self.statistics_text(name).map(|text| pairs(&text))
    }

    /// The text of an attribute: of a disk, named as in [`Self::protected`], or of the driver.
    pub fn attribute(&self, disk: Option<&str>, index: u32) -> Result<String> {
        let mut text = [0; 64];
        self.attribute_request(disk, index, attribute::VALUE_GET, &mut text)?;
        Ok(until_nul(&text).trim_end().to_string())
    }

    /// Sets an attribute.
    pub fn set_attribute(&self, disk: Option<&str>, index: u32, value: &str) -> Result<()> {
        self.attribute_request(disk, index, attribute::VALUE_SET, &mut value.as_bytes().to_vec())
    }

    fn attribute_request(&self, disk: Option<&str>, index: u32, why: u32, text: &mut [u8]) -> Result<()> {
        let request = &Request::GET_SET_ATTR;
        let mut argument = request.argument();
        argument.put(attribute::INDEX, &index.to_le_bytes());
        argument.put(attribute::WHY, &why.to_le_bytes());
        match disk {
            Some(name) => put_name(&mut argument, attribute::GUID, name, GUID_BYTES)?,
            None => argument.put(attribute::GUID, attribute::VALUE_COMMON),
        }
        let subject = disk.unwrap_or("the driver");
        self.request(request, &mut argument, &mut [text], subject, ATTRIBUTE_CURES)
    }

    /// Says that the agent's service is there, as long as this connection is open: the driver then captures what is written,
    /// and not only where.
    pub fn register_service(&self) -> Result<()> {
        let mut argument = Request::SERVICE.argument();
        self.request(&Request::SERVICE, &mut argument, &mut [], "the driver", CLOSED_CURES)
    }

    /// A stamp that is later than every change that was drained of a disk, and earlier than every one that is not made yet;
    /// the disk is named as in [`Self::protected`].
    pub fn stamp(&self, name: &str) -> Result<u64> {
        let request = &Request::STAMP;
        let mut argument = request.argument();
        put_name(&mut argument, 0, name, GUID_BYTES)?;
        self.request(request, &mut argument, &mut [], name, STATISTICS_CURES)?;
        Ok(argument.u64_at(resync_edge::SEQUENCE))
    }

    /// Sends a request about `subject`; `cures` are what to do for an errno.
    fn request(
        &self,
        request: &Request,
        argument: &mut Argument,
        buffers: &mut [&mut [u8]],
        subject: &str,
        cures: &[(Errno, &str)],
    ) -> Result<()> {
        self.attempt(request, argument, buffers).map_err(|errno| refused(request, errno, subject, cures))
    }

    /// What the driver has mapped at an address.
    pub(crate) fn mapped(&self, address: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; bytes];
        self.transport.mapped(address, &mut data)?;
        Ok(data)
    }

    /// Sends a request; fails with the driver's errno.
    pub(crate) fn attempt(
        &self,
        request: &Request,
        argument: &mut Argument,
        buffers: &mut [&mut [u8]],
    ) -> std::result::Result<(), Errno> {
        let sent = self.transport.send(request, argument, buffers);
        sent.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    }
}

/// The driver's refusal of a request about `subject`; `cures` are what to do for an errno.
pub(crate) fn refused(request: &Request, errno: Errno, subject: &str, cures: &[(Errno, &str)]) -> Error {
    let cure = cures.iter().find(|(known, _)| *known == errno).map_or(LOG, |(_, cure)| cure);
    Error::failed(format!("{subject}: {}: {} ({errno:?})", request.name, errno.desc())).note(cure)
}

const LOG: &str = "the kernel's log may say why: `dmesg | grep involflt`; then `involfltctl doctor`";
const OTHER_VERSION: &str = "the driver is of another version than this program: install both from one release";
const NOT_FILTERED: &str = "it is not filtered: `involfltctl list` shows what is";

/// These requests are always good, unless the driver serves no request at all.
const CLOSED_CURES: &[(Errno, &str)] =
    &[(Errno::EINVAL, "it was told to stop for good, or is another driver: `modprobe -r involflt; modprobe involflt`")];
const START_CURES: &[(Errno, &str)] = &[
    (Errno::ENODEV, "the disk is gone, or its driver is being unloaded: see `lsblk`"),
    (Errno::ENOENT, "the disk is gone: see `lsblk`"),
    (Errno::EINVAL, "name a whole disk, not a partition"),
    (Errno::EOPNOTSUPP, "a path of a multipath device is filtered as the multipath device: see `multipath -ll`"),
    (Errno::ENOMEM, "a bitmap takes two bits for every block of the disk: free memory and try again"),
    (Errno::ENOSPC, "256 disks are filtered already: stop one first"),
];
const STOP_CURES: &[(Errno, &str)] = &[
    (Errno::ENODEV, NOT_FILTERED),
    (Errno::EINTR, "interrupted; the disk is still filtered. If it is a suspended dm device: `dmsetup resume`"),
    (Errno::EIO, FILE_SAYS_REGIONS),
];
/// In write-intent mode, whose end must be on the file's disk before the disk is filtered no longer.
const FILE_SAYS_REGIONS: &str =
    "the disk of /etc/vxagent/involflt failed, and the bitmap file would be believed: try again when it works";
const ATTRIBUTE_CURES: &[(Errno, &str)] = &[
    (Errno::ENODEV, NOT_FILTERED),
    (Errno::EINVAL, "the value is no number, or one that makes no sense here"),
    (
        Errno::EOPNOTSUPP,
        "there is no such attribute, or it cannot be set: `involfltctl attr list`. WriteIntent wants a blk-mq disk that is not \
         removable, and /etc/vxagent/involflt on ext4 with blocks of 4 KiB",
    ),
    (
        Errno::EDEADLK,
        "the disk has its own bitmap file, maybe with other devices between, or that one's disk took 5 seconds for a write: \
         WriteIntent wants /etc/vxagent/involflt on another disk",
    ),
    (Errno::EIO, FILE_SAYS_REGIONS),
    (Errno::EAGAIN, "a change could not be tracked meanwhile: try again"),
];
const STATISTICS_CURES: &[(Errno, &str)] = &[(Errno::ENODEV, NOT_FILTERED)];

pub(crate) fn put_name(argument: &mut Argument, offset: u64, name: &str, room: usize) -> Result<()> {
    let bytes = name_bytes(name, room)
        .ok_or_else(|| Error::input(format!("{name}: a name of {} bytes is the longest there is", room - 1)))?;
    argument.put(offset, bytes);
    Ok(())
}

fn no_device(device: &str, error: &io::Error) -> Error {
    let message = format!("{device}: {}", Errno::from_raw(error.raw_os_error().unwrap_or_default()).desc());
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Error::failed(message).note("the driver serves root (CAP_SYS_ADMIN) only: `sudo involfltctl …`");
    }
    if Path::new("/sys/module/involflt").exists() {
        return Error::unavailable(message).note(
            "the module is loaded without its device node: `udevadm trigger --settle /sys/class/involflt/involflt`",
        );
    }
    Error::unavailable(message)
        .note("load the driver: `modprobe involflt`")
        .note("where that fails: `involfltctl doctor`")
}

pub(crate) fn until_nul(text: &[u8]) -> String {
    String::from_utf8_lossy(text.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// The `name: value` lines of a text.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.trim().to_string(), value.to_string()));
    text.lines().filter_map(pair).collect()
}
