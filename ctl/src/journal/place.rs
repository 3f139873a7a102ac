// SPDX-License-Identifier: GPL-2.0-only
//! Where a journal's files are.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A place for files that are appended to: a directory, or in tests a model of one.
pub trait Place {
    /// Names of all files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Reads from a place in a file; fewer bytes at its end, none behind it.
    fn read(&self, name: &str, at: u64, to: &mut [u8]) -> io::Result<usize>;

    /// The length of a file in bytes.
    fn length(&self, name: &str) -> io::Result<u64>;

    /// Appends to a file, which is made if need be; not for good.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to a length; not for good.
    fn cut(&mut self, name: &str, bytes: u64) -> io::Result<()>;

    /// After this a power cut takes nothing of the file away, nor the file.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Replaces a file as a whole, for good.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file, for good.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A directory.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at an absolute path.
    pub fn new(path: PathBuf) -> Self {
        Directory(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// Replaces a file in a directory as a whole, for good.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let partial = path.with_extension("partial");
    let mut file = File::create(&partial)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(parent)?.sync_all()
}

impl Place for Directory {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn read(&self, name: &str, at: u64, to: &mut [u8]) -> io::Result<usize> {
        File::open(self.0.join(name))?.read_at(to, at)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.0.join(name))?.len())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(self.0.join(name))?.write_all(bytes)
    }

    fn cut(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.0.join(name))?.set_len(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        File::open(self.0.join(name))?.sync_data()?;
        File::open(&self.0)?.sync_all()
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        replace(&self.0.join(name), bytes)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => File::open(&self.0)?.sync_all(),
        }
    }
}
