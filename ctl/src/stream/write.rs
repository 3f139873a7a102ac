// SPDX-License-Identifier: GPL-2.0-only
//! Writing of a stream.

use super::{Follows, Header, MAGIC, MAX_DATA, Tag, VERSION};
use crate::position::Position;
use crc32c::crc32c_append;
use std::io::{self, Write};

/// The kinds of a stream, as its header has them.
pub(super) const CHANGES: u32 = 0;
pub(super) const FULL: u32 = 1;

/// Writes a stream, record by record.
pub struct Writer<W> {
    to: W,
    records: u64,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a stream of a disk.
    pub fn new(to: W, header: &Header) -> io::Result<Self> {
        let mut writer = Writer { to, records: 0, bytes: 0 };
        let (kind, position) = match header.follows {
            Follows::Nothing => (FULL, Position::default()),
            Follows::Batch(position) => (CHANGES, position),
        };
        let (version, size) = (VERSION.to_le_bytes(), header.bytes.to_le_bytes());
        let (sequence, part) = (position.sequence.to_le_bytes(), position.part.to_le_bytes());
        let name = header.disk.as_bytes();
        writer.record(b"HEAD", &[MAGIC, &version, &u32::to_le_bytes(kind), &size, &sequence, &part, name])?;
        Ok(writer)
    }

    /// Goes on behind so many records with so many bytes of data.
    pub(super) fn behind(to: W, records: u64, bytes: u64) -> Self {
        Writer { to, records, bytes }
    }

    /// Data of the disk from an offset, in as many records as it takes.
    pub fn extent(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        for (offset, data) in (offset..).step_by(MAX_DATA).zip(data.chunks(MAX_DATA)) {
            self.record(b"EXTN", &[&offset.to_le_bytes(), data])?;
            self.bytes += data.len() as u64;
        }
        Ok(())
    }

    /// So many zeroes from an offset.
    pub fn zeroes(&mut self, offset: u64, bytes: u64) -> io::Result<()> {
        self.record(b"ZERO", &[&offset.to_le_bytes(), &bytes.to_le_bytes()])
    }

    /// A tag.
    pub fn tag(&mut self, tag: &Tag) -> io::Result<()> {
        let kind = if tag.is_exact { b"TAGX" } else { b"TAGN" };
        self.record(kind, &[&tag.time.units().to_le_bytes(), tag.name.as_bytes()])
    }

    /// A batch ends here.
    pub fn sync(&mut self, position: Position) -> io::Result<()> {
        self.record(b"SYNC", &[&position.sequence.to_le_bytes(), &position.part.to_le_bytes()])
    }

    /// Changes were missed.
    pub fn resync(&mut self, code: u64, reason: &str) -> io::Result<()> {
        self.record(b"RSYN", &[&code.to_le_bytes(), reason.as_bytes()])
    }

    /// All before it is to be made durable, and this noted.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        self.record(b"NOTE", &[&[0; 8], text.as_bytes()])
    }

    /// Ends the stream; gives the bytes of data in it, and where it went.
    pub fn end(mut self) -> io::Result<(u64, W)> {
        let bytes = self.bytes;
        self.record(b"DONE", &[&bytes.to_le_bytes()])?;
        self.to.flush()?;
        Ok((bytes, self.to))
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
        let crc = pieces.iter().fold(0, |crc, piece| crc32c_append(crc, piece));
        self.to.write_all(&crc.to_le_bytes())?;
        self.records += 1;
        Ok(())
    }
}
