// SPDX-License-Identifier: GPL-2.0-only
//! Reading of a stream from anywhere: every byte of it is doubted.

use super::write::{CHANGES, FULL, Writer};
use super::{CRC_BYTES, FRAME_BYTES, Follows, Header, MAGIC, MAX_PAYLOAD, Record, Tag, VERSION};
use crate::position::Position;
use crate::time::Time;
use crc32c::{crc32c, crc32c_append};
use std::fmt;
use std::io::{self, Read, Write};

/// What is wrong with a stream.
#[derive(Debug)]
pub enum Fault {
    /// It could not be read.
    Io(io::Error),
    /// It is no stream, or none of this version, or damaged; in a few words.
    Bad {
        /// Number of the record.
        record: u64,
        /// What is wrong with it.
        cause: String,
    },
    /// It ends in the middle.
    Truncated {
        /// Number of the record that is missing or not whole.
        record: u64,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io(error) => write!(f, "{error}"),
            Fault::Bad { record, cause } => write!(f, "record {record} {cause}"),
            Fault::Truncated { record } => write!(f, "ends at record {record}, before its end"),
        }
    }
}

/// Reads a stream; a record is given only when all of it is there and its checksum is right.
pub struct Reader<R> {
    from: R,
    header: Header,
    records: u64,
    bytes: u64,
    position: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a stream.
    pub fn new(from: R) -> Result<Self, Fault> {
        let header = Header { disk: String::new(), bytes: 0, follows: Follows::Nothing };
        let mut reader = Reader { from, header, records: 0, bytes: 0, position: 0 };
        let (kind, payload) = reader.record()?;
        let header = if &kind == b"HEAD" { header_of(&payload) } else { Err(NO_STREAM.into()) };
        reader.header = header.map_err(|cause| Fault::Bad { record: 0, cause })?;
        Ok(reader)
    }

    /// What the stream is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the stream up to the end of the record that was read last.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where in the stream the data of the record stands that was read last.
    pub fn data_position(&self, data: &[u8]) -> u64 {
        self.position - (CRC_BYTES + data.len()) as u64
    }

    /// Writes what comes behind the record that was read last.
    pub fn go_on<W: Write>(&self, to: W) -> Writer<W> {
        Writer::behind(to, self.records, self.bytes)
    }

    /// The next record. Nothing is read after [`Record::End`].
    pub fn next_record(&mut self) -> Result<Record, Fault> {
        let number = self.records;
        let (kind, payload) = self.record()?;
        self.parse(kind, payload).map_err(|cause| Fault::Bad { record: number, cause })
    }

    fn parse(&mut self, kind: [u8; 4], payload: Vec<u8>) -> Result<Record, String> {
        let (value, rest) = payload.split_first_chunk::<8>().ok_or("is too short")?;
        let value = u64::from_le_bytes(*value);
        let text = || String::from_utf8_lossy(rest).into_owned();
        match &kind {
            b"EXTN" => {
                self.inside(value, rest.len() as u64)?;
                self.bytes += rest.len() as u64;
                Ok(Record::Extent { offset: value, data: rest.to_vec() })
            }
            b"ZERO" => {
                let bytes = u64::from_le_bytes(rest.try_into().map_err(|_| "is too short")?);
                self.inside(value, bytes)?;
                Ok(Record::Zeroes { offset: value, bytes })
            }
            b"TAGN" | b"TAGX" => {
                let is_exact = &kind == b"TAGX";
                Ok(Record::Tag(Tag { time: Time::from_units(value), name: text(), is_exact }))
            }
            b"NOTE" => Ok(Record::Note(text())),
            b"RSYN" => Ok(Record::Resync { code: value, reason: text() }),
            b"SYNC" => {
                let part = u32::from_le_bytes(rest.try_into().map_err(|_| "is of another length")?);
                Ok(Record::Sync(Position { sequence: value, part }))
            }
            b"DONE" if value == self.bytes && rest.is_empty() => Ok(Record::End),
            b"DONE" => Err("counts other bytes than came".into()),
            kind => Err(format!("is of a kind that is not known: {:?}", String::from_utf8_lossy(kind))),
        }
    }

    fn inside(&self, offset: u64, bytes: u64) -> Result<(), String> {
        let inside = offset.checked_add(bytes).is_some_and(|end| end <= self.header.bytes);
        if bytes != 0 && inside { Ok(()) } else { Err("is not inside of its disk".into()) }
    }

    /// A record's kind and payload.
    fn record(&mut self) -> Result<([u8; 4], Vec<u8>), Fault> {
        let record = self.records;
        let mut frame = [0; FRAME_BYTES];
        self.fill(&mut frame)?;
        let (kind, length) = ([frame[0], frame[1], frame[2], frame[3]], word(&frame[4..]) as usize);
        // Before anything is allocated for it. What is no stream at all is seen here, too.
        if record == 0 && &kind != b"HEAD" {
            return Err(Fault::Bad { record, cause: NO_STREAM.into() });
        }
        if length > MAX_PAYLOAD {
            return Err(Fault::Bad { record, cause: format!("has {length} bytes, more than there can be") });
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        let mut crc = [0; CRC_BYTES];
        self.fill(&mut crc)?;
        if crc32c_append(crc32c(&frame), &payload) != u32::from_le_bytes(crc) {
            return Err(Fault::Bad { record, cause: "has a wrong checksum".into() });
        }
        if frame[8..] != record.to_le_bytes() {
            return Err(Fault::Bad { record, cause: "has another number: one is missing or out of order".into() });
        }
        self.records += 1;
        self.position += (FRAME_BYTES + length + CRC_BYTES) as u64;
        Ok((kind, payload))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        self.from.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated { record: self.records },
            _ => Fault::Io(error),
        })
    }
}

const NO_STREAM: &str = "is not the beginning of a stream of involfltctl";

fn header_of(payload: &[u8]) -> Result<Header, String> {
    let (magic, rest) = payload.split_first_chunk::<8>().ok_or(NO_STREAM)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or(NO_STREAM)?;
    match u32::from_le_bytes(*version) {
        _ if magic != MAGIC => return Err(NO_STREAM.into()),
        VERSION => {}
        other => return Err(format!("is of version {other} of the format; this program reads {VERSION}")),
    }
    let (kind, rest) = rest.split_first_chunk::<4>().ok_or(NO_STREAM)?;
    let (bytes, rest) = rest.split_first_chunk::<8>().ok_or(NO_STREAM)?;
    let (sequence, rest) = rest.split_first_chunk::<8>().ok_or(NO_STREAM)?;
    let (part, disk) = rest.split_first_chunk::<4>().ok_or(NO_STREAM)?;
    let position = Position { sequence: u64::from_le_bytes(*sequence), part: u32::from_le_bytes(*part) };
    let follows = match u32::from_le_bytes(*kind) {
        FULL => Follows::Nothing,
        CHANGES => Follows::Batch(position),
        other => return Err(format!("is of a kind of stream that is not known: {other}")),
    };
    Ok(Header { disk: String::from_utf8_lossy(disk).into_owned(), bytes: u64::from_le_bytes(*bytes), follows })
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_DATA, Writer};
    use super::*;

    fn header() -> Header {
        Header { disk: "wwn-0x5".into(), bytes: 4 << 20, follows: Follows::Batch(Position { sequence: 41, part: 2 }) }
    }

    fn tags() -> [Tag; 2] {
        [("midnight", false), ("noon", true)].map(|(name, is_exact)| Tag {
            time: Time::from_units(5),
            name: name.into(),
            is_exact,
        })
    }

    fn stream() -> Vec<u8> {
        let mut stream = Vec::new();
        let mut writer = Writer::new(&mut stream, &header()).unwrap();
        writer.extent(512, &[7; 1024]).unwrap();
        tags().iter().for_each(|tag| writer.tag(tag).unwrap());
        writer.sync(Position { sequence: 42, part: 3 }).unwrap();
        writer.resync(8, "a hole").unwrap();
        writer.zeroes(0, 512).unwrap();
        assert_eq!(writer.end().unwrap().0, 1024);
        stream
    }

    fn read(stream: &[u8]) -> Result<Vec<Record>, Fault> {
        let mut reader = Reader::new(stream)?;
        let mut records = Vec::new();
        while records.last() != Some(&Record::End) {
            records.push(reader.next_record()?);
        }
        Ok(records)
    }

    #[test]
    fn what_is_written_is_read() {
        let [midnight, noon] = tags();
        let expected = [
            Record::Extent { offset: 512, data: vec![7; 1024] },
            Record::Tag(midnight),
            Record::Tag(noon),
            Record::Sync(Position { sequence: 42, part: 3 }),
            Record::Resync { code: 8, reason: "a hole".into() },
            Record::Zeroes { offset: 0, bytes: 512 },
            Record::End,
        ];
        assert_eq!(read(&stream()).unwrap(), expected);
        assert_eq!(*Reader::new(&stream()[..]).unwrap().header(), header());
    }

    #[test]
    fn long_data_is_in_several_records() {
        let (mut stream, data) = (Vec::new(), vec![3; MAX_DATA + 512]);
        let mut writer = Writer::new(&mut stream, &header()).unwrap();
        writer.extent(1024, &data).unwrap();
        writer.end().unwrap();
        let parts: Vec<_> = read(&stream)
            .unwrap()
            .into_iter()
            .filter_map(|record| match record {
                Record::Extent { offset, data } => Some((offset, data.len())),
                _ => None,
            })
            .collect();
        assert_eq!(parts, [(1024, MAX_DATA), (1024 + MAX_DATA as u64, 512)]);
    }

    #[test]
    fn a_stream_cut_anywhere_is_truncated() {
        let stream = stream();
        for length in 0..stream.len() {
            assert!(matches!(read(&stream[..length]), Err(Fault::Truncated { .. })), "cut after {length} bytes");
        }
    }

    #[test]
    fn a_stream_with_any_bit_flipped_is_refused() {
        let stream = stream();
        for bit in 0..8 * stream.len() {
            let mut damaged = stream.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn records_left_out_repeated_or_outside_of_the_disk_are_refused() {
        let stream = stream();
        let (head, first) = (FRAME_BYTES + 36 + header().disk.len() + CRC_BYTES, FRAME_BYTES + 8 + 1024 + CRC_BYTES);
        let without = [&stream[..head], &stream[head + first..]].concat();
        assert!(read(&without).unwrap_err().to_string().contains("missing or out of order"));
        let twice = [&stream[..head + first], &stream[head..]].concat();
        assert!(read(&twice).unwrap_err().to_string().contains("missing or out of order"));
        let mut outside = Vec::new();
        let mut writer = Writer::new(&mut outside, &header()).unwrap();
        writer.extent(header().bytes - 511, &[0; 512]).unwrap();
        assert_eq!(read(&outside).unwrap_err().to_string(), "record 1 is not inside of its disk");
    }
}
