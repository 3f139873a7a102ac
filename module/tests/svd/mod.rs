// SPDX-License-Identifier: GPL-2.0-only
//! A strict reader of the stream of changes, made from the ABI's description alone.

/// What a stream holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub first: u64,
    pub last: u64,
    pub changes: Vec<Change>,
    pub tags: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub offset: u64,
    pub delta: u32,
    pub data: Vec<u8>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (now, later) = self.0.split_at(count);
        self.0 = later;
        now
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().unwrap())
    }

    /// A record's prefix: its name, one of them, and its flags.
    fn record(&mut self, name: &[u8; 4]) -> u32 {
        assert_eq!(self.bytes(4), name);
        assert_eq!(self.u32(), 1);
        self.u32()
    }

    /// A time record: its sequence, which is its time.
    fn time(&mut self, name: &[u8; 4]) -> u64 {
        assert_eq!(self.record(name), 0);
        assert_eq!(self.bytes(4), [3, 0, 0, 24]);
        let (sequence, time) = (self.u64(), self.u64());
        assert_eq!(sequence, time);
        time
    }
}

impl Parsed {
    /// Reads all of a stream; panics where it is not as it should be.
    pub fn of(bytes: &[u8]) -> Parsed {
        let mut reader = Reader(bytes);
        assert_eq!(reader.bytes(4), b"DRTL");
        assert_eq!(reader.record(b"SVD1"), 0);
        assert_eq!(reader.bytes(128), [0; 128]);
        let first = reader.time(b"TFV2");
        let (mut changes, mut tags) = (Vec::new(), Vec::new());
        if reader.0.starts_with(b"LODC") {
            assert_eq!(reader.record(b"LODC"), 0);
            let length = reader.u64() as usize;
            let mut content = Reader(reader.bytes(length));
            while !content.0.is_empty() {
                assert_eq!(content.record(b"DDV2"), 0);
                let (length, offset, delta) = (content.u32() as usize, content.u64(), content.u32());
                assert_eq!(content.u32(), delta, "sequence and time are one number");
                changes.push(Change { offset, delta, data: content.bytes(length).to_vec() });
            }
        }
        while reader.0.starts_with(b"USER") {
            let length = reader.record(b"USER") as usize;
            tags.push(reader.bytes(length).to_vec());
        }
        let last = reader.time(b"TLV2");
        assert!(reader.0.is_empty(), "{} bytes behind the end", reader.0.len());
        let mut deltas = changes.iter().map(|change| u64::from(change.delta));
        assert!(deltas.clone().is_sorted() && deltas.next_back().is_none_or(|delta| first + delta == last));
        Parsed { first, last, changes, tags }
    }
}
