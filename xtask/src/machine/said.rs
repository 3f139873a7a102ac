// SPDX-License-Identifier: GPL-2.0-only
//! What a command in a machine said.

use crate::error::{Error, Result};
use crate::vm::tail;

/// A command's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The command, as it was given.
    pub command: String,
    /// Its exit code; 128 and the signal's number where a signal ended it, as in a shell.
    pub code: i32,
    /// What it wrote to standard output and standard error, in the order of writing.
    pub output: String,
}

impl Said {
    /// The output of a command that went well. Otherwise an error (exit code 1) with its last words.
    pub fn ok(self) -> Result<String> {
        match self.code {
            0 => Ok(self.output),
            _ => Err(self.unexpected("it failed")),
        }
    }

    /// The output of a command that failed as it should: with `words` among what it said.
    pub fn refused(self, words: &str) -> Result<String> {
        match self.code {
            0 => Err(self.unexpected("it should have failed")),
            _ if !self.output.contains(words) => Err(self.unexpected(&format!("it did not say `{words}`"))),
            _ => Ok(self.output),
        }
    }

    fn unexpected(&self, what: &str) -> Error {
        let (command, code) = (&self.command, self.code);
        Error::kernel(format!("`{command}`: {what} (exit code {code}): {}", tail(&self.output, 5)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, output: &str) -> Said {
        Said { command: "modprobe involflt".into(), code, output: output.into() }
    }

    #[test]
    fn a_failure_is_told_with_the_command_and_its_last_words() {
        let error = said(1, "a\nb\nc\nd\ne\nmodprobe: no such module\n").ok().unwrap_err();
        assert!(error.message.starts_with("`modprobe involflt`: it failed (exit code 1): b\n"), "{error}");
        assert!(error.message.ends_with("no such module"), "{error}");
    }

    #[test]
    fn a_refusal_has_the_right_words() {
        assert!(said(1, "Key was rejected by service").refused("rejected").is_ok());
        assert!(said(1, "no such file").refused("rejected").unwrap_err().message.contains("did not say `rejected`"));
        assert!(said(0, "rejected").refused("rejected").unwrap_err().message.contains("should have failed"));
    }
}
