// SPDX-License-Identifier: GPL-2.0-only
//! Whether anything of the machine may still write to its disks.

use crate::platform::{File, Mode, Platform};

/// File systems that are on no disk.
const VIRTUAL: [&[u8]; 22] = [
    b"autofs",
    b"binfmt_misc",
    b"bpf",
    b"cgroup",
    b"cgroup2",
    b"configfs",
    b"debugfs",
    b"devpts",
    b"devtmpfs",
    b"efivarfs",
    b"fusectl",
    b"hugetlbfs",
    b"mqueue",
    b"proc",
    b"pstore",
    b"ramfs",
    b"rootfs",
    b"rpc_pipefs",
    b"securityfs",
    b"sysfs",
    b"tmpfs",
    b"tracefs",
];
/// Longest name of a file system that is looked at; a longer one is none of those above.
const LONGEST: usize = 16;

/// Whether no file system of a disk is mounted writable, and nothing is swapped to one. What cannot be read is not known.
pub fn is_quiet<P: Platform>() -> bool {
    let (mut mounts, mut swap) = (Mounts::default(), Swap::default());
    let read = each_byte::<P>(b"/proc/1/mounts\0", |byte| mounts.take(byte))
        && each_byte::<P>(b"/proc/meminfo\0", |byte| swap.take(byte));
    read && mounts.some && !mounts.writable && swap.zero && !swap.other
}

/// Gives each byte of a file whose length nobody knows. Whether there was one.
fn each_byte<P: Platform>(path: &[u8], mut each: impl FnMut(u8)) -> bool {
    let Ok(mut file) = P::File::open(path, Mode::Read) else { return false };
    let mut byte = [0; 1];
    let mut at = 0;
    while file.read(at, &mut byte).is_ok() {
        each(byte[0]);
        at += 1;
    }
    at != 0
}

/// `/proc/meminfo`, of which one line is `SwapTotal:` with a number of kB. (The kernel does not let itself read `/proc/swaps`.)
#[derive(Default)]
struct Swap {
    /// Bytes of the line that are as in [`SWAP`].
    same: usize,
    zero: bool,
    other: bool,
}

const SWAP: &[u8] = b"SwapTotal:";

impl Swap {
    fn take(&mut self, byte: u8) {
        match (byte, self.same) {
            (b'\n', _) => self.same = 0,
            (b'0', same) if same == SWAP.len() => self.zero = true,
            (b'1'..=b'9', same) if same == SWAP.len() => self.other = true,
            (_, same) if same == SWAP.len() => {}
            (byte, same) if SWAP.get(same) == Some(&byte) => self.same += 1,
            // Another line: nothing of it is looked at.
            _ => self.same = SWAP.len() + 1,
        }
    }
}

/// Lines of `/proc/mounts`: device, place, file system, options, which begin with `rw` or `ro`.
#[derive(Default)]
struct Mounts {
    field: usize,
    kind: [u8; LONGEST],
    length: usize,
    option: [u8; 2],
    options: usize,
    some: bool,
    writable: bool,
}

impl Mounts {
    fn take(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end(),
            b' ' => self.field += 1,
            _ if self.field == 2 => {
                if let Some(to) = self.kind.get_mut(self.length) {
                    *to = byte;
                }
                self.length += 1;
            }
            _ if self.field == 3 => {
                if let Some(to) = self.option.get_mut(self.options) {
                    *to = byte;
                }
                self.options += 1;
            }
            _ => {}
        }
    }

    /// A line has ended.
    fn end(&mut self) {
        let kind = self.kind.get(..self.length).unwrap_or(&[]);
        self.writable |= self.option != *b"ro" && !VIRTUAL.contains(&kind);
        *self = Mounts { some: true, writable: self.writable, ..Mounts::default() };
    }
}
