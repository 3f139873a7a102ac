// SPDX-License-Identifier: GPL-2.0-only
//! The one error type: what failed, where, why, and what to do next.

use nix::errno::Errno;
use serde::Serialize;
use std::fmt;
use std::io::{self, ErrorKind};

/// What sort of failure it is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The driver or the system refused. Exit code 1.
    Failed,
    /// What the user gave is wrong: a disk's name, a line of the configuration. Exit code 2.
    Input,
    /// The driver or its device is not there. Exit code 69.
    Unavailable,
}

impl Kind {
    /// The process exit code (69 is `EX_UNAVAILABLE` of sysexits.h).
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Input => 2,
            Kind::Unavailable => 69,
        }
    }
}

/// A failure with its context, outermost first, and notes that say what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What sort of failure it is.
    pub kind: Kind,
    /// The thing, the request and the cause, in one line.
    pub message: String,
    /// Next steps, each printed as `note: …`.
    pub notes: Vec<String>,
}

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The driver or the system refused.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }
    /// Bad input from the user.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }
    /// The driver is not there.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }
    /// What a file or a connection said; [`Self::within`] puts its name in front.
    pub fn of_io(error: &io::Error) -> Self {
        let cause =
            error.raw_os_error().map_or_else(|| error.to_string(), |errno| Errno::from_raw(errno).desc().into());
        let failure = Self::failed(cause);
        match error.kind() {
            ErrorKind::StorageFull => failure.note("make room, and run this again: it goes on where it stopped"),
            ErrorKind::NotFound => failure.note("its directory must be there"),
            ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => {
                failure.note("is its server there? then run this again: it goes on where it stopped")
            }
            _ => failure,
        }
    }
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), notes: Vec::new() }
    }
    /// Says in front what it is about.
    pub fn within(mut self, name: &str) -> Self {
        self.message = format!("{name}: {}", self.message);
        self
    }
    /// Adds a next step.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}

impl std::error::Error for Error {}

/// An error as `--json` prints it.
#[derive(Serialize)]
pub struct Json<'a> {
    message: &'a str,
    notes: &'a [String],
    exit_code: u8,
}

impl Error {
    /// The form that `--json` prints.
    pub fn json(&self) -> Json<'_> {
        Json { message: &self.message, notes: &self.notes, exit_code: self.kind.exit_code() }
    }
}
