// SPDX-License-Identifier: GPL-2.0-only
//! Appends to zones. Where in its zone one lands is known only to the disk, so all of the zone is a change.

use super::nvme::{is_decoded, write_often};
use super::zones::{BLKRESETZONE, drained, manage};
use crate::agent::Agent;
use crate::order::{give_nvme, knows_nvme_zones, wait_until};
use crate::sys::{Doing, Failure, Fields, Step, ensure, open};
use crate::work::null_blk::CONFIG;
use crate::work::{buffer::Buffer, file_system, null_blk, nvme};
use crate::{dm, module};
use guest::layout::{MIB, NEXT_DM_NODE, held};
use guest::protocol::MODULES;
use nix::libc;
use nix::mount::{MsFlags, mount};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

const ZONE: u64 = 4 * MIB;
const SIZE: u64 = 64 * MIB;
/// Bytes of each append.
const BYTES: usize = 65536;
const SECTOR: u64 = 512;
const ZONE_APPEND: u8 = 0x7d;

/// By the block layer on a blk-mq disk and a bio-based one on it, and by a program's command to an NVMe disk.
pub fn scenario() -> Step<String> {
    if !knows_nvme_zones()? {
        return Err(Failure::Skipped("the kernel has no NVMe zones, nor anything else that appends".into()));
    }
    let append = Append::of_kernel()?;
    if !matches!(append, Append::Nothing) {
        null_blk::with_zones(SIZE, ZONE, |node| {
            by_block_layer(&append, node)?;
            dm::linear("zones", node, 0, SIZE)?;
            by_block_layer(&append, NEXT_DM_NODE).and(dm::remove("zones"))
        })?;
    }
    Ok(format!("{}; an NVMe command {}", append.title(), by_command()?))
}

/// What of a kernel makes the block layer append.
enum Append {
    Zonefs,
    Target,
    Nothing,
}

impl Append {
    /// zonefs appends until Linux 6.5. In some of those kernels it then finds the place that it is told to be wrong, whether the
    /// disk is filtered or not, so only the ones that do not look at it are used.
    fn of_kernel() -> Step<Append> {
        let load = |name| module::load(&format!("{MODULES}/{name}.ko"));
        let has = |name| Path::new(MODULES).join(name).exists();
        if !null_blk::is_there() {
            return Ok(Append::Nothing);
        }
        Ok(match (is_decoded()?, has("zonefs.ko"), has("nvme_loop.ko")) {
            (false, true, _) => load("zonefs").map(|()| Append::Zonefs)?,
            (_, _, true) => load("nvme_loop").map(|()| Append::Target)?,
            _ => Append::Nothing,
        })
    }

    fn title(&self) -> &'static str {
        match self {
            Append::Zonefs => "by zonefs on a blk-mq and a bio-based disk",
            Append::Target => "by an NVMe target on a blk-mq and a bio-based disk",
            Append::Nothing => "the kernel has no null_blk, or neither nvme-loop nor a zonefs that can append",
        }
    }
}

/// An append to the second zone of a disk whose zones are all empty.
fn by_block_layer(append: &Append, node: &'static str) -> Step {
    manage(&open(node, 0)?, BLKRESETZONE, 0, SIZE)?;
    let mut agent = Agent::attach(null_blk::at(node, SIZE))?;
    let done = match append {
        Append::Zonefs => with_zonefs(&mut agent),
        Append::Target => with_target(&mut agent),
        Append::Nothing => Ok(()),
    };
    agent.detach().and(done)
}

/// All of the second zone is drained, which begins with the data.
fn second_zone(agent: &mut Agent, data: &[u8]) -> Step {
    let changed = drained(agent)?;
    ensure(changed == [(ZONE, ZONE)], || format!("{}: append: drained {changed:?}", agent.disk.node))?;
    begins_with(agent.disk.node, ZONE, data)
}

fn begins_with(node: &str, offset: u64, data: &[u8]) -> Step {
    let mut found = Buffer::new(data.len());
    let disk = open(node, libc::O_DIRECT)?;
    disk.read_exact_at(found.bytes_mut(), offset).doing(|| format!("{node}: read what was appended"))?;
    ensure(found.bytes() == data, || format!("{node}: what was appended is not at {offset}"))
}

/// A file system of zones begins with its magic and the CRC-32, not inverted, of this block with 0 in the CRC's place.
const ZONEFS: [(u64, u32); 2] = [(0, 0x5a4f_4653), (4, 0x59bf_ab05)];
const PLACE: &str = "/mnt/zones";

/// Its first file is the second zone; the first one has the file system's own block.
fn with_zonefs(agent: &mut Agent) -> Step {
    let node = agent.disk.node;
    let mut block = Buffer::new(4096);
    block.bytes_mut().fill(0);
    ZONEFS.iter().for_each(|(at, number)| block.bytes_mut().put(*at, &number.to_le_bytes()));
    open(node, libc::O_DIRECT)?.write_all_at(block.bytes(), 0).doing(|| format!("{node}: make a zonefs"))?;
    drained(agent)?;
    fs::create_dir_all(PLACE).doing(|| PLACE.into())?;
    mount(Some(node), PLACE, Some("zonefs"), MsFlags::empty(), None::<&str>).doing(|| format!("{node}: mount"))?;
    let data = Buffer::stamped(BYTES);
    let append =
        || open(&format!("{PLACE}/seq/0"), libc::O_DIRECT)?.write_all_at(data.bytes(), 0).doing(|| node.into());
    let done = append();
    file_system::unmount(PLACE).doing(|| format!("{node}: unmount"))?;
    done?;
    second_zone(agent, data.bytes())
}

const SUBSYSTEM: &str = "nvmet/subsystems/zones";
const NAMESPACE: &str = "nvmet/subsystems/zones/namespaces/1";
const PORT: &str = "nvmet/ports/1";
const LINK: &str = "nvmet/ports/1/subsystems/zones";
/// What comes of the target in the same machine: the first number that no disk of the host has.
const TARGET_NODE: &str = "/dev/nvme2n1";
const TARGET_DELETE: &str = "/sys/class/nvme/nvme2/delete_controller";

/// The kernel's NVMe target offers the disk, and makes an append of a program's command.
fn with_target(agent: &mut Agent) -> Step {
    let config = Path::new(CONFIG);
    let make = |name: &str| fs::create_dir(config.join(name)).doing(|| name.into());
    let set = |name: &str, value: &str| fs::write(config.join(name), value).doing(|| format!("{name}: {value}"));
    make(SUBSYSTEM)?;
    set(&format!("{SUBSYSTEM}/attr_allow_any_host"), "1")?;
    make(NAMESPACE)?;
    set(&format!("{NAMESPACE}/device_path"), agent.disk.node)?;
    set(&format!("{NAMESPACE}/enable"), "1")?;
    make(PORT)?;
    set(&format!("{PORT}/addr_trtype"), "loop")?;
    symlink(config.join(SUBSYSTEM), config.join(LINK)).doing(|| LINK.into())?;
    let done = with_host(agent);
    fs::remove_file(config.join(LINK)).doing(|| LINK.into())?;
    [PORT, NAMESPACE, SUBSYSTEM]
        .iter()
        .try_for_each(|name| fs::remove_dir(config.join(name)).doing(|| format!("remove {name}")))?;
    done
}

fn with_host(agent: &mut Agent) -> Step {
    open("/dev/nvme-fabrics", 0)?
        .write_all(b"transport=loop,nqn=zones")
        .doing(|| "connect to the NVMe target".into())?;
    wait_until(TARGET_NODE, true)?;
    drained(agent)?;
    let done = append_by_command(TARGET_NODE, ZONE).and_then(|data| second_zone(agent, data.bytes()));
    fs::write(TARGET_DELETE, "1").doing(|| TARGET_DELETE.into())?;
    wait_until(TARGET_NODE, false)?;
    done
}

/// Appends to the zone that begins at `offset`; gives what was appended.
fn append_by_command(node: &str, offset: u64) -> Step<Buffer> {
    let mut data = Buffer::stamped(BYTES);
    let command = (ZONE_APPEND, [(offset / SECTOR) as u32, 0, (BYTES as u64 / SECTOR) as u32 - 1]);
    let status = nvme::send(&open(node, 0)?, command, data.bytes_mut())?;
    ensure(status == 0, || format!("{node}: ZONE APPEND: status {status}"))?;
    Ok(data)
}

/// A program's own append to a disk. Says what the driver makes of it.
fn by_command() -> Step<&'static str> {
    give_nvme(held::ZONED, true)?;
    wait_until(held::NODE, true)?;
    let mut agent = Agent::attach(null_blk::at(held::NODE, held::ZONED_SIZE))?;
    let done = command_is_seen(&mut agent);
    agent.detach()?;
    give_nvme(held::ZONED, false)?;
    wait_until(held::NODE, false)?;
    done
}

fn command_is_seen(agent: &mut Agent) -> Step<&'static str> {
    let node = agent.disk.node;
    let disk = open(node, libc::O_DIRECT)?;
    write_often(&disk, 0, SECTOR as usize)?;
    drained(agent)?;
    let data = append_by_command(node, held::ZONE)?;
    begins_with(node, held::ZONE, data.bytes())?;
    if !is_decoded()? {
        let hole = agent.take_hole()?;
        let told = hole.as_deref().is_some_and(|hole| hole.contains("passthrough"));
        return if told { Ok("is a hole") } else { Err(Failure::Failed(format!("ZONE APPEND: hole {hole:?}"))) };
    }
    let changed = drained(agent)?;
    // The size of a zone is not in the command.
    ensure(changed == [(held::ZONE, held::ZONED_SIZE - held::ZONE)], || format!("ZONE APPEND: drained {changed:?}"))?;
    Ok("is decoded")
}
