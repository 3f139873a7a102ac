// SPDX-License-Identifier: GPL-2.0-only
//! Published packages that were tampered with: `cargo xtask verify` names each.
//!
//! About 40 seconds; one check of one kernel's packages is two of them.

use super::stranger::Stranger;
use super::{Context, Tally, sbom};
use crate::assemble::{Assembler, write_checksums};
use crate::build::Farm;
use crate::error::{AtPath, Error, Result};
use crate::module_source::ModuleSource;
use crate::sign::{KeyOptions, Keys};
use crate::store::remove;
use crate::tree;
use crate::unpack::ask;
use crate::verify::{Finding, Outcome};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The keys that came with the packages, and did not come with the copies.
const KEYRING: &str = "keys/involflt-archive-keyring.gpg";
const CERTIFICATE: &str = "keys/involflt-module.pem";

/// The test's name, what is done to a copy, the file that must be named then, and words of the cause.
type Case = (&'static str, fn(&Path) -> Result<()>, &'static str, &'static str);

const CASES: [Case; 11] = [
    (
        "verify: an altered .deb",
        |dist| flip(&find(dist, "involflt-kmod-", ".deb")?),
        "involflt-kmod-",
        "not of these bytes",
    ),
    (
        "verify: an altered .rpm",
        |dist| flip(&find(dist, "involflt-kmp-", ".rpm")?),
        "involflt-kmp-",
        "header or payload",
    ),
    (
        "verify: an altered Release",
        |dist| append(&find(dist, "Release", "Release")?),
        "Release",
        "Release.gpg: the signature",
    ),
    ("verify: a missing InRelease", |dist| remove(&find(dist, "InRelease", "")?), "InRelease", "missing"),
    ("verify: an altered Packages", |dist| append(&find(dist, "Packages", "Packages")?), "Packages", "Release lists"),
    (
        "verify: an altered repomd.xml",
        |dist| append(&find(dist, "repomd.xml", ".xml")?),
        "repomd.xml",
        "repomd.xml.asc: the",
    ),
    (
        "verify: an altered SHA256SUMS",
        |dist| append(&dist.join("SHA256SUMS")),
        "SHA256SUMS",
        "SHA256SUMS.asc: the signature",
    ),
    (
        "verify: a replaced module",
        |dist| replace_module(&find(dist, "involflt-kmod-", ".deb")?),
        "involflt-kmod-",
        "not signed",
    ),
    ("verify: a missing package", |dist| remove(&find(dist, "involflt-utils_", ".deb")?), "involflt-utils_", "missing"),
    (
        "verify: a package too many",
        |dist| stranger(&find(dist, "involflt-utils_", ".deb")?),
        "evil_",
        "no Packages lists it",
    ),
    (
        "verify: an altered SBOM",
        |dist| other_version(&find(dist, "involflt-utils_", ".spdx.json")?),
        "spdx",
        "it is about",
    ),
];

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-tampered-{}", std::process::id()));
    let again = context.again("verify");
    match published(context, &dir) {
        Err(error) => tally.check("packages to verify", Err(error.to_string()), &again),
        Ok(dist) => {
            for (name, outcome) in checks(&dist, &dir) {
                tally.check(name, outcome, &again);
            }
            let older = older(context, &dist, &dir).map_err(|error| error.to_string());
            tally.check("verify: a published place, and a file of its older generation", older, &again);
            let valid = sbom::valid(&dist.join("sbom"), context.store, context.matrix.offline);
            tally.check("SBOMs by their formats", valid.map_err(|error| error.to_string()), &again);
        }
    }
    let gone = remove(&dir).map(|()| "nothing is left".to_string());
    tally.check("verify: scratch", gone.map_err(|error| error.to_string()), &again);
}

/// The first kernel's packages, signed with development keys.
fn published(context: &Context<'_>, dir: &Path) -> Result<PathBuf> {
    let dist = dir.join("dist");
    fs::create_dir_all(&dist).at_path(&dist)?;
    let kernels = context.kernels()?;
    let keys = Keys::open(&KeyOptions::default(), context.listener)?;
    let source = ModuleSource::read(&context.tree.join("module"))?;
    let farm = Farm::new(context.store, &source, context.matrix.offline);
    let log = context.store.kind("logs")?.join("test-verify.log");
    let built = kernels.iter().take(1).map(|kernel| Ok((kernel, farm.build(kernel, &log, &|_| ())?)));
    let assembler = Assembler { farm: &farm, keys: &keys, listener: context.listener };
    assembler.run(&assembler.modules(&built.collect::<Result<Vec<_>>>()?)?, &dist)?;
    Ok(dist)
}

/// Publishes a generation with a file more, and then `dist`: that file is still there, and as signed until it is altered.
fn older(context: &Context<'_>, dist: &Path, dir: &Path) -> Result<String> {
    let (before, place) = (dir.join("before"), dir.join("place"));
    tree::replace(dist, &before)?;
    let file = before.join("sbom/older.json");
    fs::write(&file, "{}").at_path(&file)?;
    let keys = Keys::open(&KeyOptions::default(), context.listener)?;
    write_checksums(&before, &keys.archive, context.store)?;
    let program = std::env::current_exe().at_path("this program")?;
    for generation in [&before, dist] {
        let mut publish = Command::new(&program);
        publish.arg("publish").arg(&place).arg("--dist").arg(generation);
        ask(&mut publish)?.map_err(Error::infra)?;
    }
    let current = place.join("current");
    let findings = || verify(&current, &dist.join(KEYRING), &dist.join(CERTIFICATE)).map(|outcome| outcome.findings);
    if let Some(Finding { file, cause }) = findings()?.first() {
        return Err(Error::kernel(format!("{}: {cause}", file.display())));
    }
    append(&current.join("sbom/older.json"))?;
    match findings()?.iter().find(|finding| finding.file.ends_with("older.json")) {
        Some(Finding { file, cause }) => Ok(format!("{}: {cause}", file.display())),
        None => Err(Error::kernel("an altered file of an older generation was not found")),
    }
}

/// Checks `dist` with its own keys and with others, and copies of it that were tampered with.
fn checks(dist: &Path, dir: &Path) -> Vec<(&'static str, Result<String, String>)> {
    let mut done = vec![("verify: all is well", clean(dist))];
    for (name, tamper, file, cause) in CASES {
        let copy = dir.join("copy");
        let outcome = tree::replace(dist, &copy).and_then(|()| tamper(&copy));
        let outcome = outcome.and_then(|()| verify(&copy, &dist.join(KEYRING), &dist.join(CERTIFICATE)));
        done.push((name, named(outcome, file, cause)));
    }
    let stranger = Stranger::new(&dir.join("stranger"));
    let (keyring, certificate) = (stranger.map(|one| one.keyring()), dir.join("stranger/certificate.pem"));
    let with = |keyring: &Path, certificate: &Path| verify(dist, keyring, certificate);
    let foreign = keyring.and_then(|keyring| with(&keyring, &dist.join(CERTIFICATE)));
    done.push(("verify: another archive key", named(foreign, "InRelease", "not trusted")));
    let foreign = with(&dist.join(KEYRING), &certificate);
    done.push(("verify: another certificate", named(foreign, "involflt-kmod", "not the certificate's")));
    for (name, index) in [("verify: an apt rollback", "Release"), ("verify: an rpm rollback", "repomd.xml")] {
        done.push((name, rollback(dist, &dir.join("copy"), index)));
    }
    done
}

fn verify(dist: &Path, keyring: &Path, certificate: &Path) -> Result<Outcome> {
    crate::verify::verify(dist, Some(keyring), Some(certificate), None)
}

/// Somebody has seen a newer state of one index than what is there.
fn rollback(dist: &Path, newer: &Path, index: &str) -> Result<String, String> {
    let newer_index = || {
        tree::replace(dist, newer)?;
        let file = find(newer, index, index)?;
        let text = fs::read_to_string(&file).at_path(&file)?;
        let later = |line: &str| match line.split_once("<revision>") {
            Some(_) => "<revision>9999999999</revision>".to_string(),
            None if line.starts_with("Date: ") => "Date: Fri, 01 Jan 2100 00:00:00 UTC".to_string(),
            None => line.to_string(),
        };
        fs::write(&file, text.lines().map(later).collect::<Vec<_>>().join("\n")).at_path(&file)?;
        crate::verify::verify(dist, Some(&dist.join(KEYRING)), Some(&dist.join(CERTIFICATE)), Some(newer))
    };
    named(newer_index(), index, "a rollback")
}

fn clean(dist: &Path) -> Result<String, String> {
    let outcome = verify(dist, &dist.join(KEYRING), &dist.join(CERTIFICATE)).map_err(|error| error.to_string())?;
    match outcome.findings.first() {
        None => Ok(format!("{} packages, {} repositories", outcome.packages, outcome.repositories)),
        Some(finding) => Err(format!("{}: {}", finding.file.display(), finding.cause)),
    }
}

fn named(outcome: Result<Outcome>, file: &str, cause: &str) -> Result<String, String> {
    let outcome = outcome.map_err(|error| error.to_string())?;
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let right = |one: &&Finding| name(&one.file).contains(file) && one.cause.contains(cause);
    match outcome.findings.iter().find(right) {
        Some(finding) => Ok(format!("{}: {}", finding.file.display(), finding.cause)),
        None => Err(format!("no finding of {file} says {cause:?}: {:?}", outcome.findings)),
    }
}

/// The first published file whose name begins and ends so.
fn find(dist: &Path, start: &str, end: &str) -> Result<PathBuf> {
    let fits = |file: &&PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(start) && name.ends_with(end)
    };
    let files = tree::files(dist)?;
    let found = files.iter().find(fits).ok_or_else(|| Error::infra(format!("no {start}…{end} was published")))?;
    Ok(dist.join(found))
}

fn append(file: &Path) -> Result<()> {
    let mut data = fs::read(file).at_path(file)?;
    data.extend(b"\n");
    fs::write(file, data).at_path(file)
}

/// Turns one bit round in the middle of a file.
fn flip(file: &Path) -> Result<()> {
    let mut data = fs::read(file).at_path(file)?;
    let middle = data.len() / 2;
    data[middle] ^= 1;
    fs::write(file, data).at_path(file)
}

fn stranger(deb: &Path) -> Result<()> {
    let evil = deb.with_file_name("evil_1_amd64.deb");
    fs::copy(deb, &evil).map(drop).at_path(&evil)
}

fn other_version(sbom: &Path) -> Result<()> {
    let text = fs::read_to_string(sbom).at_path(sbom)?;
    let text = text.replace("\"versionInfo\": \"0.1.0-1\"", "\"versionInfo\": \"0.1.0-2\"");
    fs::write(sbom, text).at_path(sbom)
}

/// Packs the package anew, with its module's signature cut off.
fn replace_module(deb: &Path) -> Result<()> {
    let work = deb.with_extension("work");
    let deb_tool = |arguments: &[&std::ffi::OsStr]| {
        let said = ask(Command::new("dpkg-deb").args(arguments))?;
        said.map(drop).map_err(|said| Error::infra(format!("{}: {said}", deb.display())))
    };
    deb_tool(&["--raw-extract".as_ref(), deb.as_os_str(), work.as_os_str()])?;
    for file in tree::files(&work)?.iter().filter(|file| file.ends_with("involflt.ko")) {
        let path = work.join(file);
        let data = fs::read(&path).at_path(&path)?;
        fs::write(&path, &data[..data.len() - 28]).at_path(&path)?;
    }
    deb_tool(&["--root-owner-group".as_ref(), "--build".as_ref(), work.as_os_str(), deb.as_os_str()])?;
    remove(&work)
}
