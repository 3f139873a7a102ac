// SPDX-License-Identifier: GPL-2.0-only
//! The agent's side of the driver's ABI: attach a disk, drain it, detach it.

use crate::contents::Contents;
use crate::svd::{Change, Parsed};
use crate::sys::{Doing, Failure, Fields, Step, ensure, ioctl, ioctl_word, memory, open};
use guest::extents::Extents;
use guest::layout::Disk;
use involflt::abi::{
    self, GUID_BYTES, attribute, blk_mq, commit, dev_info, dirty_block, request, volume_list, volume_stats as stats,
    wait,
};
use nix::poll::{PollFd, PollFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// The driver's device.
pub const DEVICE: &str = "/dev/involflt";

/// A filtered disk, and what was drained of it since it was attached.
pub struct Agent {
    file: File,
    /// The disk.
    pub disk: &'static Disk,
    /// Everything committed so far.
    pub drained: Extents,
    /// Batches committed so far.
    pub batches: u64,
    /// What the data of committed batches says that the disk holds, from when somebody wants to know it.
    pub contents: Option<Contents>,
}

/// One batch as the driver gave it, not yet committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Transaction number.
    pub transaction: u64,
    /// Offset and length in bytes; empty when all is drained.
    pub changes: Vec<(u64, u64)>,
    /// What the tags say that the batch carries instead of changes.
    pub tags: Vec<String>,
    /// The changes with their data, where the driver has captured it, and where the stream of them is.
    pub data: Vec<Change>,
    /// Where the stream of data or tags is in this process.
    pub stream: Option<u64>,
    /// The write-order state of the ABI.
    pub state: u32,
}

/// The `VOLUME_GUID` of a path.
pub fn guid(path: &str) -> [u8; GUID_BYTES] {
    let mut guid = [0; GUID_BYTES];
    guid.put(0, path.as_bytes());
    guid
}

/// The argument of `START_FILTERING` for a device node and a size in bytes.
pub fn start_request(node: &str, bytes: u64) -> Vec<u8> {
    let mut info = vec![0; dev_info::BYTES];
    info.put(dev_info::TYPE, &dev_info::HOST_VOLUME.to_le_bytes());
    info.put(dev_info::GUID, node.as_bytes());
    info.put(dev_info::BLOCKS, &(bytes / 512).to_le_bytes());
    info.put(dev_info::BLOCK_BYTES, &512_u32.to_le_bytes());
    info.put(dev_info::PNAME, persistent_name(node).as_bytes());
    info
}

/// Where the driver keeps its files, as the ABI has it.
pub const FILES: &str = "/etc/vxagent/involflt";

/// The name of a disk in the driver's persistent store.
pub fn persistent_name(node: &str) -> String {
    node.trim_start_matches('/').replace('/', "_")
}

impl Batch {
    /// Whether all is drained.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.tags.is_empty()
    }

    fn of_stream(block: &[u8], address: u64, stream: Parsed) -> Batch {
        Batch {
            transaction: block.u64_at(dirty_block::TRANSACTION),
            changes: stream.changes.iter().map(|change| (change.offset, change.data.len() as u64)).collect(),
            tags: stream.tags.iter().map(|tag| String::from_utf8_lossy(tag).into_owned()).collect(),
            data: stream.changes,
            stream: Some(address),
            state: block.u32_at(dirty_block::STATE),
        }
    }

    fn of_lists(block: &[u8], disk: &Disk) -> Step<Batch> {
        let count = block.u32_at(dirty_block::CHANGES);
        ensure(count as usize <= abi::MAX_CHANGES, || format!("{}: a batch of {count} changes", disk.name))?;
        let offset = |index| block.u64_at(dirty_block::OFFSETS + 8 * index);
        let length = |index| block.u32_at(dirty_block::LENGTHS + 4 * index).into();
        Ok(Batch {
            transaction: block.u64_at(dirty_block::TRANSACTION),
            changes: (0..u64::from(count)).map(|index| (offset(index), length(index))).collect(),
            tags: tags_of(&block[dirty_block::TAGS as usize..][64..dirty_block::OFFSETS as usize - 512]),
            data: Vec::new(),
            stream: None,
            state: block.u32_at(dirty_block::STATE),
        })
    }
}

impl Agent {
    /// Starts filtering of a disk.
    pub fn attach(disk: &'static Disk) -> Step<Agent> {
        let file = open(DEVICE, 0)?;
        ioctl(&file, request::START_FILTERING_DEVICE_V2, &mut start_request(disk.node, disk.size))
            .doing(|| format!("{}: start filtering", disk.name))?;
        Ok(Agent { file, disk, drained: Extents::default(), batches: 0, contents: None })
    }

    /// Tells a driver that was loaded before its root was there that it is.
    pub fn root_is_there(&self) -> Step {
        ioctl(&self.file, request::INIT_DRIVER_FULLY, &mut [0; 4]).doing(|| "init driver fully".into()).map(drop)
    }

    /// Why the driver says that the disk needs a resync, if it does.
    pub fn resync_reason(&self) -> Step<Option<String>> {
        let statistics = self.statistics()?;
        match statistics.text("resync_required")?.as_str() {
            "no" => Ok(None),
            _ => statistics.text("resync_reason").map(Some),
        }
    }

    /// Stops filtering of the disk.
    pub fn detach(self) -> Step {
        let mut name = guid(self.disk.node);
        ioctl(&self.file, request::STOP_FILTERING_DEVICE, &mut name)
            .doing(|| format!("{}: stop filtering", self.disk.name))?;
        Ok(())
    }

    /// Stops filtering of the disk, whose changes are kept for the next start.
    pub fn remove(self) -> Step {
        let mut name = guid(self.disk.node);
        ioctl(&self.file, request::REMOVE_FILTER_DEVICE, &mut name).doing(|| format!("{}: remove", self.disk.name))?;
        Ok(())
    }

    /// Gets a batch without committing it.
    pub fn get(&self) -> Step<Batch> {
        let name = self.disk.name;
        let mut block = vec![0; dirty_block::BYTES];
        ioctl(&self.file, request::GET_DIRTY_BLOCKS_TRANS_V2, &mut block)
            .doing(|| format!("{name}: get dirty blocks"))?;
        let (count, flags) = (block.u32_at(dirty_block::CHANGES), block.u32_at(dirty_block::FLAGS));
        ensure(flags & dirty_block::FLAG_RESYNC_REQUIRED == 0, || {
            let text = &block[dirty_block::RESYNC_TEXT as usize..][..dirty_block::RESYNC_TEXT_BYTES];
            let code = block.u64_at(dirty_block::RESYNC_CODE);
            format!("{name}: resync required: {} (code {code:#x})", until_nul(text))
        })?;
        let stream = (flags & dirty_block::FLAG_STREAM != 0).then(|| {
            let (address, bytes) = (block.u64_at(dirty_block::BUFFER), block.u32_at(dirty_block::STREAM_BYTES));
            (address, Parsed::of(memory(&block, address, bytes as usize)))
        });
        let batch = match stream {
            Some((address, parsed)) => Batch::of_stream(&block, address, parsed),
            None => Batch::of_lists(&block, self.disk)?,
        };
        ensure(batch.is_empty() == (flags & dirty_block::FLAG_TIMESTAMP_ONLY != 0), || {
            format!("{name}: a batch of {count} changes with flags {flags:#x}")
        })?;
        ensure(batch.changes.len() == count as usize, || format!("{name}: {count} changes, and not as many there"))?;
        Ok(batch)
    }

    /// Commits a batch.
    pub fn commit(&self, transaction: u64) -> io::Result<()> {
        let mut argument = [0; commit::BYTES];
        argument.put(0, &guid(self.disk.node));
        argument.put(commit::TRANSACTION, &transaction.to_le_bytes());
        ioctl(&self.file, request::COMMIT_DIRTY_BLOCKS_TRANS, &mut argument).map(drop)
    }

    /// What the driver says of a hole, which is taken back as when a resync has begun.
    pub fn take_hole(&mut self) -> Step<Option<String>> {
        let name = self.disk.name;
        let mut block = vec![0; dirty_block::BYTES];
        ioctl(&self.file, request::GET_DIRTY_BLOCKS_TRANS_V2, &mut block)
            .doing(|| format!("{name}: get dirty blocks"))?;
        let required = block.u32_at(dirty_block::FLAGS) & dirty_block::FLAG_RESYNC_REQUIRED != 0;
        let text = until_nul(&block[dirty_block::RESYNC_TEXT as usize..][..dirty_block::RESYNC_TEXT_BYTES]);
        let mut argument = [0; commit::BYTES];
        argument.put(0, &guid(self.disk.node));
        argument.put(commit::TRANSACTION, &block.u64_at(dirty_block::TRANSACTION).to_le_bytes());
        argument.put(commit::FLAGS, &commit::FLAG_RESYNC_STARTED.to_le_bytes());
        ioctl(&self.file, request::COMMIT_DIRTY_BLOCKS_TRANS, &mut argument).doing(|| format!("{name}: commit"))?;
        Ok(required.then_some(text))
    }

    /// Gets and commits one batch; says whether there was something in it.
    pub fn drain_once(&mut self) -> Step<bool> {
        let batch = self.get()?;
        self.finish(&batch)?;
        Ok(!batch.is_empty())
    }

    /// Commits a batch, and notes what was in it.
    pub fn finish(&mut self, batch: &Batch) -> Step {
        for &(offset, length) in &batch.changes {
            let inside = length > 0 && offset.checked_add(length).is_some_and(|end| end <= self.disk.size);
            ensure(inside, || format!("{}: a change of {length} bytes at {offset}", self.disk.name))?;
            self.drained.insert(offset, length);
        }
        if let Some(contents) = &mut self.contents {
            contents.apply(batch);
        }
        self.commit(batch.transaction).doing(|| format!("{}: commit", self.disk.name))?;
        self.batches += 1;
        Ok(())
    }

    /// Gets and commits every batch without looking into it.
    pub fn drain_unread(&self) -> Step {
        let mut block = vec![0; dirty_block::BYTES];
        loop {
            ioctl(&self.file, request::GET_DIRTY_BLOCKS_TRANS_V2, &mut block)
                .doing(|| format!("{}: get dirty blocks", self.disk.name))?;
            if block.u32_at(dirty_block::FLAGS) & dirty_block::FLAG_TIMESTAMP_ONLY != 0 {
                return Ok(());
            }
            self.commit(block.u64_at(dirty_block::TRANSACTION)).doing(|| format!("{}: commit", self.disk.name))?;
        }
    }

    /// Drains until nothing is left; a disk that nobody writes to must come to that.
    pub fn drain_all(&mut self) -> Step {
        let most = self.disk.size / 4096 + 64;
        for _ in 0..most {
            if !self.drain_once()? {
                return Ok(());
            }
        }
        Err(Failure::Failed(format!("{}: not empty after {most} batches", self.disk.name)))
    }

    /// A handle of the same open file, by which another thread waits for the disk.
    pub fn waiter(&self) -> Step<Waiter> {
        let file = self.file.try_clone().doing(|| format!("{}: another handle", self.disk.name))?;
        Ok(Waiter { file, disk: self.disk })
    }

    /// Puts the disk into write-intent mode.
    pub fn intend(&self) -> Step {
        set_attribute(self.disk.node.as_bytes(), attribute::disk::WRITE_INTENT, 1)
    }

    /// The driver's counters of this disk, as its text says.
    pub fn statistics(&self) -> Step<Statistics> {
        volume_stats(&self.file, self.disk.node).doing(|| format!("{}: statistics", self.disk.name)).map(Statistics)
    }
}

/// Becomes the agent's service, for as long as the file is open: data is captured from then on.
pub fn become_service() -> Step<File> {
    let file = open(DEVICE, 0)?;
    ioctl(&file, request::SERVICE_SHUTDOWN_NOTIFY, &mut [0; 4]).doing(|| "become the service".into())?;
    Ok(file)
}

/// The tags of a list, which begins behind what every list has: a header, the length of the data, the data.
fn tags_of(mut list: &[u8]) -> Vec<String> {
    let mut tags = Vec::new();
    while list[..2] == dirty_block::tag::USER.to_le_bytes() {
        let (whole, header) =
            if list[2] & dirty_block::tag::FLAG_LONG != 0 { (list.u32_at(4) as usize, 8) } else { (list[3].into(), 4) };
        let length = usize::from(u16::from_le_bytes([list[header], list[header + 1]]));
        tags.push(String::from_utf8_lossy(&list[header + 2..][..length]).into_owned());
        list = &list[whole..];
    }
    tags
}

/// Waits for a disk's changes.
pub struct Waiter {
    file: File,
    disk: &'static Disk,
}

impl Waiter {
    /// Waits until there is enough to drain, for so many seconds at most.
    pub fn wait(&self, seconds: i32) -> io::Result<()> {
        let mut argument = [0; wait::BYTES];
        argument.put(0, &guid(self.disk.node));
        argument.put(wait::SECONDS, &seconds.to_le_bytes());
        ioctl(&self.file, request::WAIT_FOR_DB_V2, &mut argument).map(drop)
    }

    /// What a poll of so many milliseconds finds.
    pub fn poll(&self, milliseconds: u16) -> nix::Result<PollFlags> {
        let mut files = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        nix::poll::poll(&mut files, milliseconds)?;
        Ok(files[0].revents().unwrap_or(PollFlags::empty()))
    }

    /// Wakes everybody who waits for any disk.
    pub fn wake_all(&self) -> io::Result<()> {
        ioctl_word(&self.file, request::WAKEUP_ALL_THREADS, 0).map(drop)
    }
}

/// The most that the driver writes of its own statistics.
const GLOBAL_STATS_BYTES: usize = 4096;

/// The text of the statistics of a disk or of the driver.
pub struct Statistics(String);

impl Statistics {
    /// The number after `key:`.
    pub fn get(&self, key: &str) -> Step<u64> {
        self.0
            .lines()
            .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':')?.trim().parse().ok())
            .ok_or_else(|| Failure::Failed(format!("no number after \"{key}:\" in {:?}", self.0)))
    }

    /// The word after `key:`.
    pub fn text(&self, key: &str) -> Step<String> {
        let found = self.0.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':'));
        found
            .map(|value| value.trim().to_owned())
            .ok_or_else(|| Failure::Failed(format!("no \"{key}:\" in {:?}", self.0)))
    }
}

/// Sets a tunable of the driver.
pub fn set_common(index: u32, value: u32) -> Step {
    set_attribute(attribute::VALUE_COMMON, index, value)
}

fn set_attribute(whose: &[u8], index: u32, value: u32) -> Step {
    let text = value.to_string();
    let mut argument = [0; attribute::BYTES];
    argument.put(attribute::INDEX, &index.to_le_bytes());
    argument.put(attribute::WHY, &attribute::VALUE_SET.to_le_bytes());
    argument.put(attribute::GUID, whose);
    argument.put(attribute::BUFFER, &(text.as_ptr().expose_provenance() as u64).to_le_bytes());
    argument.put(attribute::BUFFER_BYTES, &(text.len() as u32).to_le_bytes());
    ioctl(&open(DEVICE, 0)?, request::GET_SET_ATTR, &mut argument).doing(|| format!("set attribute {index}"))?;
    Ok(())
}

/// Gets the statistics text of a disk by its node.
pub fn volume_stats(file: &File, node: &str) -> io::Result<String> {
    let mut text = vec![0_u8; 4096];
    let mut argument = [0; stats::BYTES];
    argument.put(0, &guid(node));
    argument.put(stats::BUFFER, &(text.as_mut_ptr().expose_provenance() as u64).to_le_bytes());
    argument.put(stats::BUFFER_BYTES, &(text.len() as u32).to_le_bytes());
    ioctl(file, request::GET_VOLUME_STATS, &mut argument)?;
    Ok(until_nul(&text))
}

/// The driver's own statistics.
pub fn global_stats() -> Step<Statistics> {
    let mut text = vec![0; GLOBAL_STATS_BYTES];
    ioctl(&open(DEVICE, 0)?, request::GET_GLOBAL_STATS, &mut text).doing(|| "get the global statistics".into())?;
    Ok(Statistics(until_nul(&text)))
}

/// The device nodes that the driver says are protected.
pub fn protected(file: &File) -> Step<Vec<String>> {
    let mut text = vec![0_u8; 65536];
    let mut list = [0; volume_list::BYTES];
    list.put(volume_list::BUFFER, &(text.as_mut_ptr().expose_provenance() as u64).to_le_bytes());
    list.put(volume_list::BUFFER_BYTES, &(text.len() as u32).to_le_bytes());
    ioctl(file, request::GET_PROTECTED_VOLUME_LIST, &mut list).doing(|| "get protected volume list".into())?;
    Ok(until_nul(&text).lines().map(str::to_owned).collect())
}

/// The driver's version, as the wire has it.
pub fn version(file: &File) -> io::Result<[u16; abi::version::WORDS.len()]> {
    let mut version = [0; 2 * abi::version::WORDS.len()];
    ioctl(file, request::GET_DRIVER_VERSION, &mut version)?;
    Ok(std::array::from_fn(|index| u16::from_le_bytes([version[2 * index], version[2 * index + 1]])))
}

/// Whether a block device is blk-mq, as the driver says.
pub fn is_blk_mq(file: &File, node: &str) -> Step<bool> {
    let mut argument = [0; blk_mq::BYTES];
    argument.put(0, &guid(node));
    ioctl(file, request::GET_BLK_MQ_STATUS, &mut argument).doing(|| format!("{node}: blk-mq?"))?;
    Ok(argument.u32_at(blk_mq::ANSWER) != 0)
}

/// Detaches every disk and latches "may be unloaded".
pub fn unstack_all(file: &File) -> Step {
    ioctl_word(file, request::UNSTACK_ALL, 0).doing(|| "unstack all".into()).map(drop)
}

fn until_nul(text: &[u8]) -> String {
    String::from_utf8_lossy(text.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}
