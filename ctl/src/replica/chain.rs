// SPDX-License-Identifier: GPL-2.0-only
//! What a replica has of its disk, kept beside it from one run to the next.
//!
//! The driver tells with each batch which one was committed before it. So a replica that remembers the last batch it was
//! given, and the one before, knows whether the next one follows, or whether something is missing between: because the
//! driver was loaded anew, because another agent drained, or because a stream was left out.

use super::target::Source;
use crate::error::{Error, Result};
use crate::journal::replace;
use crate::position::Position;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const FORMAT: u32 = 2;

/// What a replica has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "has", rename_all = "kebab-case")]
pub enum Progress {
    /// Nothing that could be relied on.
    Nothing,
    /// A part of a full copy, which was begun after the batch `behind` was committed.
    Part {
        /// Bytes from the start of the disk.
        bytes: u64,
        /// Position of that batch.
        behind: Position,
    },
    /// All changes up to the batch `last`, which may not have been committed: then the next one follows `before`, and
    /// is the same again.
    All {
        /// Position of the last batch.
        last: Position,
        /// Position of the one before it.
        before: Position,
    },
}

impl Progress {
    /// Whether a batch that follows `previous` leaves nothing out. Nothing is known of one that follows none.
    pub fn is_followed_by(self, previous: Position) -> bool {
        match self {
            _ if !previous.is_of_a_batch() => false,
            Progress::Nothing => false,
            Progress::Part { behind, .. } => behind == previous,
            Progress::All { last, before } => last == previous || before == previous,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Content {
    format: u32,
    /// Persistent name of the disk.
    disk: String,
    /// Its size in bytes.
    bytes: u64,
    replica: Progress,
    /// Where the replica's journal is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    journal: Option<PathBuf>,
    /// Whether the replica may be set back to a tag of it.
    #[serde(default)]
    is_set_back: bool,
}

/// The file that says what a replica has.
#[derive(Debug)]
pub struct Chain {
    path: PathBuf,
    disk: String,
    bytes: u64,
    progress: Progress,
    journal: Option<PathBuf>,
    is_set_back: bool,
}

impl Chain {
    /// What the file says of a replica of this disk. A replica of another one, or of another size, has nothing; neither
    /// has one without a file. The second value says whether there was a file at all.
    ///
    /// Fails for a file that cannot be read or is none of these.
    pub fn read(path: PathBuf, source: Source<'_>) -> Result<(Self, bool)> {
        let Source { disk, bytes } = source;
        let content = match fs::read(&path) {
            Ok(content) => Some(parse(&path, &content)?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Error::failed(format!("{}: {error}", path.display()))),
        };
        let known = content.is_some();
        let journal = content.as_ref().and_then(|content| content.journal.clone());
        let is_set_back = content.as_ref().is_some_and(|content| content.is_set_back);
        let same = content.filter(|content| content.disk == disk && content.bytes == bytes);
        let progress = same.map_or(Progress::Nothing, |content| content.replica);
        Ok((Chain { path, disk: disk.into(), bytes, progress, journal, is_set_back }, known))
    }

    /// What the replica has.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Notes what the replica has: durable, and all of it or nothing. What it says must be durable already.
    pub fn note(&mut self, progress: Progress) -> Result<()> {
        if progress == self.progress {
            return Ok(());
        }
        self.progress = progress;
        self.write()
    }

    /// Where the replica's journal is.
    pub fn journal(&self) -> Option<&Path> {
        self.journal.as_deref()
    }

    /// Notes where the replica's journal is, or that it has none. Durable, before anything is written to either.
    pub fn set_journal(&mut self, journal: Option<&Path>) -> Result<()> {
        if journal == self.journal() {
            return Ok(());
        }
        self.journal = journal.map(Path::to_path_buf);
        self.write()
    }

    /// Whether the replica may be set back to a tag of its journal: then it is not what the progress says.
    pub fn is_set_back(&self) -> bool {
        self.is_set_back
    }

    /// Notes that the replica is about to be set back, or is at the present. Durable.
    pub fn note_set_back(&mut self, is_set_back: bool) -> Result<()> {
        if is_set_back == self.is_set_back {
            return Ok(());
        }
        self.is_set_back = is_set_back;
        self.write()
    }

    fn write(&self) -> Result<()> {
        let content = Content {
            format: FORMAT,
            disk: self.disk.clone(),
            bytes: self.bytes,
            replica: self.progress,
            journal: self.journal.clone(),
            is_set_back: self.is_set_back,
        };
        // It is made of numbers and strings.
        let json = serde_json::to_vec(&content).expect("the chain is JSON");
        replace(&self.path, &json).map_err(|error| Error::failed(format!("{}: {error}", self.path.display())))
    }
}

fn parse(path: &Path, content: &[u8]) -> Result<Content> {
    let note = "it says what the replica beside it has; remove it, and the replica is copied anew";
    let about = |cause: String| Error::input(format!("{}: {cause}", path.display())).note(note);
    let content: Content = serde_json::from_slice(content).map_err(|error| about(error.to_string()))?;
    match content.format {
        FORMAT => Ok(content),
        other => Err(about(format!("is of format {other}; this program knows {FORMAT}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again_for_the_same_disk_only() {
        let path = std::env::temp_dir().join(format!("involflt-chain-{}/a/replica.json", std::process::id()));
        let read = |disk, bytes| {
            Chain::read(path.clone(), Source { disk, bytes }).map(|(chain, known)| (chain.progress(), known))
        };
        assert_eq!(read("wwn-1", 4096).unwrap(), (Progress::Nothing, false));
        let all = Progress::All { last: Position { sequence: 9, part: 2 }, before: 9.into() };
        for progress in [Progress::Part { bytes: 512, behind: 3.into() }, all] {
            Chain::read(path.clone(), Source { disk: "wwn-1", bytes: 4096 }).unwrap().0.note(progress).unwrap();
            assert_eq!(read("wwn-1", 4096).unwrap(), (progress, true));
        }
        assert_eq!(read("wwn-2", 4096).unwrap(), (Progress::Nothing, true));
        assert_eq!(read("wwn-1", 8192).unwrap(), (Progress::Nothing, true));
        fs::write(&path, "{}").unwrap();
        assert_eq!(read("wwn-1", 4096).unwrap_err().kind, crate::error::Kind::Input);
        fs::remove_dir_all(path.ancestors().nth(2).unwrap()).unwrap();
    }

    #[test]
    fn only_a_batch_that_leaves_nothing_out_follows() {
        let all = Progress::All { last: 9.into(), before: 7.into() };
        assert_eq!([7, 8, 9, 0].map(|previous| all.is_followed_by(previous.into())), [true, false, true, false]);
        assert!(!Progress::Nothing.is_followed_by(Position::default()));
        assert!(Progress::Part { bytes: 0, behind: 3.into() }.is_followed_by(3.into()));
        let part = |part| Position { sequence: 9, part };
        let all = Progress::All { last: part(3), before: part(2) };
        assert_eq!([1, 2, 3, 4].map(|number| all.is_followed_by(part(number))), [false, true, true, false]);
    }
}
