// SPDX-License-Identifier: GPL-2.0-only
//! Archives whose index nobody signs, or whose index is honest about rpms that are not: what counts is each rpm's own
//! signature, and the whole of `cargo xtask resolve` goes by it.

use super::fixture::{done, reindex, rpms, sign};
use super::hostile::nothing_in;
use super::{Bench, Outcome, RHEL, text};
use crate::resolve::{self, MatrixArgs, Resolution};
use crate::store::{Store, remove};
use crate::test::Tally;
use crate::test::stranger::Stranger;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const APPSTREAM: &str = "dist/rhel9/9.2/x86_64/appstream/os";

/// What is done to each rpm before it is indexed.
type Deed<'a> = &'a dyn Fn(&Path) -> Result<(), String>;

/// Runs the tests.
pub fn run(bench: &Bench<'_>, tally: &mut Tally, again: &str) {
    let stranger = match Stranger::new(&bench.work.join("rpm-stranger")).map_err(text) {
        Ok(stranger) => stranger,
        Err(error) => return tally.check("rpm signatures", Err(error), again),
    };
    let case = |name, deed: Deed<'_>| case(bench, name, deed);
    tally.check("archive without repomd.xml.asc: signed rpms", good(bench), again);
    let forged: Deed<'_> = &|rpm| stranger.rpm_sign(rpm).map_err(text);
    let cases: [(&str, &str, Deed<'_>); 3] = [
        ("an rpm that nobody signed", "no signature of header and payload", &unsign),
        ("an rpm that a stranger signed", "signed with a key that is not trusted", forged),
        ("a payload that was changed after it was signed", "not what was signed", &change),
    ];
    for (index, (name, words, deed)) in cases.into_iter().enumerate() {
        let outcome = case(index, deed).and_then(|said| named(&said, words));
        tally.check(&format!("archive without repomd.xml.asc: {name}"), outcome, again);
    }
    let signed = signed_index(bench, forged).and_then(|said| named(&said, "not trusted"));
    tally.check("archive with repomd.xml.asc: an rpm that a stranger signed", signed, again);
    tally.check("archive without repomd.xml.asc: plain http", plain_http(bench), again);
}

/// The archive of the whole pipeline has no signature to begin with.
fn good(bench: &Bench<'_>) -> Outcome {
    let dir = bench.served.join(APPSTREAM);
    if dir.join("repodata/repomd.xml.asc").exists() {
        return Err("it has one".into());
    }
    let store = store(bench, "unsigned-good")?;
    let url = format!("{}/", bench.server.url);
    let resolution = resolution(bench, &store, "rhel", "9.2", &url)?;
    match &resolution.kernels[..] {
        [kernel] if kernel.kernel == RHEL.release() => Ok(format!("{} is resolved", kernel.kernel)),
        _ => Err(format!("{:?}", resolution.refused)),
    }
}

/// The refusal of RHEL's kernel out of an archive with an honest index of what became of its rpm.
fn case(bench: &Bench<'_>, index: usize, deed: Deed<'_>) -> Outcome {
    let top = format!("unsigned-{index}");
    let dir = bench.served.join(&top).join(APPSTREAM);
    altered(&bench.served.join(APPSTREAM), &dir, deed)?;
    refused(bench, &top, "rhel", "9.2")
}

/// The same of SLES, whose index is signed.
fn signed_index(bench: &Bench<'_>, deed: Deed<'_>) -> Outcome {
    let top = "signed-index";
    for path in
        ["Updates/SLE-Module-Basesystem/15-SP5/x86_64/update", "Products/SLE-Module-Basesystem/15-SP5/x86_64/product"]
    {
        let dir = bench.served.join(top).join(path);
        altered(&bench.served.join(path), &dir, deed)?;
        sign(&dir, &bench.keys.archive)?;
    }
    refused(bench, top, "sles", "15-sp5")
}

/// An index from a mirror that anybody can stand in front of is not asked for.
fn plain_http(bench: &Bench<'_>) -> Outcome {
    let store = store(bench, "plain-http")?;
    let error = match resolution(bench, &store, "rhel", "9.2", "http://mirror.example.org/content") {
        Err(error) => error,
        Ok(resolution) => return Err(format!("it was asked: {resolution:?}")),
    };
    nothing_in(&store)?;
    match error.contains("it is not https") && error.contains("http://mirror.example.org/content/dist/rhel9/9.2") {
        true => Ok(error.lines().nth(1).unwrap_or(&error).trim().to_string()),
        false => Err(error),
    }
}

/// A copy of a repository's rpms, each of which has something done to it, and an index of what they are then.
fn altered(from: &Path, to: &Path, deed: Deed<'_>) -> Result<(), String> {
    fs::create_dir_all(to).map_err(text)?;
    for rpm in rpms(from)? {
        let copy = to.join(rpm.file_name().unwrap_or_default());
        fs::copy(&rpm, &copy).map_err(text)?;
        deed(&copy)?;
    }
    reindex(to, "gz")
}

/// Resolves in a new store; nothing of the rpms comes into it.
fn refused(bench: &Bench<'_>, top: &str, distro: &str, suite: &str) -> Outcome {
    let store = store(bench, top)?;
    let said = match resolution(bench, &store, distro, suite, &format!("{}/{top}", bench.server.url)) {
        Ok(resolution) => return Err(format!("it was believed: {resolution:?}")),
        Err(said) => said,
    };
    // The index itself was honest.
    remove(&store.root().join("rpm-md")).map_err(text)?;
    nothing_in(&store)?;
    remove(&bench.served.join(top)).map_err(text)?;
    Ok(said)
}

/// The error says what is wrong with which file, where it came from, and what to do.
fn named(said: &str, words: &str) -> Outcome {
    let parts = [words, "http://127.0.0.1", ".rpm", "the keys that are trusted are in", "another mirror"];
    match parts.iter().find(|part| !said.contains(**part)) {
        None => Ok(said.lines().nth(1).unwrap_or(said).trim().to_string()),
        Some(part) => Err(format!("it did not say `{part}`: {said}")),
    }
}

fn store(bench: &Bench<'_>, name: &str) -> Result<Store, String> {
    Store::open(Some(&bench.work.join("stores").join(name))).map_err(text)
}

fn resolution(bench: &Bench<'_>, store: &Store, distro: &str, suite: &str, mirror: &str) -> Result<Resolution, String> {
    let file: PathBuf = bench.work.join("signatures.yaml");
    let yaml = format!(
        "format: 1\ndistros:\n  {distro}:\n    mirror: {mirror}\n    keyring: {}\ngroups:\n  default:\n    - distro: {distro}\n      \
         suites: ['{suite}']\n      flavours: [default]\n      newest: 1\n",
        bench.work.join("key.asc").display()
    );
    fs::write(&file, yaml).map_err(text)?;
    let lock = Some(bench.work.join("signatures.lock"));
    let args = MatrixArgs { select: Vec::new(), locked: false, offline: false, store: None, kernels: Some(file), lock };
    resolve::resolution(&args, store, bench.context.listener).map_err(text)
}

fn unsign(rpm: &Path) -> Result<(), String> {
    done(Command::new("rpmsign").arg("--delsign").arg(rpm))
}

/// The end of an rpm is the end of its payload.
fn change(rpm: &Path) -> Result<(), String> {
    let mut bytes = fs::read(rpm).map_err(text)?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(rpm, bytes).map_err(text)
}
