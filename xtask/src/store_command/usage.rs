// SPDX-License-Identifier: GPL-2.0-only
//! How much room the store takes.

use crate::error::{AtPath, Result};
use crate::store::Store;
use serde::Serialize;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The unit of `st_blocks`, whatever the file system's own block size.
const BLOCK: u64 = 512;

/// Room by kind of entry.
#[derive(Debug, Serialize)]
pub struct Usage {
    /// The store's directory.
    pub store: String,
    /// One for each kind that there is, by name.
    pub kinds: Vec<Kind>,
    /// Directories, as those of another user, whose contents could not be counted.
    pub unreadable: u64,
}

/// One kind of entry.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Kind {
    /// `packages`, `kdirs`…
    pub kind: String,
    /// How many entries there are.
    pub entries: usize,
    /// Room on the disk, in bytes.
    pub bytes: u64,
}

/// Room that a tree takes.
#[derive(Debug, Default, Clone, Copy)]
pub struct Size {
    /// On the disk, in bytes.
    pub bytes: u64,
    /// Directories that could not be looked into.
    pub unreadable: u64,
}

impl Usage {
    /// Measures a store.
    pub fn of(store: &Store) -> Result<Usage> {
        let mut usage = Usage { store: store.root().display().to_string(), kinds: Vec::new(), unreadable: 0 };
        for name in names(store.root())? {
            let path = store.root().join(&name);
            if !path.is_dir() {
                continue;
            }
            let size = size(&path)?;
            usage.unreadable += size.unreadable;
            usage.kinds.push(Kind { kind: name, entries: names(&path)?.len(), bytes: size.bytes });
        }
        Ok(usage)
    }

    /// The table for people.
    pub fn table(&self) -> String {
        let mut text = format!("{:<12} {:>7} {:>10}\n", "KIND", "ENTRIES", "SIZE");
        for kind in &self.kinds {
            text += &format!("{:<12} {:>7} {:>10}\n", kind.kind, kind.entries, human(kind.bytes));
        }
        let total = self.kinds.iter().map(|kind| kind.bytes).sum();
        text += &format!("{:<12} {:>7} {:>10}  {}\n", "total", "", human(total), self.store);
        if self.unreadable > 0 {
            text += &format!("{} directories of other users are not counted\n", self.unreadable);
        }
        text
    }
}

/// The names in a directory, sorted.
pub fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).at_path(dir)? {
        names.push(entry.at_path(dir)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// Room that a file or a whole directory takes; what another run removes meanwhile takes none.
pub fn size(path: &Path) -> Result<Size> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Size::default()),
        other => other.at_path(path)?,
    };
    let mut total = Size { bytes: meta.blocks() * BLOCK, unreadable: 0 };
    if !meta.is_dir() {
        return Ok(total);
    }
    match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) if error.kind() == ErrorKind::PermissionDenied => total.unreadable += 1,
        other => {
            for entry in other.at_path(path)? {
                let inner = size(&entry.at_path(path)?.path())?;
                total.bytes += inner.bytes;
                total.unreadable += inner.unreadable;
            }
        }
    }
    Ok(total)
}

/// `4.6 GiB`.
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        assert_eq!(human(0), "0.0 KiB");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(1 << 20), "1.0 MiB");
        assert_eq!(human(5 << 30), "5.0 GiB");
    }

    #[test]
    fn kinds_are_counted_with_their_room() {
        let dir = std::env::temp_dir().join(format!("involflt-usage-{}", std::process::id()));
        let store = Store::open(Some(&dir)).unwrap();
        let entry = store.kind("packages").unwrap().join("abc");
        fs::create_dir(&entry).unwrap();
        fs::write(entry.join("x.deb"), vec![1; 100_000]).unwrap();
        let usage = Usage::of(&store).unwrap();
        crate::store::remove(&dir).unwrap();
        assert_eq!(usage.kinds.len(), 1);
        assert_eq!((usage.kinds[0].kind.as_str(), usage.kinds[0].entries), ("packages", 1));
        assert!(usage.kinds[0].bytes >= 100_000, "{usage:?}");
        assert!(usage.table().contains("packages           1"), "{}", usage.table());
    }
}
