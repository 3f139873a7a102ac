// SPDX-License-Identifier: GPL-2.0-only
//! A repository that lies, in every way that it can: each lie is a named error in bounded time and memory, and nothing of
//! it comes into the store.

mod apt;
mod mirrors;

use super::fixture::{done, sign};
use super::{Outcome, text};
use crate::fetch::Patience;
use crate::kernels::Trust;
use crate::lock::{LockedPackage, Role};
use crate::resolve::rpm_md::{Package, Repository};
use crate::rpm_signature::Signers;
use crate::sign::ArchiveKey;
use crate::store::{Origin, Store, remove, sha256_file};
use crate::test::Tally;
use crate::test::server::Server;
use crate::test::stranger::Stranger;
use crate::usage::peak_memory_kib;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Short, so that a stalling mirror costs the test seconds.
const PATIENCE: Patience = Patience { stall: 2, whole: 20 };
/// No lie may cost more.
const LONGEST: Duration = Duration::from_secs(15);
/// Kilobytes that the resolver may take on top of what it has, whatever it is given.
const MEMORY: u64 = 64 * 1024;

/// What is done to a copy of the repository.
type Lie = fn(&Bench<'_>, &Path) -> Result<(), String>;

struct Bench<'a> {
    key: &'a ArchiveKey,
    stranger: Stranger,
    work: &'a Path,
    server: Server,
    truth: &'a Path,
    /// Binary; that of the whole pipelines is armoured.
    keyring: PathBuf,
}

/// Runs the tests; `truth` is a good repository, and `apt` a good archive for apt.
pub fn run(work: &Path, [truth, apt]: &[PathBuf; 2], key: &ArchiveKey, tally: &mut Tally, again: &str) {
    let bench = match Bench::new(work, truth, key) {
        Ok(bench) => bench,
        Err(error) => return tally.check("hostile archives", Err(error), again),
    };
    let lies: [(&str, &str, Lie); 13] = [
        ("an index with another hash", "another checksum|not those that", altered_index),
        ("a signature of a stranger", "not trusted", strangers),
        ("an altered repomd.xml", "not of these bytes", altered_repomd),
        ("no signature", "does not have it", unsigned),
        ("an index that is cut off", "cut off", truncated),
        ("an index that is longer than signed", "longer than", oversized),
        ("an endless repomd.xml", "longer than", |_, dir| behave(dir, "endless")),
        ("a decompression bomb", "a decompression bomb", |bench, dir| bomb(bench, dir, Some(1000))),
        ("a decompression bomb of unsaid size", "an element of more than", |bench, dir| bomb(bench, dir, None)),
        ("an index at ../..", "no path below", |bench, dir| edit(bench, dir, "href=\"repodata/", "href=\"../../")),
        ("a package at ../..", "no path below", traversal),
        ("a circle of redirects", "leads in a circle", |_, dir| behave(dir, "loop")),
        ("a mirror that stalls", "stalls", |_, dir| behave(dir, "stall")),
    ];
    for (index, (name, words, lie)) in lies.into_iter().enumerate() {
        tally.check(&format!("hostile archive: {name}"), bench.refused(index, words, lie), again);
    }
    tally.check("archive: gz, xz and zst", bench.formats(), again);
    tally.check("hostile archive: packages", bench.packages(), again);
    mirrors::run(&bench, tally, again);
    apt::run(&bench, apt, tally, again);
}

impl<'a> Bench<'a> {
    fn new(work: &'a Path, truth: &'a Path, key: &'a ArchiveKey) -> Result<Self, String> {
        fs::create_dir_all(work.join("served")).map_err(text)?;
        let server = Server::start(&work.join("served"))?;
        let keyring = work.join("key.gpg");
        fs::write(&keyring, key.public().map_err(text)?).map_err(text)?;
        let stranger = Stranger::new(&work.join("stranger")).map_err(text)?;
        Ok(Bench { key, stranger, work, server, truth, keyring })
    }

    /// A copy of the good repository's index, under a name of its own.
    fn copy(&self, name: &str) -> Result<PathBuf, String> {
        let dir = self.work.join("served").join(name);
        fs::create_dir_all(&dir).map_err(text)?;
        done(Command::new("cp").arg("-a").arg(self.truth.join("repodata")).arg(&dir))?;
        Ok(dir)
    }

    fn store(&self, name: &str) -> Result<Store, String> {
        Store::open(Some(&self.work.join("stores").join(name))).map_err(text)
    }

    fn repository<'s>(&self, name: &str, store: &'s Store) -> Repository<'s> {
        self.repository_at(format!("{}/{name}", self.server.url), store)
    }

    fn repository_at<'s>(&self, url: String, store: &'s Store) -> Repository<'s> {
        let (trust, keyring) = (Trust::Repomd, self.keyring.clone());
        Repository { url, trust, keyring, keyring_package: "a stand-in", patience: PATIENCE, store }
    }

    fn origin<'o>(&'o self, archive: &'o str) -> Origin<'o> {
        Origin { archive, signers: Some(Signers { keyring: &self.keyring, keyring_package: "a stand-in" }) }
    }

    fn refused(&self, index: usize, words: &str, lie: Lie) -> Outcome {
        let name = format!("lie-{index}");
        let dir = self.copy(&name)?;
        lie(self, &dir)?;
        let said = self.bounded(&name, format!("{}/{name}", self.server.url), words);
        remove(&dir).map_err(text)?;
        said
    }

    /// The repository at an address is refused with one of `words`, within bounds, and nothing of it is kept.
    fn bounded(&self, name: &str, address: String, words: &str) -> Outcome {
        let store = self.store(name)?;
        // Asks the kernel to begin the peak of this process anew: proc(5), clear_refs.
        fs::write("/proc/self/clear_refs", "5").map_err(text)?;
        let before = peak_memory_kib().map_err(text)?;
        let start = Instant::now();
        let repository = self.repository_at(address, &store);
        let outcome = repository.update().and_then(|()| repository.packages());
        let (took, grown) = (start.elapsed(), peak_memory_kib().map_err(text)?.saturating_sub(before));
        let error = outcome.err().ok_or("it was believed")?;
        if !words.split('|').any(|words| error.message.contains(words)) {
            return Err(format!("it did not say `{words}`: {}", error.message));
        }
        if took > LONGEST || grown > MEMORY {
            return Err(format!("it took {} s and {grown} kB", took.as_secs()));
        }
        nothing_in(&store)?;
        Ok(error.message)
    }

    /// The same packages out of each compression.
    fn formats(&self) -> Outcome {
        let text_of = fs::read(self.plain()?).map_err(text)?;
        let mut found: Vec<Vec<Package>> = Vec::new();
        for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
            let dir = self.copy(ending)?;
            let file = self.work.join("primary.xml");
            fs::write(&file, &text_of).map_err(text)?;
            done(Command::new(program).args(["-k", "-f"]).arg(&file))?;
            let packed = self.work.join(format!("primary.xml.{ending}"));
            self.replace_primary(&dir, &packed, Some(text_of.len() as u64), Some(&sha256_file(&file).map_err(text)?))?;
            let store = self.store(ending)?;
            let repository = self.repository(ending, &store);
            repository.update().map_err(text)?;
            found.push(repository.packages().map_err(text)?);
        }
        // Two kernels, of two packages each.
        match found.iter().all(|packages| *packages == found[0] && packages.len() == 4) {
            true => Ok(format!("{} packages in each", found[0].len())),
            false => Err(format!("{found:?}")),
        }
    }

    /// A package that is not what the index says, and one that is not there.
    fn packages(&self) -> Outcome {
        let dir = self.work.join("served/packages");
        fs::create_dir_all(&dir).map_err(text)?;
        fs::write(dir.join("good.rpm"), "good").map_err(text)?;
        let sha256 = sha256_file(&dir.join("good.rpm")).map_err(text)?;
        for (file, content) in [("altered.rpm", "evil"), ("short.rpm", "goo"), ("long.rpm", "good and more")] {
            fs::write(dir.join(file), content).map_err(text)?;
        }
        let cases = [
            ("altered.rpm", "has the checksum of"),
            ("short.rpm", "cut off"),
            ("long.rpm", "longer than 4 bytes"),
            ("none.rpm", "gone from the archive"),
        ];
        let store = self.store("packages")?;
        for (file, words) in cases {
            let package = LockedPackage {
                role: Role::Kdir,
                name: "kernel-devel".into(),
                version: "1-1".into(),
                path: file.into(),
                size: 4,
                sha256: sha256.clone(),
            };
            let url = format!("{}/packages", self.server.url);
            let outcome = store.package(&package, self.origin(&url), false);
            let error = outcome.err().ok_or(format!("{file} was taken"))?;
            if !error.message.contains(words) {
                return Err(format!("{file}: {}", error.message));
            }
            nothing_in(&store)?;
        }
        Ok("another hash, cut off, too long, gone".into())
    }

    /// The good index as plain XML.
    fn plain(&self) -> Result<PathBuf, String> {
        let primary = primary_of(self.truth)?;
        let plain = self.work.join("plain.xml");
        let output = Command::new("gzip").arg("-dc").arg(primary).output().map_err(text)?;
        fs::write(&plain, output.stdout).map_err(text)?;
        Ok(plain)
    }

    /// Puts another index in the place of the good one, and says so with a good signature.
    fn replace_primary(
        &self,
        dir: &Path,
        packed: &Path,
        open: Option<u64>,
        open_hash: Option<&str>,
    ) -> Result<(), String> {
        let name = packed.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::copy(packed, dir.join("repodata").join(&name)).map_err(text)?;
        let size = fs::metadata(packed).map_err(text)?.len();
        let hash = sha256_file(packed).map_err(text)?;
        let open = open.map_or(String::new(), |open| format!("<open-size>{open}</open-size>"));
        let open_hash =
            open_hash.map_or(String::new(), |hash| format!("<open-checksum type=\"sha256\">{hash}</open-checksum>"));
        let repomd = format!(
            "<repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><data type=\"primary\">\
             <checksum type=\"sha256\">{hash}</checksum>{open_hash}<location href=\"repodata/{name}\"/>\
             <size>{size}</size>{open}</data></repomd>\n"
        );
        fs::write(dir.join("repodata/repomd.xml"), repomd).map_err(text)?;
        sign(dir, self.key)
    }
}

fn altered_index(_: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let primary = primary_of(dir)?;
    let mut bytes = fs::read(&primary).map_err(text)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&primary, bytes).map_err(text)
}

fn strangers(bench: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let index = dir.join("repodata/repomd.xml");
    bench.stranger.detach_sign(&index, &dir.join("repodata/repomd.xml.asc")).map_err(text)
}

fn altered_repomd(_: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let index = dir.join("repodata/repomd.xml");
    let altered = fs::read_to_string(&index).map_err(text)?.replace("<revision>", "<revision>1");
    fs::write(&index, altered).map_err(text)
}

fn unsigned(_: &Bench<'_>, dir: &Path) -> Result<(), String> {
    fs::remove_file(dir.join("repodata/repomd.xml.asc")).map_err(text)
}

fn truncated(_: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let primary = primary_of(dir)?;
    let bytes = fs::read(&primary).map_err(text)?;
    fs::write(&primary, &bytes[..bytes.len() / 2]).map_err(text)
}

fn oversized(_: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let primary = primary_of(dir)?;
    let bytes = fs::read(&primary).map_err(text)?;
    fs::write(&primary, bytes.repeat(2)).map_err(text)
}

/// Some kilobytes that are 64 MiB of zeros when unpacked. Where nothing says how much it is, it ends as an element that is
/// too long to be kept.
fn bomb(bench: &Bench<'_>, dir: &Path, open: Option<u64>) -> Result<(), String> {
    let packed = bench.work.join("bomb.xml.zst");
    if !packed.exists() {
        let script = "head -c 64M /dev/zero | zstd -q -o \"$1\"";
        done(Command::new("sh").args(["-c", script, "bomb"]).arg(&packed))?;
    }
    bench.replace_primary(dir, &packed, open, None)
}

/// An honest signature of an index with a package that leads out of its repository.
fn traversal(bench: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let index = fs::read_to_string(bench.plain()?).map_err(text)?;
    let altered = index.replace("<location href=\"", "<location href=\"../../../etc/cron.d/");
    let file = bench.work.join("traversal.xml");
    fs::write(&file, altered).map_err(text)?;
    done(Command::new("gzip").args(["-k", "-f"]).arg(&file))?;
    bench.replace_primary(dir, &bench.work.join("traversal.xml.gz"), None, None)
}

/// Alters `repomd.xml` and signs it anew.
fn edit(bench: &Bench<'_>, dir: &Path, from: &str, to: &str) -> Result<(), String> {
    let index = dir.join("repodata/repomd.xml");
    let altered = fs::read_to_string(&index).map_err(text)?.replace(from, to);
    fs::write(&index, altered).map_err(text)?;
    sign(dir, bench.key)
}

fn behave(dir: &Path, how: &str) -> Result<(), String> {
    fs::write(dir.join(".behaviour"), how).map_err(text)
}

fn primary_of(dir: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(dir.join("repodata")).map_err(text)?;
    let mut paths = entries.flatten().map(|entry| entry.path());
    paths.find(|path| path.to_string_lossy().contains("primary.xml")).ok_or_else(|| "no primary".into())
}

/// Index and package directories are empty, also of halves.
pub fn nothing_in(store: &Store) -> Result<(), String> {
    for kind in ["rpm-md", "packages", "facts", "kdirs"] {
        let left = fs::read_dir(store.root().join(kind)).into_iter().flatten().flatten().next();
        if let Some(entry) = left {
            return Err(format!("{} is left in the store", entry.path().display()));
        }
    }
    Ok(())
}
