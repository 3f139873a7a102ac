// SPDX-License-Identifier: GPL-2.0-only
//! A replica of a disk: in a block device, a sparse file, or an export of an NBD server; with a journal or without.

use super::chain::{Chain, Progress};
use super::sink::{Sink, Tag};
use super::store::{Kind, Local, Store};
use crate::disk::{Disk, path_of};
use crate::error::{Error, Result};
use crate::journal::{self, Directory, Journal};
use crate::nbd::{Export, Uri};
use nix::libc::O_EXCL;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where it is kept what replicas in block devices and exports have, in `replicas`. `STATE_DIRECTORY`, which systemd gives
/// services, takes its place.
const STATES: &str = "/var/lib/involflt";

/// Bytes at both ends of a target in which data is looked for.
const LOOKED_AT: u64 = 1 << 20;

/// A replica of a disk.
pub struct Replica {
    name: String,
    store: Box<dyn Store>,
    chain: Chain,
    journal: Option<Journal<Directory>>,
    /// Locked as long as this is open.
    _lock: File,
}

/// What may be done to what is at the replica's place and is no replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Nothing, unless it is all zeroes where that is looked for.
    No,
    /// It goes.
    Yes,
}

/// A journal's directory, and bytes that the journal takes at most.
pub type JournalAt<'a> = (&'a Path, u64);

/// What a replica is to be of.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Persistent name of the disk.
    pub disk: &'a str,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Replica {
    /// Opens or makes the replica of a disk: a block device that is at least as large and that nobody uses, an export as
    /// large, or a file, which gets the disk's size. With a journal, or without one.
    ///
    /// Fails with [`crate::error::Kind::Input`] for what cannot be a replica, for what has another journal, and, without
    /// `overwrite`, for what holds something else.
    pub fn open(name: &str, source: Source<'_>, overwrite: Overwrite, journal: Option<JournalAt<'_>>) -> Result<Self> {
        let mut replica = Self::find(name, source, overwrite)?;
        replica.journal = replica.kept_journal(source, journal)?;
        if replica.journal.as_ref().is_some_and(Journal::is_set_back) {
            let dir = replica.chain.journal().unwrap_or(Path::new("")).display().to_string();
            let name = &replica.name;
            return Err(Error::input(format!("{name}: is set back to a tag")).note(format!(
                "`involfltctl apply {dir} {name}` sets it to the present again, if nothing else has written to it"
            )));
        }
        replica.chain.note_set_back(false)?;
        replica.store.resize(source.bytes).map_err(|error| about(&replica.name, &error))?;
        Ok(replica)
    }

    /// Sets a replica to the beginning of a segment of its journal, or to the present. Nothing else may have written to it.
    pub fn set(name: &str, dir: &Path, segment: Option<u64>) -> Result<()> {
        let dir = real_directory(dir)?;
        let about = |error: Error| error.within(&dir.display().to_string());
        let no_journal = || Error::input(format!("{}: has no journal in it", dir.display()));
        let (disk, bytes) = journal::identity(&Directory::new(dir.clone())).map_err(about)?.ok_or_else(no_journal)?;
        let source = Source { disk: &disk, bytes };
        let mut replica = Self::find(name, source, Overwrite::No)?;
        if replica.chain.journal() != Some(&dir) {
            return Err(Error::input(format!("{}: is not the journal of {}", dir.display(), replica.name)));
        }
        let mut journal = Journal::open(Directory::new(dir.clone()), &disk, bytes, u64::MAX).map_err(about)?;
        replica.chain.note_set_back(true)?;
        journal.set(&mut *replica.store, segment).map_err(|error| error.within(&replica.name))?;
        replica.chain.note_set_back(journal.is_set_back())
    }

    /// A place that may be a replica, and that nobody else has open as one.
    fn find(name: &str, source: Source<'_>, overwrite: Overwrite) -> Result<Self> {
        if let Some(uri) = Uri::parse(name) {
            let uri = uri.map_err(|cause| Error::input(format!("{name}: {cause}")))?;
            return Self::export(name, &uri, source, overwrite);
        }
        let path = target_path(name);
        match fs::metadata(&path) {
            Ok(status) if status.file_type().is_block_device() => Self::device(&path, source, overwrite),
            Ok(status) if !status.is_file() => {
                Err(Error::input(format!("{}: is neither a block device nor a file", path.display())))
            }
            _ => Self::file(&path, source, overwrite),
        }
    }

    fn device(path: &Path, source: Source<'_>, overwrite: Overwrite) -> Result<Self> {
        let name = path.display().to_string();
        let target = Disk::find(&name)?;
        if target.persistent_name == source.disk {
            return Err(Error::input(format!("{name}: is the disk itself")));
        }
        check_room(&name, target.bytes, source)?;
        // O_EXCL without O_CREAT: nobody else may have it mounted or in a RAID.
        let file = OpenOptions::new().read(true).write(true).custom_flags(O_EXCL).open(path);
        let file =
            file.map_err(|error| about(&name, &error).note("a replica's device must not be in use: see `lsblk`"))?;
        let state = states().join(format!("{}.json", target.persistent_name));
        Self::local(name, file, Kind::Device, state, source, overwrite)
    }

    fn file(path: &Path, source: Source<'_>, overwrite: Overwrite) -> Result<Self> {
        let name = path.display().to_string();
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| about(&name, &error))?;
        let mut state: OsString = path.into();
        state.push(".involflt.json");
        Self::local(name, file, Kind::File, state.into(), source, overwrite)
    }

    fn local(
        name: String,
        file: File,
        kind: Kind,
        state: PathBuf,
        source: Source<'_>,
        overwrite: Overwrite,
    ) -> Result<Self> {
        let lock = locked(&name, file.try_clone())?;
        let (chain, known) = Chain::read(state, source)?;
        check_empty(&name, known, overwrite, || holds_data(&file))?;
        Ok(Replica { name, store: Box::new(Local::new(file, kind)), chain, journal: None, _lock: lock })
    }

    fn export(name: &str, uri: &Uri, source: Source<'_>, overwrite: Overwrite) -> Result<Self> {
        let states = states();
        fs::create_dir_all(&states).map_err(|error| about(&states.display().to_string(), &error))?;
        let state = states.join(name.replace('%', "%25").replace('/', "%2F"));
        let lock = locked(name, File::create(with_ending(&state, ".lock")))?;
        let (chain, known) = Chain::read(with_ending(&state, ".json"), source)?;
        let mut export = Export::connect(uri).map_err(|error| about(name, &error))?;
        check_room(name, export.bytes(), source)?;
        check_empty(name, known, overwrite, || export_holds_data(&mut export, source.bytes))?;
        Ok(Replica { name: name.into(), store: Box::new(export), chain, journal: None, _lock: lock })
    }

    /// The journal to go on with, or to begin. Whatever is written past a journal makes it worthless, so a replica that has one
    /// is not opened without it.
    fn kept_journal(
        &mut self,
        source: Source<'_>,
        journal: Option<JournalAt<'_>>,
    ) -> Result<Option<Journal<Directory>>> {
        let kept = self.chain.journal().filter(|dir| dir.join(journal::STATE).exists()).map(Path::to_path_buf);
        if kept.is_none() && self.chain.is_set_back() {
            // Without its journal it cannot come to the present.
            self.chain.note(Progress::Nothing)?;
        }
        let Some((dir, limit)) = journal else {
            return match kept {
                Some(kept) => Err(self.has_journal(&kept)),
                None => self.chain.set_journal(None).map(|()| None),
            };
        };
        let dir = real_directory(dir)?;
        if let Some(other) = kept.as_ref().filter(|kept| **kept != dir) {
            return Err(self.has_journal(other));
        }
        let journal = Journal::open(Directory::new(dir.clone()), source.disk, source.bytes, limit)
            .map_err(|error| error.within(&dir.display().to_string()))?;
        if kept.is_none() && !journal.is_empty() {
            return Err(Error::input(format!("{}: is not the journal of {}", dir.display(), self.name))
                .note("name another directory, or remove this one: its tags go with it"));
        }
        self.chain.set_journal(Some(&dir))?;
        Ok(Some(journal))
    }

    fn has_journal(&self, kept: &Path) -> Error {
        let kept = kept.display();
        Error::input(format!("{}: has a journal in {kept}", self.name))
            .note(format!("`--journal {kept}` goes on with it; to give its tags up, remove that directory"))
    }

    /// Forgets what the replica has: it is to be copied anew, or is not to be followed by anything.
    pub fn forget(&mut self) -> Result<()> {
        self.chain.note(Progress::Nothing)
    }
}

impl Sink for Replica {
    fn progress(&self) -> Progress {
        self.chain.progress()
    }

    fn data(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        match &mut self.journal {
            None => self.store.write(offset, data).map_err(|error| about(&self.name, &error)),
            Some(journal) => journal.data(&mut *self.store, offset, data).map_err(|error| error.within(&self.name)),
        }
    }

    fn zeroes(&mut self, offset: u64, bytes: u64) -> Result<()> {
        match &mut self.journal {
            None => self.store.zero(offset, bytes).map_err(|error| about(&self.name, &error)),
            Some(journal) => journal.zeroes(&mut *self.store, offset, bytes).map_err(|error| error.within(&self.name)),
        }
    }

    /// A replica is at the present: without a journal, a tag leaves nothing in it.
    fn tag(&mut self, tag: &Tag) -> Result<()> {
        match &mut self.journal {
            None => Ok(()),
            Some(journal) => journal.tag(&mut *self.store, tag).map_err(|error| error.within(&self.name)),
        }
    }

    fn sync(&mut self, progress: Progress) -> Result<()> {
        match &mut self.journal {
            None => self.store.sync().map_err(|error| about(&self.name, &error))?,
            Some(journal) => journal.sync(&mut *self.store).map_err(|error| error.within(&self.name))?,
        }
        self.chain.note(progress)
    }
}

/// The path of a target: a kernel name is a disk where there is one of that name, else a file here.
pub(crate) fn target_path(name: &str) -> PathBuf {
    let device = path_of(name);
    if device.exists() { device } else { PathBuf::from(name) }
}

fn states() -> PathBuf {
    let directory = std::env::var_os("STATE_DIRECTORY").unwrap_or_else(|| STATES.into());
    Path::new(&directory).join("replicas")
}

/// A directory's path without links, wherever it is looked at from. It is made if need be.
fn real_directory(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir)
        .and_then(|()| fs::canonicalize(dir))
        .map_err(|error| about(&dir.display().to_string(), &error))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path: OsString = path.into();
    path.push(ending);
    path.into()
}

fn locked(name: &str, file: io::Result<File>) -> Result<File> {
    let file = file.map_err(|error| about(name, &error))?;
    file.try_lock().map_err(|_| {
        Error::failed(format!("{name}: another program has it locked"))
            .note("one replication at a time: see `ps -C involfltctl`")
    })?;
    Ok(file)
}

fn check_room(name: &str, room: u64, source: Source<'_>) -> Result<()> {
    match room < source.bytes {
        true => Err(Error::input(format!("{name}: has {room} bytes, and the disk {}", source.bytes))),
        false => Ok(()),
    }
}

fn check_empty(
    name: &str,
    known: bool,
    overwrite: Overwrite,
    has_data: impl FnOnce() -> io::Result<bool>,
) -> Result<()> {
    if !known && overwrite == Overwrite::No && has_data().map_err(|error| about(name, &error))? {
        return Err(Error::input(format!("{name}: holds data, and is not known as a replica"))
            .note("`--overwrite`, of `replicate` and `apply`, overwrites it"));
    }
    Ok(())
}

fn about(name: &str, error: &io::Error) -> Error {
    Error::of_io(error).within(name)
}

fn export_holds_data(export: &mut Export, bytes: u64) -> io::Result<bool> {
    let mut piece = vec![0; LOOKED_AT.min(bytes) as usize];
    let mut holds = false;
    for offset in [0, bytes - piece.len() as u64] {
        export.read(offset, &mut piece)?;
        holds |= piece.iter().any(|&byte| byte != 0);
    }
    Ok(holds)
}

/// Whether there is something but zeroes in the first or the last MiB.
fn holds_data(mut file: &File) -> io::Result<bool> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut holds = false;
    for start in [0, end.saturating_sub(LOOKED_AT)] {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        file.take(LOOKED_AT).read_to_end(&mut bytes)?;
        holds |= bytes.iter().any(|&byte| byte != 0);
    }
    // A file that is no image may be shorter, or full of zeroes that somebody allocated: they are somebody's.
    Ok(holds || (file.metadata()?.is_file() && file.metadata()?.blocks() > 0))
}
