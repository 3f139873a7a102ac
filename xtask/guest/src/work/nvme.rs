// SPDX-License-Identifier: GPL-2.0-only
//! NVMe commands as `nvme io-passthru` gives them to a disk: by an ioctl (`linux/nvme_ioctl.h`), past the block layer.

use crate::sys::{Doing, Fields, Step, ioctl, ioctl_word};
use std::fs::File;

const NVME_IOCTL_ID: u32 = 0x4e40;
const NVME_IOCTL_IO_CMD: u32 = 0xc048_4e43;
/// Bytes of `struct nvme_passthru_cmd`, and where its fields are.
const BYTES: usize = 72;
const OPERATION: u64 = 0;
const NAMESPACE: u64 = 4;
const DATA: u64 = 24;
const DATA_BYTES: u64 = 36;
const WORD_10: u64 = 40;
const TIMEOUT: u64 = 64;

/// A command: its operation code, and its words 10 to 12.
pub type Command = (u8, [u32; 3]);

/// Gives the disk a command that sends `data`, and gives its status: 0 is good.
pub fn send(disk: &File, (operation, words): Command, data: &mut [u8]) -> Step<i32> {
    let namespace = ioctl_word(disk, NVME_IOCTL_ID, 0).doing(|| "ask for the NVMe namespace".into())?;
    let mut command = [0; BYTES];
    command.put(OPERATION, &[operation]);
    command.put(NAMESPACE, &namespace.to_ne_bytes());
    command.put(DATA, &data.as_mut_ptr().expose_provenance().to_ne_bytes());
    command.put(DATA_BYTES, &(data.len() as u32).to_ne_bytes());
    for (index, word) in (0..).zip(words) {
        command.put(WORD_10 + 4 * index, &word.to_ne_bytes());
    }
    command.put(TIMEOUT, &20_000_u32.to_ne_bytes());
    ioctl(disk, NVME_IOCTL_IO_CMD, &mut command).doing(|| format!("NVMe command {operation:#04x}"))
}
