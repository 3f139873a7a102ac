// SPDX-License-Identifier: GPL-2.0-only
//! An apt archive that lies: each lie is a named error in bounded time, and no package comes into the store.

use super::{Bench, LONGEST, Outcome, behave, text};
use crate::sign::ArchiveKey;
use crate::store::remove;
use crate::test::Tally;
use crate::test::archives::fixture::done;
use crate::test::archives::resolve_command;
use crate::test::archives::ubuntu::sign;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Its suite; it has one kernel.
pub const SUITE: &str = "noble";
/// apt as it is for the tests: it waits for seconds, not for minutes.
const APT_CONF: &str = "Acquire::Retries \"0\";\nAcquire::http::Timeout \"2\";\n";

/// What is done to a copy of the archive.
type Lie = fn(&Bench<'_>, &Path) -> Result<(), String>;

/// Runs the tests; `truth` is a good archive.
pub fn run(bench: &Bench<'_>, truth: &Path, tally: &mut Tally, again: &str) {
    let lies: [(&str, &str, Lie); 12] = [
        ("an index with another hash", "Hash Sum mismatch", altered),
        ("a signature of a stranger", "not signed", strangers),
        ("an altered InRelease", "not signed", |_, dir| {
            replace(&dir.join(IN_RELEASE), "Components: main", "Components: many")
        }),
        ("no signature", "not signed", |_, dir| fs::remove_file(dir.join(IN_RELEASE)).map_err(text)),
        ("an index that is cut off", "unexpected size", |_, dir| resize(&dir.join(PACKAGES), 0.5)),
        ("an index that is longer than signed", "unexpected size", |_, dir| resize(&dir.join(PACKAGES), 2.0)),
        ("an endless InRelease", "file isn't valid", |_, dir| behave(&dir.join("dists"), "endless")),
        ("a package at ../..", "bad `Filename`", |bench, dir| edit(bench.key, dir, "Filename: ", "Filename: ../../")),
        ("a checksum that is a path", "bad `Filename`", |bench, dir| edit(bench.key, dir, "SHA256: ", "SHA256: ../")),
        ("a circle of redirects", "does not have a Release file", |_, dir| behave(&dir.join("dists"), "loop")),
        ("a mirror that stalls", "timed out", |_, dir| behave(&dir.join("dists"), "stall")),
        ("a package that is longer than signed", "longer than its index says", |_, dir| {
            let pool = packages(dir)?;
            pool.iter().try_for_each(|file| resize(file, 3.0))
        }),
    ];
    for (index, (name, words, lie)) in lies.into_iter().enumerate() {
        let outcome = bench.apt_refuses(&format!("apt-{index}"), truth, words, lie);
        tally.check(&format!("hostile apt archive: {name}"), outcome, again);
    }
}

const IN_RELEASE: &str = "dists/noble/InRelease";
const RELEASE: &str = "dists/noble/Release";
const PACKAGES: &str = "dists/noble/main/binary-amd64/Packages";

impl Bench<'_> {
    fn apt_refuses(&self, name: &str, truth: &Path, words: &str, lie: Lie) -> Outcome {
        let dir = self.work.join("served").join(name);
        done(Command::new("cp").arg("-a").arg(truth).arg(&dir))?;
        lie(self, &dir)?;
        let start = Instant::now();
        let (code, said) = self.resolve(name)?;
        let took = start.elapsed();
        remove(&dir).map_err(text)?;
        if code != Some(69) || !said.contains(words) {
            return Err(format!("exit code {code:?}, and not `{words}`: {said}"));
        }
        if took > LONGEST {
            return Err(format!("it took {} s", took.as_secs()));
        }
        super::nothing_in(&self.store(name)?)?;
        let line = said.lines().find(|line| line.contains(words)).unwrap_or_default();
        Ok(line.trim().to_string())
    }

    /// Exit code and words of `cargo xtask resolve` for that archive.
    fn resolve(&self, name: &str) -> Result<(Option<i32>, String), String> {
        let (yaml, conf) = (self.work.join("apt.yaml"), self.work.join("apt.conf"));
        let (url, keyring) = (&self.server.url, self.work.join("key.gpg"));
        let kernels = format!(
            "format: 1\ndistros:\n  ubuntu:\n    mirror: {url}/{name}\n    keyring: {}\ngroups:\n  default:\n    \
             - distro: ubuntu\n      suites: [{SUITE}]\n      pockets: []\n      flavours: [generic]\n",
            keyring.display()
        );
        fs::write(&yaml, kernels).map_err(text)?;
        fs::write(&conf, APT_CONF).map_err(text)?;
        let (lock, store, conf) =
            (self.work.join("apt.lock"), self.work.join("stores").join(name), conf.to_string_lossy());
        resolve_command(&yaml, &lock, &store, &[("APT_CONFIG", &*conf)])
    }
}

/// One bit of the index.
fn altered(_: &Bench<'_>, dir: &Path) -> Result<(), String> {
    let file = fs::OpenOptions::new().read(true).write(true).open(dir.join(PACKAGES)).map_err(text)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, 10).map_err(text)?;
    file.write_all_at(&[byte[0] ^ 1], 10).map_err(text)
}

fn strangers(bench: &Bench<'_>, dir: &Path) -> Result<(), String> {
    bench.stranger.clear_sign(&dir.join(RELEASE), &dir.join(IN_RELEASE)).map_err(text)
}

fn replace(file: &Path, from: &str, to: &str) -> Result<(), String> {
    let altered = fs::read_to_string(file).map_err(text)?.replace(from, to);
    fs::write(file, altered).map_err(text)
}

/// The file cut or grown to so many times its size.
fn resize(file: &Path, times: f64) -> Result<(), String> {
    let file = fs::OpenOptions::new().write(true).open(file).map_err(text)?;
    let bytes = file.metadata().map_err(text)?.len();
    file.set_len((bytes as f64 * times) as u64).map_err(text)
}

/// An honest signature of an altered index.
fn edit(key: &ArchiveKey, dir: &Path, from: &str, to: &str) -> Result<(), String> {
    replace(&dir.join(PACKAGES), from, to)?;
    sign(dir, SUITE, key)
}

/// All of the pool.
fn packages(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let pool = dir.join("pool/main/l/linux");
    Ok(fs::read_dir(pool).map_err(text)?.flatten().map(|entry| entry.path()).collect())
}
