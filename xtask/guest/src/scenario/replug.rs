// SPDX-License-Identifier: GPL-2.0-only
//! Disks that are taken away while they are filtered, and come back.

use crate::agent::Agent;
use crate::order::{entries, poll, scsi_host, wait_until};
use crate::sys::{Doing, Step, ensure, is_linux, open};
use crate::work::buffer::Buffer;
use guest::layout::{Disk, LIVE, LIVE_SERIAL, MIB};
use nix::libc;
use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::thread;

/// Kernels that are quiet about writes to a disk that is gone.
const LOADED: (u32, u32) = (6, 1);

/// Twice on each kind of disk that can be taken away.
pub fn scenario() -> Step<String> {
    for disk in &LIVE[..3] {
        let plug = Plug::of(disk)?;
        taken_away(disk, &plug, || Ok(()))?;
        come_back(disk)?;
        taken_away(disk, &plug, || Ok(()))?;
        come_back(disk)?;
    }
    Ok("virtio-blk, virtio-scsi and nvme, each twice".into())
}

/// The disk is taken away after `begin` has changed something about its filtering, and comes back.
pub(super) fn once(disk: &'static Disk, begin: impl FnOnce() -> Step) -> Step {
    taken_away(disk, &Plug::of(disk)?, begin)?;
    come_back(disk)
}

/// Files of sysfs, and what to write to them.
struct Plug {
    take: (String, String),
    bring: (String, String),
}

impl Plug {
    fn of(disk: &Disk) -> Step<Plug> {
        let name = disk.node.trim_start_matches("/dev/");
        let write = |file: String, text: &str| (file, text.to_string());
        if name.starts_with("sd") {
            let host = scsi_host()?;
            return Ok(Plug {
                take: write(format!("/sys/block/{name}/device/delete"), "1"),
                bring: write(format!("/sys/class/scsi_host/{host}/scan"), "- - -"),
            });
        }
        // A path of a multipath head has the controller as its parent; a plain disk too.
        let device = match name.starts_with("nvme") {
            true => format!("/sys/class/nvme/{}/device", &name[.."nvme0".len()]),
            false => format!("/sys/block/{name}/device"),
        };
        let device = fs::canonicalize(&device).doing(|| device.clone())?;
        let (driver, id) = (device.join("driver"), device.file_name().unwrap_or_default().to_string_lossy());
        let driver = fs::canonicalize(&driver).doing(|| driver.display().to_string())?.display().to_string();
        Ok(Plug { take: write(format!("{driver}/unbind"), &id), bring: write(format!("{driver}/bind"), &id) })
    }

    fn take(&self) -> Step {
        fs::write(&self.take.0, &self.take.1).doing(|| self.take.0.clone())
    }

    fn bring(&self) -> Step {
        fs::write(&self.bring.0, &self.bring.1).doing(|| self.bring.0.clone())
    }
}

/// Taken away while it is written to; filtering of it ends without a hang, and it comes back. Old kernels tell of I/O errors of what
/// is in flight then, which fail a run: there nothing is.
fn taken_away(disk: &'static Disk, plug: &Plug, begin: impl FnOnce() -> Step) -> Step {
    let agent = Agent::attach(disk)?;
    begin()?;
    let file = open(disk.node, libc::O_DIRECT)?;
    let write = move || (40..48).try_for_each(|offset| file.write_all_at(Buffer::stamped(65536).bytes(), offset * MIB));
    write().doing(|| format!("write to {}", disk.name))?;
    // Until it fails.
    let load = is_linux(LOADED)?.then(|| thread::spawn(move || while write().is_ok() {}));
    plug.take()?;
    load.map_or(Ok(()), |load| load.join()).map_err(|_| "what writes panicked".to_string())?;
    wait_until(disk.node, false)?;
    agent.remove()?;
    plug.bring()?;
    appears(disk)
}

/// Old kernels' virtio_blk gives the name of a disk that somebody knew as it went to no other: it is made a link to the new one,
/// and so are its partitions'.
fn appears(disk: &Disk) -> Step {
    let renamed = || virtio_blk_of(LIVE_SERIAL).filter(|node| disk.name == LIVE[0].name && node != disk.node);
    if poll(|| Path::new(disk.node).exists() || renamed().is_some())
        && let Some(node) = renamed()
    {
        ["", "1", "2"].iter().try_for_each(|part| link(&format!("{node}{part}"), &format!("{}{part}", disk.node)))?;
    }
    wait_until(disk.node, true)
}

fn link(node: &str, name: &str) -> Step {
    fs::remove_file(name).ok();
    symlink(node, name).doing(|| name.into())
}

/// Node of the virtio-blk disk with this serial number.
fn virtio_blk_of(serial: &str) -> Option<String> {
    let is_it = |name: &String| {
        fs::read_to_string(format!("/sys/block/{name}/serial")).is_ok_and(|found| found.trim() == serial)
    };
    entries(Path::new("/sys/block")).into_iter().find(is_it).map(|name| format!("/dev/{name}"))
}

/// It is another disk to the kernel, so nobody knows what was written to it elsewhere.
fn come_back(disk: &'static Disk) -> Step {
    let mut agent = Agent::attach(disk)?;
    let hole = agent.take_hole()?;
    ensure(hole.as_deref().is_some_and(|hole| hole.contains("may have changed")), || {
        format!("{}: after it came back: {hole:?}", disk.name)
    })?;
    agent.detach()
}
