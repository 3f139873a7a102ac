// SPDX-License-Identifier: GPL-2.0-only
//! The content-addressed store outside the work tree: packages, KDIRs, build roots, results.
//!
//! An entry is made under a temporary name and renamed into place while its lock is held, so a reader sees it whole or
//! not at all, and two runs at once make it once.

mod shared;

pub use shared::{Place as SharedPlace, Shared};

use crate::credentials::{self, Access};
use crate::error::{AtPath, Error, Kind, Result};
use crate::fetch::{self, Channel, Patience, Size, Way};
use crate::lock::LockedPackage;
use crate::mirrors;
use crate::rpm_signature::Signers;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Downloads with the host's own proxies, mirrors' certificates and `Acquire::*` settings.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// What is said of a package that has left its archive.
pub const GONE: &str = "in the lock, gone from the archive: run resolve";

/// Where a package comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Base URL of the archive; of rpms as [`mirrors::each`] reads it.
    pub archive: &'a str,
    /// Whose signature an rpm must have; debs are believed for their checksum, which a signed index has.
    pub signers: Option<Signers<'a>>,
}

/// A directory that any number of runs share.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    shared: Option<Arc<Shared>>,
}

impl Store {
    /// Opens the store at `dir`, or at `$XDG_CACHE_HOME/involflt`, or at `~/.cache/involflt`, and makes it where needed.
    pub fn open(dir: Option<&Path>) -> Result<Store> {
        let root = match dir {
            Some(dir) => dir.to_path_buf(),
            None => default_dir()?,
        };
        fs::create_dir_all(&root).at_path(&root)?;
        let root = root.canonicalize().at_path(&root)?;
        Ok(Store { root, shared: None })
    }

    /// The same store, which takes from a shared one what it does not have, and gives to that one what it makes.
    pub fn sharing(self, place: Option<SharedPlace>) -> Store {
        Store { shared: place.map(|place| Arc::new(Shared::new(place))), ..self }
    }

    /// Where the shared store is, if there is one.
    pub fn shared_place(&self) -> Option<&SharedPlace> {
        self.shared.as_ref().map(|shared| shared.place())
    }

    /// What was wrong with the shared store since this was asked the last time.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.as_ref().map(|shared| shared.complaints()).unwrap_or_default()
    }

    /// Where the store is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of one kind of entry: `packages`, `kdirs`, `roots`, `core`, `results`, `facts`, `apt`. It may be a link, to
    /// another disk perhaps; containers want to know where it leads.
    pub fn kind(&self, kind: &str) -> Result<PathBuf> {
        let dir = self.root.join(kind);
        fs::create_dir_all(&dir).at_path(&dir)?;
        dir.canonicalize().at_path(&dir)
    }

    /// Holds the store against garbage collection for as long as the result lives.
    pub fn in_use(&self) -> Result<File> {
        let lock = self.lock_file("store")?;
        lock.lock_shared().at_path(&self.root)?;
        Ok(lock)
    }

    /// The lock behind [`Self::in_use`]; whoever holds it alone may delete entries.
    pub fn lock_file(&self, name: &str) -> Result<File> {
        let path = self.kind("locks")?.join(name);
        File::options().create(true).write(true).truncate(false).open(&path).at_path(&path)
    }

    /// The entry `kind/key`, made by `make` where it is not there yet.
    ///
    /// `make` gets a path that does not exist and leaves a file or a directory there; when it fails nothing is kept.
    pub fn entry(&self, kind: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let dir = self.kind(kind)?;
        let path = dir.join(key);
        let lock = self.lock_file(&format!("{kind}-{key}"))?;
        // When the entry was last asked for is what garbage collection goes by. Somebody else's store may refuse it.
        let _ = lock.set_modified(std::time::SystemTime::now());
        if path.exists() {
            return Ok(path);
        }
        lock.lock().at_path(&path)?;
        if path.exists() {
            return Ok(path);
        }
        let partial = dir.join(format!("{key}.partial"));
        remove(&partial)?;
        if let Err(error) = make(&partial) {
            remove(&partial)?;
            return Err(error);
        }
        fs::rename(&partial, &path).at_path(&path)?;
        Ok(path)
    }

    /// As [`Self::entry`], for what is worth to be had from another machine: what is long in the making and short on the way.
    pub fn shared_entry(&self, kind: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let Some(shared) = &self.shared else { return self.entry(kind, key, make) };
        self.entry(kind, key, |partial| {
            if !shared.take(kind, key, partial) {
                make(partial)?;
                shared.put(kind, key, partial);
            }
            Ok(())
        })
    }

    /// The package's file, downloaded and verified where it is not there yet.
    ///
    /// An rpm needs a good signature of its own, whatever its index says of it. A package that its archive has no longer is that kernel's failure; every other failure is the machine's.
    pub fn package(&self, package: &LockedPackage, origin: Origin<'_>, offline: bool) -> Result<PathBuf> {
        let name = file_name(package);
        let dir = self.entry("packages", &package.sha256, |partial| {
            if offline {
                return Err(Error::infra(format!("{}: not in the store, and --offline was given", package.name))
                    .note("run the same command without --offline once"));
            }
            fs::create_dir_all(partial).at_path(partial)?;
            download(package, origin, &partial.join(name))
        })?;
        let path = dir.join(name);
        verify(package, &path)?;
        Ok(path)
    }
}

fn default_dir() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("involflt"))
        .ok_or_else(|| {
            Error::input("neither HOME nor XDG_CACHE_HOME is set").note("say where the store is: --store DIR")
        })
}

/// Removes a file or a whole directory, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    let outcome = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at_path(path),
        _ => Ok(()),
    }
}

fn file_name(package: &LockedPackage) -> &str {
    package.path.rsplit('/').next().unwrap_or(&package.name)
}

fn download(package: &LockedPackage, origin: Origin<'_>, to: &Path) -> Result<()> {
    let archive = origin.archive;
    if package.path.ends_with(".rpm") {
        return download_rpm(package, origin, to);
    }
    // apt-helper knows no lists: apt's mirror method wants to know the source that a file is of.
    match archive.strip_prefix("mirror+") {
        None => download_deb(package, archive, to),
        Some(list) => {
            let (list, scratch) = (format!("mirrorlist+{list}"), to.with_added_extension("mirrors"));
            mirrors::each(&list, &scratch, (Patience::INDEX, Channel::Any), |mirror| {
                download_deb(package, &mirror.url, to)
            })
        }
    }
}

fn download_deb(package: &LockedPackage, archive: &str, to: &Path) -> Result<()> {
    let url = format!("{}/{}", archive.trim_end_matches('/'), package.path);
    // apt bounds neither what an archive sends nor how long that takes.
    let output = Command::new("timeout")
        .args([&Patience::PACKAGE.whole.to_string(), "prlimit", &format!("--fsize={}", package.size), APT_HELPER])
        .args(["-o", "Acquire::Retries=3"])
        .args(credentials::apt_options()?)
        .args(["download-file", &url])
        .arg(to)
        .arg(format!("SHA256:{}", package.sha256))
        .output()
        .at_path(APT_HELPER)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Warnings are about how it was tried.
    let said = said.lines().filter(|line| !line.starts_with("W:")).collect::<Vec<_>>().join("\n");
    // SIGXFSZ, of prlimit's bound.
    let said = if said.contains("received signal 25") { "it is longer than its index says".into() } else { said };
    if said.contains("404") {
        return Err(Error::kernel(format!("{} {}: {GONE}", package.name, package.version)).note("cargo xtask resolve"));
    }
    Err(Error::infra(format!("{url}: {said}")).note("the download is tried anew by the next run"))
}

/// apt knows nothing of the credentials and of the bounds that repositories of rpms need.
fn download_rpm(package: &LockedPackage, origin: Origin<'_>, to: &Path) -> Result<()> {
    let signers = origin.signers.ok_or_else(|| {
        Error::input(format!("{} is an rpm, and the lock has it of a distribution that has none", package.name))
            .note("write the lock anew: cargo xtask resolve")
    })?;
    let scratch = to.with_added_extension("mirrors");
    let fetched = mirrors::each(origin.archive, &scratch, (Patience::INDEX, Channel::Any), |mirror| {
        fetch_rpm(package, &format!("{}/{}", mirror.url, package.path), signers, to)
    });
    fetched.map_err(|error| match error.kind {
        Kind::Kernel => {
            Error::kernel(format!("{} {}: {GONE}", package.name, package.version)).note("cargo xtask resolve")
        }
        _ => error,
    })
}

fn fetch_rpm(package: &LockedPackage, url: &str, signers: Signers<'_>, to: &Path) -> Result<()> {
    // Anybody may have sent it: checksum and signature tell.
    let way = Way { access: &Access::to(url)?, patience: Patience::PACKAGE, channel: Channel::Any };
    fetch::get(url, to, Size::Exactly(package.size), way)?;
    if sha256_file(to)? == package.sha256 {
        return signers.check(to, &to.with_added_extension("keys")).map_err(|error| error.at(url));
    }
    Err(Error::infra(format!("{url}: its bytes are not those that its index has the checksum of"))
        .note("a mirror in the middle of an update: try again, or name another one"))
}

/// A file that was altered after it came is thrown out by name, never used.
fn verify(package: &LockedPackage, path: &Path) -> Result<()> {
    let size = fs::metadata(path).at_path(path)?.len();
    if size == package.size && sha256_file(path)? == package.sha256 {
        return Ok(());
    }
    Err(Error::infra(format!("{}: its bytes are not those of {} {}", path.display(), package.name, package.version))
        .note(format!("remove {} and run the command again", path.parent().unwrap_or(path).display())))
}

/// SHA-256 of a file, lower-case hexadecimal.
pub fn sha256_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).at_path(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut buffer).at_path(path)?;
        if length == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&buffer[..length]);
    }
}

/// A key that depends on every part and on where one part ends.
pub fn key<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())[..32].to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Store {
        let dir = std::env::temp_dir().join(format!("involflt-store-{name}-{}", std::process::id()));
        remove(&dir).unwrap();
        Store::open(Some(&dir)).unwrap()
    }

    #[test]
    fn a_failed_entry_leaves_nothing_and_is_made_by_the_next() {
        let store = scratch("failed");
        let failed = store.entry("results", "k", |path| {
            fs::write(path, "half").at_path(path)?;
            Err(Error::infra("cut off"))
        });
        assert!(failed.is_err());
        let path = store.entry("results", "k", |path| fs::write(path, "whole").at_path(path)).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "whole");
        remove(store.root()).unwrap();
    }

    #[test]
    fn two_makers_at_once_make_it_once() {
        let store = scratch("twice");
        let made = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    store.entry("results", "k", |path| {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        fs::write(path, "x").at_path(path)
                    })
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
        remove(store.root()).unwrap();
    }

    #[test]
    fn keys_know_where_a_part_ends() {
        assert_ne!(key(["ab", "c"]), key(["a", "bc"]));
        assert_eq!(key(["ab", "c"]), key(["ab", "c"]));
    }

    #[test]
    fn an_altered_package_is_refused_by_name() {
        let store = scratch("altered");
        let package = LockedPackage {
            role: crate::lock::Role::Kdir,
            name: "linux-headers-x".into(),
            version: "1".into(),
            path: "pool/x_1_amd64.deb".into(),
            size: 4,
            sha256: "00".repeat(32),
        };
        let dir = store.kind("packages").unwrap().join(&package.sha256);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("x_1_amd64.deb"), "evil").unwrap();
        let error =
            store.package(&package, Origin { archive: "http://archive.invalid", signers: None }, true).unwrap_err();
        assert!(error.message.contains("linux-headers-x 1"), "{error}");
        remove(store.root()).unwrap();
    }

    #[test]
    fn offline_and_missing_says_so() {
        let store = scratch("offline");
        let package = LockedPackage {
            role: crate::lock::Role::Kdir,
            name: "linux-headers-y".into(),
            version: "1".into(),
            path: "pool/y_1_amd64.deb".into(),
            size: 4,
            sha256: "11".repeat(32),
        };
        let error =
            store.package(&package, Origin { archive: "http://archive.invalid", signers: None }, true).unwrap_err();
        assert!(error.message.contains("linux-headers-y") && error.message.contains("--offline"), "{error}");
        remove(store.root()).unwrap();
    }
}
