// SPDX-License-Identifier: GPL-2.0-only
//! Reading of a stream from anywhere: every byte of it is doubted.

use super::crc::crc32c;
use super::{CRC_BYTES, FRAME_BYTES, MAGIC, MAX_PAYLOAD, Record, Source, VERSION};
use std::fmt;
use std::io::{self, Read};

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
    source: Source,
    records: u64,
    bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a stream.
    pub fn new(from: R) -> Result<Self, Fault> {
        let mut reader = Reader { from, source: Source { bytes: 0, name: String::new() }, records: 0, bytes: 0 };
        let (kind, payload) = reader.record()?;
        let bad = |cause: String| Fault::Bad { record: 0, cause };
        let no_stream = || bad("is not the beginning of a stream of involfltctl".into());
        let (magic, rest) = payload.split_first_chunk::<8>().ok_or_else(no_stream)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(no_stream)?;
        let (bytes, name) = rest.split_first_chunk::<8>().ok_or_else(no_stream)?;
        if &kind != b"HEAD" || magic != MAGIC {
            return Err(no_stream());
        }
        match u32::from_le_bytes(*version) {
            VERSION => {}
            other => return Err(bad(format!("is of version {other} of the format; this program reads {VERSION}"))),
        }
        let name = String::from_utf8_lossy(name).into_owned();
        reader.source = Source { bytes: u64::from_le_bytes(*bytes), name };
        Ok(reader)
    }

    /// The disk that the stream is of.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The next record. Nothing is read after [`Record::End`].
    pub fn next_record(&mut self) -> Result<Record, Fault> {
        let number = self.records;
        let (kind, payload) = self.record()?;
        let bad = |cause: &str| Fault::Bad { record: number, cause: cause.into() };
        let (value, rest) = payload.split_first_chunk::<8>().ok_or_else(|| bad("is too short"))?;
        let value = u64::from_le_bytes(*value);
        match &kind {
            b"EXTN" => {
                let inside = value.checked_add(rest.len() as u64).is_some_and(|end| end <= self.source.bytes);
                if rest.is_empty() || !inside {
                    return Err(bad("is not inside of its disk"));
                }
                self.bytes += rest.len() as u64;
                Ok(Record::Extent { offset: value, data: rest.to_vec() })
            }
            b"RSYN" => Ok(Record::Resync { code: value, reason: String::from_utf8_lossy(rest).into_owned() }),
            b"DONE" if value == self.bytes && rest.is_empty() => Ok(Record::End),
            b"DONE" => Err(bad("counts other bytes than came")),
            kind => Err(bad(&format!("is of a kind that is not known: {:?}", String::from_utf8_lossy(kind)))),
        }
    }

    /// A record's kind and payload.
    fn record(&mut self) -> Result<([u8; 4], Vec<u8>), Fault> {
        let record = self.records;
        let mut frame = [0; FRAME_BYTES];
        self.fill(&mut frame)?;
        let (kind, length) = ([frame[0], frame[1], frame[2], frame[3]], word(&frame[4..]) as usize);
        // Before anything is allocated for it. What is no stream at all is seen here, too.
        if record == 0 && &kind != b"HEAD" {
            return Err(Fault::Bad { record, cause: "is not the beginning of a stream of involfltctl".into() });
        }
        if length > MAX_PAYLOAD {
            return Err(Fault::Bad { record, cause: format!("has {length} bytes, more than there can be") });
        }
        let mut payload = vec![0; length];
        self.fill(&mut payload)?;
        let mut crc = [0; CRC_BYTES];
        self.fill(&mut crc)?;
        if crc32c(&[&frame, &payload]) != u32::from_le_bytes(crc) {
            return Err(Fault::Bad { record, cause: "has a wrong checksum".into() });
        }
        if frame[8..] != record.to_le_bytes() {
            return Err(Fault::Bad { record, cause: "has another number: one is missing or out of order".into() });
        }
        self.records += 1;
        Ok((kind, payload))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        self.from.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated { record: self.records },
            _ => Fault::Io(error),
        })
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

#[cfg(test)]
mod tests {
    use super::super::{MAX_DATA, Writer};
    use super::*;

    fn source() -> Source {
        Source { bytes: 4 << 20, name: "/dev/sdb".into() }
    }

    fn stream() -> Vec<u8> {
        let mut stream = Vec::new();
        let mut writer = Writer::new(&mut stream, &source()).unwrap();
        writer.extent(512, &[7; 1024]).unwrap();
        writer.resync(8, "a hole").unwrap();
        writer.extent(0, &[9; 512]).unwrap();
        assert_eq!(writer.end().unwrap(), 1536);
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
        let expected = [
            Record::Extent { offset: 512, data: vec![7; 1024] },
            Record::Resync { code: 8, reason: "a hole".into() },
            Record::Extent { offset: 0, data: vec![9; 512] },
            Record::End,
        ];
        assert_eq!(read(&stream()).unwrap(), expected);
        assert_eq!(*Reader::new(&stream()[..]).unwrap().source(), source());
    }

    #[test]
    fn long_data_is_in_several_records() {
        let (mut stream, data) = (Vec::new(), vec![3; MAX_DATA + 512]);
        let mut writer = Writer::new(&mut stream, &source()).unwrap();
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
        let (head, first) = (FRAME_BYTES + 20 + source().name.len() + CRC_BYTES, FRAME_BYTES + 8 + 1024 + CRC_BYTES);
        let without = [&stream[..head], &stream[head + first..]].concat();
        assert!(read(&without).unwrap_err().to_string().contains("missing or out of order"));
        let twice = [&stream[..head + first], &stream[head..]].concat();
        assert!(read(&twice).unwrap_err().to_string().contains("missing or out of order"));
        let mut outside = Vec::new();
        let mut writer = Writer::new(&mut outside, &source()).unwrap();
        writer.extent(source().bytes - 511, &[0; 512]).unwrap();
        assert_eq!(read(&outside).unwrap_err().to_string(), "record 1 is not inside of its disk");
    }
}
