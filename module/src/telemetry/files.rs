// SPDX-License-Identifier: GPL-2.0-only
//! The numbered files, which an agent collects and deletes.

use crate::platform::{File, Mode, Platform, Result};
use core::fmt::Write;

const START: &str = "/var/log/involflt_telemetry_completed_";
const END: &str = ".log\0";
/// Where a file would be the twelfth that nobody has collected, none is written.
const UNCOLLECTED: u64 = 11;

/// A path, with a NUL.
struct Path {
    bytes: [u8; 80],
    length: usize,
}

impl Path {
    fn of(number: u64) -> Self {
        let mut path = Path { bytes: [0; 80], length: 0 };
        // It has room for any number.
        let _ = write!(path, "{START}{number}{END}");
        path
    }

    fn with_nul(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Path {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let to = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(core::fmt::Error)?;
        to.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

/// The number of the next file.
#[derive(Default)]
pub struct Files {
    next: u64,
}

impl Files {
    /// Whether there is a place for the next file: those of an earlier load are left alone, and too many that nobody collects
    /// are not added to.
    pub fn has_place<P: Platform>(&mut self) -> bool {
        while is_there::<P>(self.next) {
            self.next += 1;
        }
        self.next.checked_sub(UNCOLLECTED).is_none_or(|old| !is_there::<P>(old))
    }

    /// Writes the next file. Fails as making and writing it do.
    pub fn write<P: Platform>(&mut self, records: &[u8]) -> Result<()> {
        let mut file = P::File::open(Path::of(self.next).with_nul(), Mode::New)?;
        self.next += 1;
        file.write(0, records)
    }
}

fn is_there<P: Platform>(number: u64) -> bool {
    P::File::open(Path::of(number).with_nul(), Mode::Read).is_ok()
}
