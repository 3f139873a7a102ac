// SPDX-License-Identifier: GPL-2.0-only
//! The guest's end of the results channel: its second serial port.

use guest::extents::Extents;
use guest::protocol::{EXTENTS_A_LINE, Message};
use std::fs::{File, OpenOptions};
use std::io::Write;

/// Sends messages to the host.
pub struct Channel(File);

impl Channel {
    /// Opens the second serial port.
    pub fn open() -> std::io::Result<Channel> {
        Ok(Channel(OpenOptions::new().write(true).open("/dev/ttyS1")?))
    }

    /// Sends one message. Nobody is left to tell when that fails: the host then misses the last message.
    pub fn send(&mut self, message: &Message) {
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            let _ = self.0.write_all(&line);
        }
    }

    /// Sends what was drained of a disk, as many messages as it takes.
    pub fn drained(&mut self, disk: &str, extents: &Extents) {
        let all: Vec<_> = extents.iter().collect();
        for part in all.chunks(EXTENTS_A_LINE) {
            self.send(&Message::Drained { disk: disk.into(), extents: part.to_vec() });
        }
    }
}
