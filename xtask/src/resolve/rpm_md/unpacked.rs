// SPDX-License-Identifier: GPL-2.0-only
//! An index as it is unpacked: counted, hashed, and cut off where it is longer than it should be.
//!
//! gzip, xz and zstd unpack, in a process of their own with a limit on their memory.

use super::repomd::{LARGEST_OPEN, Primary};
use crate::checksum::Hasher;
use crate::error::{AtPath, Error, Result};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The text of an index. Its end is an error where it is not the index that was signed.
pub struct Unpacked {
    tool: Child,
    text: ChildStdout,
    name: String,
    read: u64,
    limit: u64,
    exact: Option<u64>,
    hash: Option<(Hasher, String)>,
}

/// Opens an index by the ending of its name.
pub fn open(file: &Path, primary: &Primary) -> Result<Unpacked> {
    let (program, options): (&str, &[&str]) = match file.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => ("gzip", &["-dc"]),
        Some("xz") => ("xz", &["-dc", "--single-stream", "--memlimit-decompress=256MiB"]),
        Some("zst") => ("zstd", &["-dc", "-q", "--memory=256MB"]),
        _ => return Err(Error::infra(format!("{}: it is neither gz nor xz nor zst", primary.path))),
    };
    let mut command = Command::new(program);
    command.args(options).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tool = command.spawn().at_path(program)?;
    let text = tool.stdout.take().expect("is piped");
    let hash = primary.open_checksum.as_ref().map(|checksum| (checksum.hasher(), checksum.hex.clone()));
    let limit = primary.open_size.unwrap_or(LARGEST_OPEN);
    Ok(Unpacked { tool, text, name: primary.path.clone(), read: 0, limit, exact: primary.open_size, hash })
}

impl Unpacked {
    fn bad(&self, why: impl std::fmt::Display) -> io::Error {
        io::Error::other(format!("{}: {why}", self.name))
    }

    /// Everything was read: is it what it should be?
    fn end(&mut self) -> io::Result<()> {
        if !self.tool.wait()?.success() {
            return Err(self.bad("it cannot be unpacked: it is cut off, or damaged, or wants too much memory"));
        }
        if self.exact.is_some_and(|exact| exact != self.read) {
            return Err(self.bad(format!("unpacked it has {} bytes and not {}", self.read, self.limit)));
        }
        let Some((hash, expected)) = self.hash.take() else { return Ok(()) };
        if hash.finish() == expected {
            return Ok(());
        }
        Err(self.bad("unpacked it has another checksum than repomd.xml says"))
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.text.read(buffer)?;
        self.read += read as u64;
        if self.read > self.limit {
            return Err(self.bad(format!("unpacked it is longer than {} bytes: a decompression bomb", self.limit)));
        }
        if read == 0 {
            self.end()?;
        } else if let Some((hash, _)) = &mut self.hash {
            hash.update(&buffer[..read]);
        }
        Ok(read)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // A tool that has ended is as good as one that was stopped.
        let _ = self.tool.kill();
        let _ = self.tool.wait();
    }
}
