// SPDX-License-Identifier: GPL-2.0-only
//! Streams of changed data as the driver hands them over (SVD): every length in one is doubted, and all of it must be what
//! the ABI says.
//!
//! A stream opens with the order of bytes, a header, and the stamp of its first change. Then come the changes with their data,
//! or tags. It ends with the stamp of the last change.

use involflt::abi::svd::{CHANGE, CONTENT, FIRST_TIME, HEADER, LAST_TIME, ORDER, USER};
use std::ops::Range;

/// A checksum that nobody fills in, and reserved words.
const HEADER_BYTES: usize = 128;
/// A tag list's record of a time: a header of 4 bytes, sequence and time.
const STAMP_BYTES: usize = 20;

/// A stream that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Offset on the disk, and where its data is in `bytes`.
    changes: Vec<(u64, Range<usize>)>,
    tags: Vec<String>,
}

impl Stream {
    /// Reads a stream. Fails with what is wrong with it, in a few words.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let mut input = Input { bytes: &bytes, at: 0 };
        if input.u32()? != ORDER {
            return Err("it does not begin with the order of bytes of this machine".into());
        }
        input.record(HEADER)?;
        input.take(HEADER_BYTES)?;
        input.record(FIRST_TIME)?;
        input.take(STAMP_BYTES)?;
        let (mut changes, mut tags) = (Vec::new(), Vec::new());
        match input.kind()? {
            USER => {
                while input.kind()? == USER {
                    tags.push(input.tag()?);
                }
            }
            _ => changes = input.changes()?,
        }
        input.record(LAST_TIME)?;
        input.take(STAMP_BYTES)?;
        match bytes.len() - input.at {
            0 => Ok(Stream { bytes, changes, tags }),
            more => Err(format!("{more} bytes come behind its end")),
        }
    }

    /// Offset in bytes and data of each change, in the order in which they were made.
    pub fn changes(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.changes.iter().map(|(offset, place)| (*offset, &self.bytes[place.clone()]))
    }

    /// Names of the tags. A stream has either these or changes.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }
}

/// What is left of a stream.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn take(&mut self, count: usize) -> Result<Range<usize>, String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends in the middle of what begins at byte {}", self.at))?;
        let taken = self.at..end;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let place = self.take(N)?;
        Ok(std::array::from_fn(|index| self.bytes[place.start + index]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// The kind of the record that comes next.
    fn kind(&self) -> Result<u32, String> {
        Input { ..*self }.u32()
    }

    /// The beginning of one record of a kind; gives its flags.
    fn record(&mut self, kind: u32) -> Result<u32, String> {
        let at = self.at;
        let (found, count, flags) = (self.u32()?, self.u32()?, self.u32()?);
        if found != kind || count != 1 {
            let name = |kind: u32| kind.to_le_bytes().escape_ascii().to_string();
            return Err(format!("{count} records {} are at byte {at}, and not one {}", name(found), name(kind)));
        }
        Ok(flags)
    }

    /// How long all changes are, and the changes: at least one.
    fn changes(&mut self) -> Result<Vec<(u64, Range<usize>)>, String> {
        self.record(CONTENT)?;
        let length = self.u64()?;
        let length = usize::try_from(length).map_err(|_| format!("its changes take {length} bytes"))?;
        let place = self.take(length)?;
        let mut inner = Input { bytes: &self.bytes[..place.end], at: place.start };
        let mut changes = vec![inner.change()?];
        while inner.at < place.end {
            changes.push(inner.change()?);
        }
        Ok(changes)
    }

    fn change(&mut self) -> Result<(u64, Range<usize>), String> {
        self.record(CHANGE)?;
        let (length, offset) = (self.u32()?, self.u64()?);
        // How much later than the first one it was made, in time and in sequence.
        self.take(8)?;
        Ok((offset, self.take(length as usize)?))
    }

    fn tag(&mut self) -> Result<String, String> {
        let length = self.record(USER)?;
        let name = &self.bytes[self.take(length as usize)?];
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(String::from_utf8_lossy(name).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, flags: u32, body: &[u8]) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &1_u32.to_le_bytes(), &flags.to_le_bytes(), body].concat()
    }

    fn stream(middle: &[u8]) -> Vec<u8> {
        let stamp = |kind| record(kind, 0, &[&[3, 0, 0, 24][..], &[1; 16]].concat());
        [&ORDER.to_le_bytes()[..], &record(HEADER, 0, &[0; 128]), &stamp(FIRST_TIME), middle, &stamp(LAST_TIME)]
            .concat()
    }

    fn change(offset: u64, data: &[u8]) -> Vec<u8> {
        let body = [&(data.len() as u32).to_le_bytes()[..], &offset.to_le_bytes(), &[0; 8], data].concat();
        record(CHANGE, 0, &body)
    }

    fn changes() -> Vec<u8> {
        let changes = [change(512, &[7; 1024]), change(1 << 40, b"x")].concat();
        let content = record(CONTENT, 0, &(changes.len() as u64).to_le_bytes());
        stream(&[content, changes].concat())
    }

    fn tags() -> Vec<u8> {
        stream(&[record(USER, 4, b"noon"), record(USER, 3, b"a\0\0")].concat())
    }

    #[test]
    fn changes_and_tags_are_read() {
        let stream = Stream::parse(changes()).unwrap();
        assert_eq!(stream.changes().collect::<Vec<_>>(), [(512, &[7; 1024][..]), (1 << 40, b"x")]);
        assert_eq!(stream.tags(), [""; 0]);
        // What the ABI says that a stream of two changes takes besides the data.
        assert_eq!(changes().len(), 228 + 2 * 32 + 1025);
        assert_eq!(Stream::parse(tags()).unwrap().tags(), ["noon", "a"]);
    }

    #[test]
    fn a_stream_that_is_cut_or_goes_on_is_refused() {
        for whole in [changes(), tags()] {
            for length in 0..whole.len() {
                assert!(Stream::parse(whole[..length].to_vec()).is_err(), "cut after {length} bytes");
            }
            assert!(Stream::parse([&whole[..], b"more"].concat()).is_err());
        }
        assert!(Stream::parse(stream(&[])).is_err(), "neither changes nor tags");
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let whole = changes();
        // The length of all changes, and of the first one.
        for at in [4 + 140 + 32 + 12, 4 + 140 + 32 + 20 + 12] {
            for length in [0, 1, 1023, 1025, 1 << 20, u32::MAX] {
                let mut damaged = whole.clone();
                damaged[at..at + 4].copy_from_slice(&length.to_le_bytes());
                assert!(Stream::parse(damaged).is_err(), "{length} at {at}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(damage in proptest::collection::vec((0usize..1300, 0u8..), 0..8), cut in 0usize..1400) {
            for mut whole in [changes(), tags()] {
                for &(at, byte) in damage.iter().filter(|(at, _)| *at < whole.len()).collect::<Vec<_>>() {
                    whole[at] = byte;
                }
                whole.truncate(cut);
                let length = whole.len();
                if let Ok(stream) = Stream::parse(whole) {
                    let data: usize = stream.changes().map(|(_, data)| data.len()).sum();
                    assert!(data < length);
                }
            }
        }
    }
}
