// SPDX-License-Identifier: GPL-2.0-only
//! The journal of a target: with it the target can be set to any tag that it was brought past, and to the present again.
//!
//! Before a change is written to the target, the bytes that it overwrites are durable in the journal. A journal is a row of
//! segments; each begins with tags and has what leads from its end back to its beginning. All that comes before the
//! oldest tag is of no use, so a journal without a tag is empty, and costs nothing. When the target is set back over a segment,
//! what leads forward again is written to a second file first.

use crate::error::{Error, Result};
use crate::position::Position;
use crate::replica::Store;
use crate::stream::{Fault, Follows, Header, Record, Tag, Writer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;

mod place;
mod rewind;
mod segment;

pub use place::{Directory, Place, replace};
use segment::Direction;

/// The file that says whose journal it is, and where the target stands.
pub const STATE: &str = "journal.json";
const FORMAT: u32 = 1;

/// Bytes of changes that wait for what they overwrite to be durable.
const MAX_WAITING: usize = 4 << 20;
/// Bytes that are read from the target at once.
const MAX_PIECE: usize = 1 << 20;
static ZEROES: [u8; MAX_PIECE] = [0; MAX_PIECE];

#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    format: u32,
    /// Persistent name of the disk.
    disk: String,
    /// Its size in bytes.
    bytes: u64,
    /// The segment that the target is in, when it is set back: at its beginning, unless that was not come to its end.
    set_back_in: Option<u64>,
}

#[derive(Debug)]
struct Segment {
    /// Bytes of its file.
    bytes: u64,
    /// Tags that stand at its beginning.
    tags: Vec<Tag>,
}

/// A segment that is written to.
struct Open {
    number: u64,
    /// Whether something but tags is in it.
    has_changes: bool,
    writer: Writer<Vec<u8>>,
}

/// What a change writes.
enum New {
    Data(Vec<u8>),
    Zeroes(u64),
}

impl New {
    fn bytes(&self) -> u64 {
        match self {
            New::Data(data) => data.len() as u64,
            New::Zeroes(bytes) => *bytes,
        }
    }
}

/// A tag to which the target can be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Point {
    /// The tag's name.
    pub name: String,
    /// When it was made.
    pub time: crate::time::Time,
    /// Whether the target is then what the disk was.
    pub is_exact: bool,
    /// The segment that begins there.
    #[serde(skip)]
    pub segment: u64,
    /// Bytes of the journal from there to the next tag.
    pub bytes: u64,
}

/// A journal. After a failure it is to be opened anew.
pub struct Journal<P> {
    place: P,
    state: State,
    /// Bytes that all segments take at most.
    limit: u64,
    segments: BTreeMap<u64, Segment>,
    open: Option<Open>,
    waiting: Vec<(u64, New)>,
}

impl<P: Place> Journal<P> {
    /// The journal in a place, of a target that has a disk of so many bytes. It is begun if there is none.
    ///
    /// Fails with [`crate::error::Kind::Input`] for the journal of another disk.
    pub fn open(mut place: P, disk: &str, bytes: u64, limit: u64) -> Result<Self> {
        let state = match state(&place)? {
            Some(state) => state,
            None => {
                let state = State { format: FORMAT, disk: disk.into(), bytes, set_back_in: None };
                write_state(&mut place, &state)?;
                state
            }
        };
        if (state.disk.as_str(), state.bytes) != (disk, bytes) {
            let (disk, bytes) = (&state.disk, state.bytes);
            return Err(Error::input(format!("the journal is that of {disk} with {bytes} bytes"))
                .note("name another directory, or remove this one: its tags go with it"));
        }
        let mut journal = Journal { place, state, limit, segments: BTreeMap::new(), open: None, waiting: Vec::new() };
        journal.find_segments()?;
        Ok(journal)
    }

    /// Whether the target is set back: then nothing can be written to it.
    pub fn is_set_back(&self) -> bool {
        self.state.set_back_in.is_some()
    }

    /// Whether the target cannot be set to any tag.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Writes data to the target.
    pub fn data(&mut self, store: &mut dyn Store, offset: u64, data: &[u8]) -> Result<()> {
        let offsets = (offset..).step_by(MAX_PIECE);
        offsets.zip(data.chunks(MAX_PIECE)).try_for_each(|(offset, data)| {
            let new = || New::Data(data.to_vec());
            self.write(store, offset, data, new)
        })
    }

    /// Writes so many zeroes to the target.
    pub fn zeroes(&mut self, store: &mut dyn Store, offset: u64, bytes: u64) -> Result<()> {
        (offset..offset + bytes).step_by(MAX_PIECE).try_for_each(|piece| {
            let bytes = (offset + bytes - piece).min(MAX_PIECE as u64);
            self.write(store, piece, &ZEROES[..bytes as usize], || New::Zeroes(bytes))
        })
    }

    fn write(&mut self, store: &mut dyn Store, offset: u64, data: &[u8], new: impl FnOnce() -> New) -> Result<()> {
        if self.segments.is_empty() {
            return put(store, offset, &new()).map_err(|error| about_target(&error));
        }
        let (start, end) = (offset, offset + data.len() as u64);
        if self.waiting.iter().any(|(offset, new)| *offset < end && start < offset + new.bytes()) {
            self.flush(store)?;
        }
        let mut old = vec![0; data.len()];
        store.read(offset, &mut old).map_err(|error| about_target(&error))?;
        // What is delivered again, and most of a second full copy.
        if old == data {
            return Ok(());
        }
        record(&mut self.with_changes()?.writer, offset, &old).map_err(|error| about_journal(&error))?;
        self.waiting.push((offset, new()));
        let waiting: u64 = self.waiting.iter().map(|(_, new)| new.bytes()).sum();
        if waiting < MAX_WAITING as u64 { Ok(()) } else { self.flush(store) }
    }

    /// What was written to the target until now can be come back to.
    pub fn tag(&mut self, store: &mut dyn Store, tag: &Tag) -> Result<()> {
        self.flush(store)?;
        if self.open.as_ref().is_some_and(|open| open.has_changes) {
            self.close()?;
        }
        let open = self.begun()?;
        let number = open.number;
        open.writer.tag(tag).map_err(|error| about_journal(&error))?;
        self.segments.entry(number).or_insert(Segment { bytes: 0, tags: Vec::new() }).tags.push(tag.clone());
        Ok(())
    }

    /// Makes everything durable, in the journal and at the target. Drops the oldest tags when it has become too large.
    pub fn sync(&mut self, store: &mut dyn Store) -> Result<()> {
        self.flush(store)?;
        store.sync().map_err(|error| about_target(&error))?;
        while self.segments.values().map(|segment| segment.bytes).sum::<u64>() > self.limit {
            self.drop_oldest()?;
        }
        Ok(())
    }

    /// Ends the segment that is written to, so that the next one who opens the journal need not read it.
    pub fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let (_, bytes) = open.writer.end().map_err(|error| about_journal(&error))?;
        self.append(open.number, &bytes)
    }

    /// What is overwritten is durable before it is overwritten.
    fn flush(&mut self, store: &mut dyn Store) -> Result<()> {
        if let Some(open) = &mut self.open {
            let number = open.number;
            let bytes = std::mem::take(open.writer.get_mut());
            if !bytes.is_empty() {
                self.append(number, &bytes)?;
            }
        }
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().try_for_each(|(offset, new)| put(store, *offset, new)).map_err(|error| about_target(&error))
    }

    fn append(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        let name = segment::name(number, Direction::Back);
        self.place.append(&name, bytes).and_then(|()| self.place.sync(&name)).map_err(|error| about_journal(&error))?;
        let segment = self.segments.entry(number).or_insert(Segment { bytes: 0, tags: Vec::new() });
        segment.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The segment that is written to, which gets a change.
    fn with_changes(&mut self) -> Result<&mut Open> {
        let open = self.begun()?;
        open.has_changes = true;
        Ok(open)
    }

    fn begun(&mut self) -> Result<&mut Open> {
        if self.open.is_none() {
            let number = self.segments.last_key_value().map_or(1, |(number, _)| number + 1);
            let writer = Writer::new(Vec::new(), &self.header()).map_err(|error| about_journal(&error))?;
            self.open = Some(Open { number, has_changes: false, writer });
        }
        Ok(self.open.as_mut().expect("it was just begun"))
    }

    fn header(&self) -> Header {
        Header { disk: self.state.disk.clone(), bytes: self.state.bytes, follows: Follows::Batch(Position::default()) }
    }

    /// Drops the oldest tags, and what comes before the next one.
    fn drop_oldest(&mut self) -> Result<()> {
        loop {
            let Some((number, _)) = self.segments.pop_first() else { return Ok(()) };
            self.place.remove(&segment::name(number, Direction::Back)).map_err(|error| about_journal(&error))?;
            if self.segments.is_empty() {
                self.open = None;
            }
            if self.segments.first_key_value().is_none_or(|(_, segment)| !segment.tags.is_empty()) {
                return Ok(());
            }
        }
    }

    /// Finds the segments in the place, and goes on with one that was not ended.
    fn find_segments(&mut self) -> Result<()> {
        let mut numbers = numbers(&self.place)?;
        let last = numbers.pop();
        for number in numbers {
            let name = segment::name(number, Direction::Back);
            let tags = segment::tags(&self.place, &name).map_err(|fault| about_segment(&name, &fault))?;
            let bytes = self.place.length(&name).map_err(|error| about_journal(&error))?;
            self.segments.insert(number, Segment { bytes, tags });
        }
        if let Some(last) = last {
            self.find_last(last)?;
        }
        let is_useless = |(_, segment): (&u64, &Segment)| segment.tags.is_empty();
        if self.segments.first_key_value().is_some_and(is_useless) { self.drop_oldest() } else { Ok(()) }
    }

    /// Reads the last segment, whose end may be missing or torn off in the middle of a record: what that record tells was not
    /// written to the target.
    fn find_last(&mut self, number: u64) -> Result<()> {
        let name = segment::name(number, Direction::Back);
        let mut reader = match segment::reader(&self.place, &name) {
            Ok(reader) => reader,
            Err(Fault::Io(error)) => return Err(about_journal(&error)),
            Err(_) => return self.place.remove(&name).map_err(|error| about_journal(&error)),
        };
        let (mut tags, mut has_changes) = (Vec::new(), false);
        let is_ended = loop {
            match reader.next_record() {
                Ok(Record::Tag(tag)) => tags.push(tag),
                Ok(Record::End) => break true,
                Ok(_) => has_changes = true,
                Err(Fault::Io(error)) => return Err(about_journal(&error)),
                Err(_) => break false,
            }
        };
        let (bytes, writer) = (reader.position(), reader.go_on(Vec::new()));
        if !is_ended {
            self.place.cut(&name, bytes).map_err(|error| about_journal(&error))?;
            self.open = Some(Open { number, has_changes, writer });
        }
        self.segments.insert(number, Segment { bytes, tags });
        Ok(())
    }
}

/// The tags to which the target of the journal in a place can be set, the oldest first.
pub fn points(place: &impl Place) -> Result<Vec<Point>> {
    let mut points: Vec<Point> = Vec::new();
    for number in numbers(place)? {
        let name = segment::name(number, Direction::Back);
        let bytes = match place.length(&name) {
            // The oldest ones may be dropped meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            length => length.map_err(|error| about_journal(&error))?,
        };
        let tags = segment::tags(place, &name).unwrap_or_default();
        points.extend(tags.into_iter().map(|Tag { name, time, is_exact }| Point {
            name,
            time,
            is_exact,
            segment: number,
            bytes: 0,
        }));
        if let Some(point) = points.last_mut() {
            point.bytes += bytes;
        }
    }
    Ok(points)
}

/// Whose journal is in a place: persistent name and size of the disk; none where there is no journal.
pub fn identity(place: &impl Place) -> Result<Option<(String, u64)>> {
    Ok(state(place)?.map(|state| (state.disk, state.bytes)))
}

/// The segments in a place, in order. Fails where one is missing.
fn numbers(place: &impl Place) -> Result<Vec<u64>> {
    let names = place.names().map_err(|error| about_journal(&error))?;
    let backward = names.iter().filter_map(|name| segment::parse_name(name));
    let backward = backward.filter(|(_, direction)| *direction == Direction::Back);
    let mut numbers: Vec<u64> = backward.map(|(number, _)| number).collect();
    numbers.sort_unstable();
    match numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
        None => Ok(numbers),
        Some(pair) => {
            let (missing, before) =
                (segment::name(pair[0] + 1, Direction::Back), segment::name(pair[0], Direction::Back));
            Err(Error::input(format!("the journal: {missing} is missing"))
                .note(format!("remove {before} and those before it: their tags cannot be come back to")))
        }
    }
}

fn state(place: &impl Place) -> Result<Option<State>> {
    let names = place.names().map_err(|error| about_journal(&error))?;
    if !names.iter().any(|name| name == STATE) {
        return Ok(None);
    }
    let mut json = vec![0; MAX_PIECE];
    let length = place.read(STATE, 0, &mut json).map_err(|error| about_journal(&error))?;
    let bad = |cause: String| {
        Error::input(format!("the journal: {STATE}: {cause}"))
            .note("it is no journal, or is damaged: name another directory")
    };
    let state: State = serde_json::from_slice(&json[..length]).map_err(|error| bad(error.to_string()))?;
    match state.format {
        FORMAT => Ok(Some(state)),
        other => Err(bad(format!("is of format {other}; this program knows {FORMAT}"))),
    }
}

fn write_state(place: &mut impl Place, state: &State) -> Result<()> {
    // It is made of numbers and a string.
    let json = serde_json::to_vec(state).expect("the state is JSON");
    place.replace(STATE, &json).map_err(|error| about_journal(&error))
}

/// Notes what is at an offset.
fn record(writer: &mut Writer<Vec<u8>>, offset: u64, bytes: &[u8]) -> io::Result<()> {
    match *bytes == ZEROES[..bytes.len()] {
        true => writer.zeroes(offset, bytes.len() as u64),
        false => writer.extent(offset, bytes),
    }
}

fn put(store: &mut dyn Store, offset: u64, new: &New) -> io::Result<()> {
    match new {
        New::Data(data) => store.write(offset, data),
        New::Zeroes(bytes) => store.zero(offset, *bytes),
    }
}

fn about_target(error: &io::Error) -> Error {
    Error::of_io(error)
}

fn about_journal(error: &io::Error) -> Error {
    Error::of_io(error).within("the journal")
}

fn about_segment(name: &str, fault: &Fault) -> Error {
    Error::failed(format!("the journal: {name}: {fault}")).note("tags before it cannot be come back to")
}
