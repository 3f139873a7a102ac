// SPDX-License-Identifier: GPL-2.0-only
//! The one error type of the farm: what failed, where, why, and what to do next.

use std::fmt;

/// Who has to act on a failure; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Some kernel (or some test) failed; the rest of the run is good. Exit code 1.
    Kernel,
    /// What the user gave is wrong: an option, `kernels.yaml`, a key. Exit code 2.
    Input,
    /// The machine or the network: a missing tool, an unreachable mirror, a full disk. Exit code 69.
    Infra,
}

impl Kind {
    /// The process exit code (69 is `EX_UNAVAILABLE` of sysexits.h).
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Kernel => 1,
            Kind::Input => 2,
            Kind::Infra => 69,
        }
    }
}

/// A failure with its context, outermost first, and notes that say what to do next.
#[derive(Debug)]
pub struct Error {
    /// Who has to act.
    pub kind: Kind,
    /// The thing, the place and the cause, in one line or a few.
    pub message: String,
    /// Next steps, each printed as `note: …`.
    pub notes: Vec<String>,
}

/// The farm's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of one kernel's build, check or boot.
    pub fn kernel(message: impl Into<String>) -> Self {
        Self::new(Kind::Kernel, message)
    }
    /// Bad input from the user.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }
    /// A failure of the machine or the network.
    pub fn infra(message: impl Into<String>) -> Self {
        Self::new(Kind::Infra, message)
    }
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), notes: Vec::new() }
    }
    /// Adds a next step.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
    /// The same error for another thing that it keeps from being done.
    pub fn again(&self) -> Self {
        Error { kind: self.kind, message: self.message.clone(), notes: self.notes.clone() }
    }
    /// Puts the thing or place that the failure belongs to in front of the message.
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
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

impl From<xshell::Error> for Error {
    fn from(error: xshell::Error) -> Self {
        Error::infra(error.to_string())
    }
}

/// Names the file that an I/O error is about.
pub trait AtPath<T> {
    /// Turns an I/O error into an infrastructure error about `path`.
    fn at_path(self, path: impl AsRef<std::path::Path>) -> Result<T>;
}

impl<T> AtPath<T> for std::io::Result<T> {
    fn at_path(self, path: impl AsRef<std::path::Path>) -> Result<T> {
        self.map_err(|error| Error::infra(format!("{}: {error}", path.as_ref().display())))
    }
}
