// SPDX-License-Identifier: GPL-2.0-only
//! A store that machines share: what one of them has built, the others take from there.
//!
//! An entry is one archive under its key. The archive's SHA-256 is in its name, or is the registry's digest, and is
//! computed anew when it is read: what was altered, cut off, or put under another key is refused, and built here.
//! Writers need no lock: an archive appears whole, and two of one key are as good as each other.

use super::{remove, sha256_file};
use crate::error::{AtPath, Error, Result};
use crate::unpack::ask;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

/// Media types of the OCI image specification. The configuration says what it is, so that nobody runs it.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const CONFIG: &str = "application/vnd.involflt.entry.v1+json";
/// What an entry is called in a layout.
const NAME: &str = "entry";

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A directory that the machines share: NFS.
    Directory(PathBuf),
    /// `HOST/REPOSITORY` of an OCI registry; each entry is a tag.
    Registry(String),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once("://") {
            None if text.is_empty() => Err("a directory, or oci://HOST/REPOSITORY".into()),
            None => Ok(Place::Directory(text.into())),
            Some(("oci", repository)) if repository.trim_end_matches('/').contains('/') => {
                Ok(Place::Registry(repository.trim_end_matches('/').into()))
            }
            Some(_) => Err("expected a directory, or oci://HOST/REPOSITORY".into()),
        }
    }
}

/// As it was given.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Directory(dir) => write!(f, "{}", dir.display()),
            Place::Registry(repository) => write!(f, "oci://{repository}"),
        }
    }
}

/// A shared store, and what was wrong with it.
#[derive(Debug)]
pub struct Shared {
    place: Place,
    complaints: Mutex<Vec<String>>,
}

impl Shared {
    /// The store at a place.
    pub fn new(place: Place) -> Self {
        Shared { place, complaints: Mutex::default() }
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What could not be taken or put since it was asked the last time. It fails nothing: what is not there is built
    /// here.
    pub fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn complain(&self, kind: &str, key: &str, error: &Error) {
        let text = format!("{}: {kind}/{key}: {}", self.place, error.message);
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Makes `path` from the entry, if there is one and it is as it was put.
    pub fn take(&self, kind: &str, key: &str, path: &Path) -> bool {
        let work = path.with_added_extension("taken");
        let taken = self.try_take(kind, key, path, &work);
        match remove(&work).and(taken) {
            Ok(taken) => taken,
            Err(error) => {
                self.complain(kind, key, &error);
                false
            }
        }
    }

    fn try_take(&self, kind: &str, key: &str, path: &Path, work: &Path) -> Result<bool> {
        remove(work)?;
        fs::create_dir(work).at_path(work)?;
        let mut refused = None;
        for archive in self.archives(kind, key, work)? {
            match verify(&archive).and_then(|()| unpack(&archive, path)) {
                Ok(()) => return Ok(true),
                Err(error) => refused = Some(error),
            }
            remove(path)?;
        }
        refused.map_or(Ok(false), Err)
    }

    /// The entry's archives, each named after its hash; those of a registry are copied to `work`.
    fn archives(&self, kind: &str, key: &str, work: &Path) -> Result<Vec<PathBuf>> {
        match &self.place {
            Place::Directory(dir) => {
                let dir = dir.join(kind).join(key);
                if !dir.exists() {
                    return Ok(Vec::new());
                }
                let entries = fs::read_dir(&dir).at_path(&dir)?.collect::<std::io::Result<Vec<_>>>().at_path(&dir)?;
                let is_hash = |path: &PathBuf| path.file_name().is_some_and(|name| name.len() == 64);
                Ok(entries.into_iter().map(|entry| entry.path()).filter(is_hash).collect())
            }
            Place::Registry(repository) => {
                let image = format!("docker://{repository}:{kind}-{key}");
                match skopeo(&image, &format!("oci:{}:{NAME}", work.display()))? {
                    Ok(()) => layers(work),
                    Err(said) if said.contains("manifest unknown") || said.contains("name unknown") => Ok(Vec::new()),
                    Err(said) => Err(Error::infra(said)),
                }
            }
        }
    }

    /// Puts the entry that was made at `path` there, for others.
    pub fn put(&self, kind: &str, key: &str, path: &Path) {
        let work = path.with_added_extension("put");
        let put = self.try_put(kind, key, path, &work);
        if let Err(error) = remove(&work).and(put) {
            self.complain(kind, key, &error);
        }
    }

    fn try_put(&self, kind: &str, key: &str, path: &Path, work: &Path) -> Result<()> {
        remove(work)?;
        let blobs = work.join("blobs/sha256");
        fs::create_dir_all(&blobs).at_path(&blobs)?;
        let archive = work.join("archive");
        pack(path, &archive)?;
        let hash = sha256_file(&archive)?;
        match &self.place {
            Place::Directory(dir) => {
                let dir = dir.join(kind).join(key);
                fs::create_dir_all(&dir).at_path(&dir)?;
                // Under a name that no other writer has, until it is whole.
                let partial = dir.join(format!("{hash}.{}", unique()?));
                fs::copy(&archive, &partial).at_path(&partial)?;
                fs::rename(&partial, dir.join(hash)).at_path(&dir)
            }
            Place::Registry(repository) => {
                layout(work, &archive, &hash)?;
                let image = format!("docker://{repository}:{kind}-{key}");
                skopeo(&format!("oci:{}:{NAME}", work.display()), &image)?.map_err(Error::infra)
            }
        }
    }
}

/// A word that is said only once: machines, and containers of one machine, may have the same process ids.
fn unique() -> Result<String> {
    const UUID: &str = "/proc/sys/kernel/random/uuid";
    Ok(fs::read_to_string(UUID).at_path(UUID)?.trim().to_string())
}

/// An archive that has the hash of its name.
fn verify(archive: &Path) -> Result<()> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    match sha256_file(archive)? == name {
        true => Ok(()),
        false => Err(Error::infra(format!("refused: {} has not the hash of its name", archive.display()))),
    }
}

fn tar(options: &[&str], archive: &Path, path: &Path) -> Result<()> {
    let (dir, name) = (path.parent().unwrap_or(path), path.file_name().unwrap_or_default());
    let mut tar = Command::new("tar");
    tar.arg("--zstd").args(options).arg("--file").arg(archive).arg("--directory").arg(dir).arg("--").arg(name);
    ask(&mut tar)?.map(drop).map_err(|said| Error::infra(format!("refused: {said}")))
}

/// The same bytes for the same files.
fn pack(path: &Path, archive: &Path) -> Result<()> {
    let options = ["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
    tar(&options, archive, path)
}

/// Of the archive only what is called as the path is, which has the key in it: nothing else, and no other entry.
fn unpack(archive: &Path, path: &Path) -> Result<()> {
    tar(&["--extract", "--no-same-owner", "--preserve-permissions"], archive, path)
}

/// Makes `work` an OCI layout with the archive as its only layer.
fn layout(work: &Path, archive: &Path, hash: &str) -> Result<()> {
    let size = fs::metadata(archive).at_path(archive)?.len();
    let blobs = work.join("blobs/sha256");
    fs::rename(archive, blobs.join(hash)).at_path(&blobs)?;
    let write = |path: &Path, text: &str| fs::write(path, text).at_path(path);
    let blob = |text: &str| -> Result<(String, usize)> {
        let file = work.join("blob");
        write(&file, text)?;
        let hash = sha256_file(&file)?;
        fs::rename(&file, blobs.join(&hash)).at_path(&file)?;
        Ok((format!("sha256:{hash}"), text.len()))
    };
    let (config, config_size) = blob("{}")?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config, "size": config_size },
        "layers": [{ "mediaType": LAYER, "digest": format!("sha256:{hash}"), "size": size }],
    });
    let (manifest, manifest_size) = blob(&manifest.to_string())?;
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": MANIFEST,
            "digest": manifest,
            "size": manifest_size,
            "annotations": { "org.opencontainers.image.ref.name": NAME },
        }],
    });
    write(&work.join("index.json"), &index.to_string())?;
    write(&work.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// The archives of a layout: of its blobs, those that are no JSON.
fn layers(work: &Path) -> Result<Vec<PathBuf>> {
    let dir = work.join("blobs/sha256");
    let mut layers = Vec::new();
    for entry in fs::read_dir(&dir).at_path(&dir)? {
        let path = entry.at_path(&dir)?.path();
        if !fs::read(&path).at_path(&path)?.starts_with(b"{") {
            layers.push(path);
        }
    }
    Ok(layers)
}

/// Copies an image. Accounts, certificates and mirrors are those of podman: `podman login`, registries.conf.
fn skopeo(from: &str, to: &str) -> Result<std::result::Result<(), String>> {
    let said = ask(Command::new("timeout").args(["600", "skopeo", "copy", "--quiet", from, to]))?;
    Ok(said.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("involflt-shared-{name}-{}", std::process::id()));
        remove(&dir).unwrap();
        fs::create_dir_all(dir.join("here")).unwrap();
        dir
    }

    /// A shared directory, and in it an entry.
    fn filled(dir: &Path, key: &str) -> Shared {
        let shared = Shared::new(Place::Directory(dir.join("shared")));
        let made = dir.join("here").join(format!("{key}.partial"));
        fs::create_dir_all(&made).unwrap();
        fs::write(made.join("file"), key).unwrap();
        shared.put("results", key, &made);
        remove(&made).unwrap();
        shared
    }

    fn archive(dir: &Path, key: &str) -> PathBuf {
        let dir = dir.join("shared/results").join(key);
        fs::read_dir(dir).unwrap().next().unwrap().unwrap().path()
    }

    #[test]
    fn what_one_has_put_another_takes() {
        let dir = scratch("taken");
        let shared = filled(&dir, "a");
        let path = dir.join("here/a.partial");
        assert!(shared.take("results", "a", &path));
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "a");
        assert!(!shared.take("results", "b", &dir.join("here/b.partial")));
        assert_eq!(shared.complaints(), [""; 0]);
        remove(&dir).unwrap();
    }

    #[test]
    fn what_was_altered_or_is_another_entry_is_refused() {
        let dir = scratch("refused");
        let shared = filled(&dir, "a");
        filled(&dir, "b");
        fs::remove_file(archive(&dir, "a")).unwrap();
        let other = archive(&dir, "b");
        fs::copy(&other, dir.join("shared/results/a").join(other.file_name().unwrap())).unwrap();
        let mut bytes = fs::read(&other).unwrap();
        bytes[20] ^= 1;
        fs::write(&other, bytes).unwrap();
        for key in ["a", "b"] {
            assert!(!shared.take("results", key, &dir.join("here").join(format!("{key}.partial"))));
            let complaints = shared.complaints();
            assert!(complaints[0].contains("refused"), "{complaints:?}");
        }
        assert_eq!(fs::read_dir(dir.join("here")).unwrap().count(), 0);
        remove(&dir).unwrap();
    }

    #[test]
    fn writers_of_the_same_and_of_other_entries_do_not_disturb_each_other() {
        let dir = scratch("writers");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let dir = dir.join(number.to_string());
                let top = dir.parent().unwrap().join("shared");
                scope.spawn(move || {
                    let shared = Shared::new(Place::Directory(top));
                    // Not all builds of one key give the same bytes.
                    for (key, text) in [("k", (number % 2).to_string()), (&format!("k{number}"), number.to_string())] {
                        let made = dir.join(format!("{key}.partial"));
                        fs::create_dir_all(&made).unwrap();
                        fs::write(made.join("file"), &text).unwrap();
                        shared.put("results", key, &made);
                        remove(&made).unwrap();
                        assert!(shared.take("results", key, &made));
                        let taken = fs::read_to_string(made.join("file")).unwrap();
                        assert!(if key == "k" { ["0", "1"].contains(&&*taken) } else { taken == text });
                    }
                    assert_eq!(shared.complaints(), [""; 0]);
                });
            }
        });
        assert_eq!(fs::read_dir(dir.join("shared/results/k")).unwrap().count(), 2);
        remove(&dir).unwrap();
    }

    #[test]
    fn a_place_is_a_directory_or_a_repository() {
        assert_eq!("/nfs/store".parse(), Ok(Place::Directory("/nfs/store".into())));
        assert_eq!("oci://host:5000/farm/store/".parse(), Ok(Place::Registry("host:5000/farm/store".into())));
        for wrong in ["", "oci://host", "oci://host/", "http://host/x"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
