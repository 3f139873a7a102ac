// SPDX-License-Identifier: GPL-2.0-only
//! Streams applied by the program itself: in order or refused, whole or up to a tag, and gone on with after a kill.

use involfltctl::stream::{Follows, Header, Tag, Writer};
use involfltctl::time::Time;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BYTES: u64 = 1 << 20;

/// A directory that goes with its test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let place = std::env::temp_dir().join(format!("involflt-streams-{name}-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        Place(place)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A stream that writes each of these bytes to the block of its number.
    fn stream(&self, name: &str, follows: Follows, batches: &[(usize, u8, u64)]) -> PathBuf {
        let header = Header { disk: "wwn-0x5".into(), bytes: BYTES, follows };
        let mut writer = Writer::new(Vec::new(), &header).unwrap();
        if follows == Follows::Nothing {
            writer.zeroes(0, BYTES).unwrap();
        }
        for &(block, byte, sequence) in batches {
            writer.extent(block as u64 * 4096, &[byte; 4096]).unwrap();
            let tag = Tag { time: Time::from_units(sequence), name: format!("tag-{sequence}"), is_exact: false };
            writer.tag(&tag).unwrap();
            writer.sync(sequence.into()).unwrap();
        }
        let stream = writer.end().unwrap().1;
        fs::write(self.file(name), stream).unwrap();
        self.file(name)
    }

    /// The bytes at the start of the replica's first blocks.
    fn replica(&self) -> [u8; 4] {
        let bytes = fs::read(self.file("replica")).unwrap();
        assert_eq!(bytes.len() as u64, BYTES);
        std::array::from_fn(|block| bytes[block * 4096])
    }

    fn apply(&self, stream: &Path, more: &[&str]) -> Output {
        let replica = self.file("replica");
        let program = env!("CARGO_BIN_EXE_involfltctl");
        Command::new(program).arg("apply").args([stream, &replica]).args(more).output().unwrap()
    }

    fn applied(&self, stream: &Path, more: &[&str]) {
        let output = self.apply(stream, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn refused(&self, stream: &Path, more: &[&str], code: i32, says: &str) {
        let output = self.apply(stream, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(says), "{}: {said}", output.status);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn streams_are_applied_in_their_order_or_refused() {
    let place = Place::new("order");
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    let second = place.stream("second", Follows::Batch(10.into()), &[(1, 2, 20), (2, 3, 30)]);
    let third = place.stream("third", Follows::Batch(30.into()), &[(1, 4, 40)]);
    place.refused(&second, &[], 2, "has no full copy");
    place.applied(&full, &[]);
    place.refused(&third, &[], 2, "a stream is missing");
    assert_eq!(place.replica(), [1, 0, 0, 0]);
    place.applied(&second, &[]);
    place.applied(&third, &[]);
    place.refused(&second, &[], 2, "a stream is missing");
    assert_eq!(place.replica(), [1, 4, 3, 0]);
    place.applied(&full, &[]);
    assert_eq!(place.replica(), [1, 0, 0, 0]);
}

#[test]
fn a_stream_that_was_applied_in_part_is_gone_on_with() {
    let place = Place::new("part");
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    let changes = place.stream("changes", Follows::Batch(10.into()), &[(1, 2, 20), (1, 3, 30), (2, 4, 40)]);
    let whole = fs::read(&changes).unwrap();
    for length in [whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        place.applied(&full, &[]);
        fs::write(&changes, &whole[..length]).unwrap();
        place.refused(&changes, &[], 1, "before its end");
        fs::write(&changes, &whole).unwrap();
        place.applied(&changes, &[]);
        assert_eq!(place.replica(), [1, 3, 4, 0], "after {length} bytes");
    }
}

#[test]
fn a_damaged_stream_leaves_the_replica_as_it_was() {
    let place = Place::new("damaged");
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    let changes = place.stream("changes", Follows::Batch(10.into()), &[(0, 2, 20)]);
    place.applied(&full, &[]);
    let mut damaged = fs::read(&changes).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&changes, damaged).unwrap();
    place.refused(&changes, &[], 2, "wrong checksum");
    assert_eq!(place.replica(), [1, 0, 0, 0]);
}

#[test]
fn until_a_tag_and_no_further() {
    let place = Place::new("tag");
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    let changes = place.stream("changes", Follows::Batch(10.into()), &[(1, 2, 20), (1, 3, 30)]);
    place.applied(&full, &[]);
    place.applied(&changes, &["--until-tag", "tag-20"]);
    assert_eq!(place.replica(), [1, 2, 0, 0]);
    place.refused(&changes, &[], 2, "has no full copy");
    place.applied(&full, &[]);
    place.refused(&changes, &["--until-tag", "tag-50"], 2, "it has: tag-20, tag-30");
    assert_eq!(place.replica(), [1, 0, 0, 0]);
}

#[test]
fn what_is_no_replica_is_not_overwritten_unasked() {
    let place = Place::new("precious");
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    fs::write(place.file("replica"), b"precious").unwrap();
    place.refused(&full, &[], 2, "holds data");
    assert_eq!(fs::read(place.file("replica")).unwrap(), b"precious");
    place.applied(&full, &["--overwrite"]);
    assert_eq!(place.replica(), [1, 0, 0, 0]);
}

#[test]
fn a_replica_that_differs_is_told_with_the_place() {
    let place = Place::new("verify");
    place.applied(&place.stream("full", Follows::Nothing, &[(0, 1, 10)]), &[]);
    let (replica, other) = (place.file("replica"), place.file("other"));
    fs::copy(&replica, &other).unwrap();
    let verify = || Command::new(env!("CARGO_BIN_EXE_involfltctl")).arg("verify").args([&replica, &other]).output();
    assert_eq!(String::from_utf8_lossy(&verify().unwrap().stdout).lines().count(), 1);
    let mut bytes = fs::read(&other).unwrap();
    (bytes[4095], bytes[4096], bytes[BYTES as usize - 1]) = (7, 7, 7);
    fs::write(&other, bytes).unwrap();
    let output = verify().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1), "{said}");
    assert!(said.contains("1024 bytes at 3584\n") && said.contains("512 bytes at 1048064\n"), "{said}");
}

#[test]
fn zeroes_are_where_they_belong_and_nowhere_else() {
    let place = Place::new("zeroes");
    let ranges = [(512, 512), (4096, 4096), (5120, 65536), (4608, 3584), (8191, 4098), (0, BYTES)];
    for ((offset, bytes), sequence) in ranges.into_iter().zip(1..) {
        let mut writer =
            Writer::new(Vec::new(), &Header { disk: "a".into(), bytes: BYTES, follows: Follows::Nothing }).unwrap();
        writer.extent(0, &vec![7; BYTES as usize]).unwrap();
        writer.zeroes(offset, bytes).unwrap();
        writer.sync(sequence.into()).unwrap();
        fs::write(place.file("stream"), writer.end().unwrap().1).unwrap();
        place.applied(&place.file("stream"), &[]);
        let replica = fs::read(place.file("replica")).unwrap();
        let zero = |at: usize| (offset..offset + bytes).contains(&(at as u64));
        assert!(
            replica.iter().enumerate().all(|(at, &byte)| byte == if zero(at) { 0 } else { 7 }),
            "{bytes} at {offset}"
        );
    }
}

#[test]
fn a_target_with_a_journal_is_set_to_its_tags_and_to_the_present() {
    let place = Place::new("journal");
    let journal = place.file("journal").display().to_string();
    let keep = ["--journal", &journal];
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    let changes = place.stream("changes", Follows::Batch(10.into()), &[(1, 2, 20), (1, 3, 30)]);
    let later = place.stream("later", Follows::Batch(30.into()), &[(0, 4, 40)]);
    place.applied(&full, &keep);
    place.refused(&changes, &[], 2, "has a journal in");
    place.applied(&changes, &keep);
    let set = |tag: &[&str]| {
        place.applied(journal.as_ref(), tag);
        place.replica()
    };
    assert_eq!(set(&["--until-tag", "tag-10"]), [1, 0, 0, 0]);
    assert_eq!(set(&["--until-tag", "tag-20"]), [1, 2, 0, 0]);
    place.refused(&later, &keep, 2, "is set back to a tag");
    place.refused(journal.as_ref(), &["--until-tag", "tag-21"], 2, "it has: tag-10, tag-20, tag-30");
    assert_eq!(set(&[]), [1, 3, 0, 0]);
    place.applied(&later, &keep);
    assert_eq!(set(&["--until-tag", "tag-30"]), [1, 3, 0, 0]);
    assert_eq!(set(&["--until-tag", "tag-10"]), [1, 0, 0, 0]);
    assert_eq!(set(&[]), [4, 3, 0, 0]);
    let other = place.file("other");
    place.refused(&later, &["--journal", &other.display().to_string()], 2, "has a journal in");
    let shown = Command::new(env!("CARGO_BIN_EXE_involfltctl")).args(["--json", "journal", &journal]).output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let names: Vec<_> = shown["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tag-10", "tag-20", "tag-30", "tag-40"]);
    // What was written past it would make it wrong.
    fs::rename(&journal, &other).unwrap();
    let last = place.stream("last", Follows::Batch(40.into()), &[(2, 5, 50)]);
    place.applied(&last, &[]);
    place.refused(&last, &["--journal", &other.display().to_string()], 2, "is not the journal of");
}

#[test]
fn a_target_that_is_set_back_and_loses_its_journal_has_nothing() {
    let place = Place::new("lost-journal");
    let journal = place.file("journal").display().to_string();
    let full = place.stream("full", Follows::Nothing, &[(0, 1, 10)]);
    let changes = place.stream("changes", Follows::Batch(10.into()), &[(1, 2, 20)]);
    let later = place.stream("later", Follows::Batch(20.into()), &[(2, 3, 30)]);
    [&full, &changes].into_iter().for_each(|stream| place.applied(stream, &["--journal", &journal]));
    place.applied(journal.as_ref(), &["--until-tag", "tag-10"]);
    fs::remove_dir_all(&journal).unwrap();
    place.refused(&later, &[], 2, "has no full copy");
    place.applied(&full, &[]);
    assert_eq!(place.replica(), [1, 0, 0, 0]);
}
