// SPDX-License-Identifier: GPL-2.0-only
//! The files of a journal: streams in the format of `drain`.

use super::Place;
use crate::stream::{Fault, Reader, Record, Tag};
use std::io::{self, BufReader, Read};

/// Which of a segment's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What leads from its end to its beginning.
    Back,
    /// What leads from its beginning to its end.
    Forward,
}

/// The name of a segment's file.
pub fn name(number: u64, direction: Direction) -> String {
    let kind = if direction == Direction::Back { "back" } else { "forward" };
    format!("{number:012}.{kind}")
}

/// What a file's name says, if it is a segment's.
pub fn parse_name(name: &str) -> Option<(u64, Direction)> {
    let (number, kind) = name.split_once('.')?;
    let direction = match kind {
        "back" => Direction::Back,
        "forward" => Direction::Forward,
        _ => return None,
    };
    number.parse().ok().map(|number| (number, direction))
}

/// Reads a file from its beginning.
pub struct Stored<'a, P> {
    place: &'a P,
    name: &'a str,
    at: u64,
}

impl<P: Place> Read for Stored<'_, P> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.place.read(self.name, self.at, to)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads the stream in a file.
pub fn reader<'a, P: Place>(place: &'a P, name: &'a str) -> Result<Reader<BufReader<Stored<'a, P>>>, Fault> {
    Reader::new(BufReader::with_capacity(256 << 10, Stored { place, name, at: 0 }))
}

/// A change in a segment's file.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Offset on the disk in bytes.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Where in the file its data is; nowhere where they are zeroes.
    pub data_at: Option<u64>,
}

/// The changes of a segment's file, in its order; all of it is read and must be right.
pub fn changes(place: &impl Place, name: &str) -> Result<Vec<Change>, Fault> {
    let mut reader = reader(place, name)?;
    let mut changes = Vec::new();
    loop {
        match reader.next_record()? {
            Record::Extent { offset, data } => {
                let data_at = Some(reader.data_position(&data));
                changes.push(Change { offset, bytes: data.len() as u64, data_at });
            }
            Record::Zeroes { offset, bytes } => changes.push(Change { offset, bytes, data_at: None }),
            Record::End => return Ok(changes),
            _ => {}
        }
    }
}

/// The tags at the beginning of a segment: where it begins.
pub fn tags(place: &impl Place, name: &str) -> Result<Vec<Tag>, Fault> {
    let mut reader = reader(place, name)?;
    let mut tags = Vec::new();
    while let Ok(Record::Tag(tag)) = reader.next_record() {
        tags.push(tag);
    }
    Ok(tags)
}
