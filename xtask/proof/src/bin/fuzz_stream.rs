// SPDX-License-Identifier: GPL-2.0-only
//! Streams for `involfltctl apply` from somebody who knows the format: any records, with right checksums or with wrong ones.
//! And streams of data as a driver might hand them over.
//!
//! Nothing may panic, and what is read is inside of the disk and no larger than the format allows.

#![cfg_attr(fuzzing, no_main)]

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("fuzz-stream: built without --cfg fuzzing; run `cargo xtask test --only proof`");
}

// The files themselves: the whole of involfltctl would take the sanitizer half a minute.
#[cfg(fuzzing)]
#[allow(dead_code)]
#[path = "../../../../ctl/src/position.rs"]
mod position;
#[cfg(fuzzing)]
#[allow(dead_code, unused_imports)]
#[path = "../../../../ctl/src/stream/mod.rs"]
mod stream;
#[cfg(fuzzing)]
#[allow(dead_code)]
#[path = "../../../../ctl/src/svd.rs"]
mod svd;
#[cfg(fuzzing)]
#[allow(dead_code)]
#[path = "../../../../ctl/src/time.rs"]
mod time;

#[cfg(fuzzing)]
mod fuzz {
    use crate::stream::{MAX_DATA, Reader, Record};
    use crate::svd::Stream;
    use libfuzzer_sys::fuzz_target;

    const KINDS: [&[u8; 4]; 8] = [b"HEAD", b"EXTN", b"ZERO", b"TAGX", b"SYNC", b"RSYN", b"DONE", b"WHAT"];
    /// Magic, version and kind of a header: what no fuzzer should have to find by itself.
    const HEADER: [u8; 16] = *b"involflt\x02\0\0\0\0\0\0\0";

    fuzz_target!(|data: &[u8]| {
        apply(data);
        from_driver(data);
    });

    /// What follows the order of bytes, the header and the first time is up to the fuzzer.
    fn from_driver(data: &[u8]) {
        let record = |kind: &[u8; 4], bytes: usize| [&kind[..], &[1, 0, 0, 0], &vec![0; bytes + 4]].concat();
        let stream = [b"DRTL", &record(b"SVD1", 128)[..], &record(b"TFV2", 20), data].concat();
        let bytes = stream.len();
        if let Ok(stream) = Stream::parse(stream) {
            assert!(stream.changes().map(|(_, data)| data.len()).sum::<usize>() < bytes);
        }
    }

    fn apply(data: &[u8]) {
        let stream = stream(data);
        let Ok(mut reader) = Reader::new(&stream[..]) else { return };
        let bytes = reader.header().bytes;
        loop {
            match reader.next_record() {
                Ok(Record::Extent { offset, data }) => {
                    assert!(!data.is_empty() && data.len() <= MAX_DATA && offset + data.len() as u64 <= bytes);
                }
                Ok(Record::Zeroes { offset, bytes: length }) => assert!(length != 0 && offset + length <= bytes),
                Ok(Record::End) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Two bytes of the input say kind, honesty and length of a record; its payload is what follows.
    fn stream(mut data: &[u8]) -> Vec<u8> {
        let mut stream = Vec::new();
        let mut number = 0_u64;
        while let [what, length, rest @ ..] = data {
            let (payload, rest) = rest.split_at(usize::from(*length).min(rest.len()));
            let kind = KINDS[usize::from(what % 8)];
            let payload = if kind == b"HEAD" { [&HEADER, payload].concat() } else { payload.to_vec() };
            let frame = [&kind[..], &(payload.len() as u32).to_le_bytes(), &number.to_le_bytes(), &payload].concat();
            let lie = u32::from(what / 8 == 31);
            stream.extend_from_slice(&frame);
            stream.extend_from_slice(&(crc32c::crc32c(&frame) ^ lie).to_le_bytes());
            number += u64::from(what / 8 != 30);
            data = rest;
        }
        // What is left ends the stream in the middle of a record.
        stream.extend_from_slice(data);
        stream
    }
}
