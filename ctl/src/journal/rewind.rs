// SPDX-License-Identifier: GPL-2.0-only
//! Setting a target to a tag, and to the present again.

use super::segment::{self, Change, Direction};
use super::{Journal, MAX_WAITING, Place, ZEROES, about_journal, about_segment, about_target, record, write_state};
use crate::error::Result;
use crate::replica::Store;
use crate::stream::Writer;

impl<P: Place> Journal<P> {
    /// Sets the target to the beginning of a segment, or to the present. Where this fails or is cut off, it can be done again,
    /// with whatever aim.
    pub fn set(&mut self, store: &mut dyn Store, to: Option<u64>) -> Result<()> {
        self.close()?;
        let Some((&last, _)) = self.segments.last_key_value() else { return Ok(()) };
        let present = last + 1;
        let to = to.unwrap_or(present);
        let mut at = self.state.set_back_in.unwrap_or(present);
        if at < present {
            // It may have been left in the middle.
            self.go(store, at, Direction::Back)?;
        }
        while at > to {
            at -= 1;
            self.keep_way_forward(store, at)?;
            self.stand_in(Some(at))?;
            self.go(store, at, Direction::Back)?;
        }
        while at < to {
            self.go(store, at, Direction::Forward)?;
            at += 1;
            self.stand_in((at < present).then_some(at))?;
        }
        if at == present { self.forget_ways_forward() } else { Ok(()) }
    }

    fn stand_in(&mut self, segment: Option<u64>) -> Result<()> {
        self.state.set_back_in = segment;
        write_state(&mut self.place, &self.state)
    }

    /// Brings the target from one end of a segment to the other.
    fn go(&mut self, store: &mut dyn Store, number: u64, direction: Direction) -> Result<()> {
        let name = segment::name(number, direction);
        let mut changes = self.changes(&name)?;
        if direction == Direction::Back {
            changes.reverse();
        }
        changes.iter().try_for_each(|change| self.undo(store, &name, change))?;
        store.sync().map_err(|error| about_target(&error))
    }

    fn changes(&self, name: &str) -> Result<Vec<Change>> {
        segment::changes(&self.place, name).map_err(|fault| about_segment(name, &fault))
    }

    fn undo(&self, store: &mut dyn Store, name: &str, change: &Change) -> Result<()> {
        let written = match change.data_at {
            None => store.zero(change.offset, change.bytes),
            Some(at) => {
                let mut data = vec![0; change.bytes as usize];
                self.fill(name, at, &mut data)?;
                store.write(change.offset, &data)
            }
        };
        written.map_err(|error| about_target(&error))
    }

    fn fill(&self, name: &str, mut at: u64, mut to: &mut [u8]) -> Result<()> {
        while !to.is_empty() {
            let read = match self.place.read(name, at, to) {
                Ok(0) => Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => read,
            };
            let read = read.map_err(|error| about_journal(&error))?;
            (at, to) = (at + read as u64, &mut to[read..]);
        }
        Ok(())
    }

    /// Keeps what the target has at the end of a segment where the segment has changed something.
    fn keep_way_forward(&mut self, store: &mut dyn Store, number: u64) -> Result<()> {
        let changes = self.changes(&segment::name(number, Direction::Back))?;
        let name = segment::name(number, Direction::Forward);
        self.place.remove(&name).map_err(|error| about_journal(&error))?;
        let mut writer = Writer::new(Vec::new(), &self.header()).map_err(|error| about_journal(&error))?;
        for Change { offset, bytes, .. } in changes {
            let mut now = vec![0; ZEROES.len().min(bytes as usize)];
            store.read(offset, &mut now).map_err(|error| about_target(&error))?;
            record(&mut writer, offset, &now).map_err(|error| about_journal(&error))?;
            if writer.get_mut().len() >= MAX_WAITING {
                let bytes = std::mem::take(writer.get_mut());
                self.place.append(&name, &bytes).map_err(|error| about_journal(&error))?;
            }
        }
        let (_, bytes) = writer.end().map_err(|error| about_journal(&error))?;
        let kept = self.place.append(&name, &bytes).and_then(|()| self.place.sync(&name));
        kept.map_err(|error| about_journal(&error))
    }

    fn forget_ways_forward(&mut self) -> Result<()> {
        let names = self.place.names().map_err(|error| about_journal(&error))?;
        let is_forward =
            |name: &&String| segment::parse_name(name).is_some_and(|(_, direction)| direction == Direction::Forward);
        let mut forward = names.iter().filter(is_forward);
        forward.try_for_each(|name| self.place.remove(name).map_err(|error| about_journal(&error)))
    }
}
