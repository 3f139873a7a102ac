// SPDX-License-Identifier: GPL-2.0-only
//! A replica on another host, behind `ssh HOST involfltctl serve TARGET`.
//!
//! The other side gets a stream; where it has `NOTE`, with what the replica is to have, all before it is made durable and
//! noted there, and the same comes back as a line. The first line says what the replica has.

use super::chain::Progress;
use super::sink::{Sink, Tag};
use super::target::{Overwrite, Source};
use crate::error::{Error, Result};
use crate::stream::{Follows, Header, Writer};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A replica on another host.
pub struct Remote {
    /// As the user named it.
    name: String,
    /// There until this is dropped: then the other side's input ends.
    writer: Option<Writer<BufWriter<ChildStdin>>>,
    answers: BufReader<ChildStdout>,
    progress: Progress,
    program: Child,
}

/// `ssh://[USER@]HOST[:PORT]/PATH`, or `None` for what does not begin so.
fn parse(name: &str) -> Option<Result<(&str, Option<u16>, &str)>> {
    let rest = name.strip_prefix("ssh://")?;
    let bad = || Error::input(format!("{name}: is not ssh://[USER@]HOST[:PORT]/PATH"));
    let parse = || {
        let (host, path) = rest.split_at(rest.find('/').ok_or_else(bad)?);
        let (host, port) = match host.rsplit_once(':') {
            None => (host, None),
            Some((host, port)) => (host, Some(port.parse().map_err(|_| bad())?)),
        };
        // What begins with a dash would be an option of ssh.
        if host.is_empty() || host.starts_with('-') { Err(bad()) } else { Ok((host, port, path)) }
    };
    Some(parse())
}

/// A word that a shell takes as it is.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Remote {
    /// The command that serves a replica on another host; `None` for a name that does not begin with `ssh://`. `options` go
    /// to `involfltctl serve` there, after the target.
    pub fn command(name: &str, overwrite: Overwrite, options: &[String]) -> Option<Result<Command>> {
        let parsed = parse(name)?;
        Some(parsed.map(|(host, port, path)| {
            let mut words = vec!["involfltctl".into(), "serve".into(), quoted(path)];
            words.extend(options.iter().map(|option| quoted(option)));
            if overwrite == Overwrite::Yes {
                words.push("--overwrite".into());
            }
            let mut command = Command::new("ssh");
            if let Some(port) = port {
                command.args(["-p", &port.to_string()]);
            }
            // A connection that is cut is noticed.
            command.args(["-o", "ServerAliveInterval=15", "--", host, &words.join(" ")]);
            command
        }))
    }

    /// The replica behind a command that runs `involfltctl serve`.
    pub fn behind(name: &str, mut command: Command, source: Source<'_>) -> Result<Self> {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let program = command.get_program().display();
        let mut program = spawned.map_err(|error| Error::failed(format!("{program}: {error}")))?;
        let (input, output) = (program.stdin.take(), program.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err(lost(name)) };
        let header = Header { disk: source.disk.into(), bytes: source.bytes, follows: Follows::Nothing };
        let writer = Writer::new(BufWriter::new(input), &header).map_err(|_| lost(name))?;
        let answers = BufReader::new(output);
        let mut remote =
            Remote { name: name.into(), writer: Some(writer), answers, progress: Progress::Nothing, program };
        remote.progress = remote.answer()?;
        Ok(remote)
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<BufWriter<ChildStdin>>) -> io::Result<()>) -> Result<()> {
        let written = self.writer.as_mut().map_or(Ok(()), write);
        written.map_err(|_| lost(&self.name))
    }

    fn answer(&mut self) -> Result<Progress> {
        self.write(|writer| writer.get_mut().flush())?;
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(bytes) if bytes > 0 => serde_json::from_str(&line)
                .map_err(|_| Error::failed(format!("{}: answers {line:?}: is it the same version there?", self.name))),
            _ => Err(lost(&self.name)),
        }
    }
}

/// What went wrong on the other side, it has said itself.
fn lost(name: &str) -> Error {
    Error::failed(format!("{name}: the other side has ended"))
        .note("what it said stands above; run this again: it goes on where it stopped")
}

impl Sink for Remote {
    fn progress(&self) -> Progress {
        self.progress
    }

    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.write(|writer| writer.extent(offset, data))
    }

    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        self.write(|writer| writer.zeroes(offset, bytes))
    }

    fn tag(&mut self, tag: &Tag) -> Result<()> {
        self.write(|writer| writer.tag(tag))
    }

    fn sync(&mut self, progress: Progress) -> Result<()> {
        // It is made of numbers.
        let json = serde_json::to_string(&progress).expect("progress is JSON");
        self.write(|writer| writer.note(&json))?;
        match self.answer()? {
            noted if noted == progress => self.progress = progress,
            noted => return Err(Error::failed(format!("{}: has noted {noted:?}, not {progress:?}", self.name))),
        }
        Ok(())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.writer.take());
        // How it ended is of no use any more: what is noted was answered.
        let _ = self.program.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_and_nothing_else_is_taken_for_one() {
        let parsed = |name| parse(name).unwrap().unwrap();
        assert_eq!(parsed("ssh://backup/srv/sdb.img"), ("backup", None, "/srv/sdb.img"));
        assert_eq!(parsed("ssh://me@backup:2222/x"), ("me@backup", Some(2222), "/x"));
        assert!(parse("/dev/sdb").is_none());
        for bad in ["ssh://backup", "ssh:///x", "ssh://-oProxyCommand=x/y", "ssh://backup:x/y"] {
            assert_eq!(parse(bad).unwrap().unwrap_err().kind, crate::error::Kind::Input, "{bad}");
        }
    }

    #[test]
    fn a_shell_takes_words_as_they_are() {
        for word in ["/srv/a b", "it's", "$(id) `id` \\ \"", "*"] {
            let shell = Command::new("sh").args(["-c", &format!("printf %s {}", quoted(word))]).output().unwrap();
            assert_eq!(String::from_utf8(shell.stdout).unwrap(), word);
        }
    }
}
