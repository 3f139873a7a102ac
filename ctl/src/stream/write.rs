// SPDX-License-Identifier: GPL-2.0-only
//! Writing of a stream.

use super::crc::crc32c;
use super::{MAGIC, MAX_DATA, Source, VERSION};
use std::io::{self, Write};

/// Writes a stream, record by record.
pub struct Writer<W> {
    to: W,
    records: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a stream of a disk.
    pub fn new(to: W, source: &Source) -> io::Result<Self> {
        let mut writer = Writer { to, records: 0, bytes: 0 };
        let (version, size) = (VERSION.to_le_bytes(), source.bytes.to_le_bytes());
        writer.record(b"HEAD", &[MAGIC, &version, &size, source.name.as_bytes()])?;
        Ok(writer)
    }

    /// Data of the disk from an offset, in as many records as it takes.
    pub fn extent(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        for (offset, data) in (offset..).step_by(MAX_DATA).zip(data.chunks(MAX_DATA)) {
            self.record(b"EXTN", &[&offset.to_le_bytes(), data])?;
            self.bytes += data.len() as u64;
        }
        Ok(())
    }

    /// Changes were missed.
    pub fn resync(&mut self, code: u64, reason: &str) -> io::Result<()> {
        self.record(b"RSYN", &[&code.to_le_bytes(), reason.as_bytes()])
    }

    /// Ends the stream; gives the bytes of data in it.
    pub fn end(mut self) -> io::Result<u64> {
        let bytes = self.bytes;
        self.record(b"DONE", &[&bytes.to_le_bytes()])?;
        self.to.flush()?;
        Ok(bytes)
    }

    /// Where the stream goes, with all records handed to it.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.to
    }

    fn record(&mut self, kind: &[u8; 4], payload: &[&[u8]]) -> io::Result<()> {
        let length: usize = payload.iter().map(|piece| piece.len()).sum();
        let (length, number) = ((length as u32).to_le_bytes(), self.records.to_le_bytes());
        let pieces = [&[&kind[..], &length, &number], payload].concat();
        pieces.iter().try_for_each(|piece| self.to.write_all(piece))?;
        self.to.write_all(&crc32c(&pieces).to_le_bytes())?;
        self.records += 1;
        Ok(())
    }
}
