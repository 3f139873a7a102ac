// SPDX-License-Identifier: GPL-2.0-only
//! A stand-in for every row of the table of distributions: its kernel is found in a loopback archive with the vendor's servers,
//! paths, package names and signatures, which `stand-ins.tsv` has apart from that table. Indices alone: nothing is downloaded.

use super::{Bench, Outcome, fixture, text, ubuntu};
use crate::kernels::{Archive, DISTROS, Distro, FAMILIES, Kernels, parse_release, repository_flavours};
use crate::resolve::agreement;
use crate::resolve::facts::{Facts, Suse};
use crate::resolve::survey::{self, Survey};
use crate::store::{Store, sha256_file};
use crate::test::Tally;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TABLE: &str = include_str!("stand-ins.tsv");

/// A line of the table.
struct Row {
    distro: &'static str,
    suite: &'static str,
    flavour: &'static str,
    trust: &'static str,
    /// As `uname -r` would print it; `-` for a repository without kernels.
    kernel: &'static str,
    repository: &'static str,
    packages: &'static str,
}

impl Row {
    fn all() -> Vec<Row> {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let row = |line: &'static str| {
            let [distro, suite, flavour, trust, kernel, repository, packages] =
                line.split('\t').collect::<Vec<_>>().try_into().expect("the table has seven columns");
            Row { distro, suite, flavour, trust, kernel, repository, packages }
        };
        lines.map(row).collect()
    }

    fn name(&self) -> String {
        format!("stand-in: {} {}, {}: {}", self.distro, self.suite, self.flavour, self.kernel)
    }
}

/// Runs the tests.
pub fn run(bench: &Bench<'_>, tally: &mut Tally, again: &str) {
    let rows = Row::all();
    tally.check("stand-ins: every row of the distributions has one", complete(&rows), again);
    let farm = Rows { bench, top: bench.served.join("rows"), url: format!("{}/rows", bench.server.url) };
    if let Err(error) = farm.fill(&rows) {
        return tally.check("stand-ins", Err(error), again);
    }
    for distro in DISTROS {
        let own: Vec<&Row> = rows.iter().filter(|row| row.distro == distro.name).collect();
        let survey = farm.survey(distro, &own);
        for row in own.iter().filter(|row| row.kernel != "-") {
            let outcome = survey.as_ref().map_err(String::clone).and_then(|survey| farm.found(row, survey));
            tally.check(&row.name(), outcome, again);
        }
    }
}

/// Every release, pocket and flavour of an rpm distribution is in the table, and every declared release of the others.
fn complete(rows: &[Row]) -> Outcome {
    let there: BTreeSet<(&str, &str, &str)> = rows.iter().map(|row| (row.distro, row.suite, row.flavour)).collect();
    let mut missing = Vec::new();
    for distro in DISTROS {
        let Archive::RpmMd { repositories, .. } = &distro.archive else { continue };
        for release in distro.releases {
            let flavours = repository_flavours(repositories, release.name).into_iter();
            let suites = flavours.map(|flavour| (release.name.to_string(), flavour));
            let pockets = release.pockets.iter().map(|pocket| (format!("{}-{pocket}", release.name), "default"));
            let lacks = |(suite, flavour): &(String, &str)| !there.contains(&(distro.name, suite, flavour));
            missing.extend(suites.chain(pockets).filter(lacks).map(|one| format!("{} {one:?}", distro.name)));
        }
    }
    for family in FAMILIES {
        let lacks = |release: &&str| !rows.iter().any(|row| (row.distro, row.suite) == (family.name, *release));
        missing.extend(family.releases().filter(lacks).map(|release| format!("{} {release}", family.name)));
    }
    match missing.is_empty() {
        true => Ok(format!("{} rows", there.len())),
        false => Err(missing.join(", ")),
    }
}

/// The servers of all vendors, each below its own name.
struct Rows<'a> {
    bench: &'a Bench<'a>,
    top: PathBuf,
    url: String,
}

impl Rows<'_> {
    /// Where a vendor's URL is on the loopback server.
    fn loopback(&self, url: &str) -> String {
        let (list, url) = url.strip_prefix("mirrorlist+").map_or(("", url), |url| ("mirrorlist+", url));
        let (_, place) = url.split_once("://").unwrap_or(("", url));
        format!("{list}{}/{place}", self.url)
    }

    fn dir(&self, url: &str) -> PathBuf {
        self.top.join(self.loopback(url).trim_start_matches(&self.url).trim_start_matches('/'))
    }

    fn fill(&self, rows: &[Row]) -> Result<(), String> {
        let (apt, rpm): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.trust == "inrelease");
        self.fill_rpm(&rpm)?;
        self.fill_apt(&apt)
    }

    fn fill_rpm(&self, rows: &[&Row]) -> Result<(), String> {
        let mut repositories: BTreeMap<PathBuf, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            repositories.entry(self.repository(row.repository)?).or_default().push(row);
        }
        let mut gzip = Command::new("gzip");
        for (dir, rows) in &repositories {
            let index = dir.join("repodata/primary.xml");
            fs::create_dir_all(dir.join("repodata")).map_err(text)?;
            let packages: BTreeSet<String> =
                rows.iter().flat_map(|row| row.packages.split_whitespace()).map(package).collect();
            let packages: String = packages.into_iter().collect();
            fixture::write(&index, &format!("<metadata packages=\"1\">{packages}</metadata>"))?;
            gzip.arg(index);
        }
        fixture::done(&mut gzip)?;
        repositories.iter().try_for_each(|(dir, rows)| self.index(dir, rows[0].trust))
    }

    /// The directory of a repository; one that is only known by its mirror list gets a list.
    fn repository(&self, url: &str) -> Result<PathBuf, String> {
        let dir = self.dir(url.trim_start_matches("mirrorlist+"));
        if !url.starts_with("mirrorlist+") {
            return Ok(dir);
        }
        let behind = dir.with_file_name("behind");
        fs::create_dir_all(&behind).map_err(text)?;
        let place = behind.strip_prefix(&self.top).map_err(text)?.display();
        fixture::write(&dir, &format!("{}/{place}/\n", self.url))?;
        Ok(behind)
    }

    fn index(&self, dir: &Path, trust: &str) -> Result<(), String> {
        let primary = dir.join("repodata/primary.xml.gz");
        let size = fs::metadata(&primary).map_err(text)?.len();
        let repomd = format!(
            "<repomd><data type=\"primary\"><checksum type=\"sha256\">{}</checksum><location href=\"repodata/primary.xml.gz\"/>\
             <size>{size}</size></data></repomd>\n",
            sha256_file(&primary).map_err(text)?
        );
        fixture::write(&dir.join("repodata/repomd.xml"), &repomd)?;
        if trust == "repomd" { fixture::sign(dir, &self.bench.keys.archive) } else { Ok(()) }
    }

    fn fill_apt(&self, rows: &[&Row]) -> Result<(), String> {
        let mut suites: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            suites.entry((row.repository, row.suite)).or_default().extend(row.packages.split_whitespace().map(stanza));
        }
        for ((url, suite), stanzas) in suites {
            let index = self.dir(url).join("dists").join(suite).join("main/binary-amd64");
            fs::create_dir_all(&index).map_err(text)?;
            fixture::write(&index.join("Packages"), &stanzas.into_iter().collect::<String>())?;
            ubuntu::sign(&self.dir(url), suite, &self.bench.keys.archive)?;
        }
        Ok(())
    }

    /// What the resolver finds of a distribution, with its own addresses led to the loopback server.
    fn survey(&self, distro: &'static Distro, rows: &[&Row]) -> Result<Survey, String> {
        let file = self.bench.work.join(format!("rows-{}.yaml", distro.name));
        fixture::write(&file, &self.yaml(distro, rows))?;
        let kernels = Kernels::read(&file).map_err(text)?;
        let store = Store::open(Some(&self.bench.work.join("stores/rows"))).map_err(text)?;
        let source = survey::Source { store: &store, offline: false, listener: self.bench.context.listener };
        survey::survey(&kernels, &BTreeSet::from(["default"]), &|_, _| true, &source).map_err(text)
    }

    fn yaml(&self, distro: &Distro, rows: &[&Row]) -> String {
        let key = self.bench.work.join("key.asc").display().to_string();
        let mut servers = vec![("mirror", distro.mirror)];
        match distro.archive {
            Archive::RpmMd { vault: "", .. } => {}
            Archive::RpmMd { vault, .. } => servers.push(("vault-mirror", vault)),
            Archive::Apt { security_mirror, .. } => {
                servers.extend([("security-mirror", security_mirror), ("pro-mirror", crate::kernels::PRO_MIRROR)]);
            }
        }
        let mut yaml = format!("format: 1\ndistros:\n  {}:\n    keyring: {key}\n    pro-keyring: {key}\n", distro.name);
        yaml.extend(servers.into_iter().map(|(name, url)| format!("    {name}: {}\n", self.loopback(url))));
        yaml += "groups:\n  default:\n";
        let wanted: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.suite, row.flavour)).collect();
        yaml.extend(wanted.into_iter().map(|(suite, flavour)| {
            format!("    - {{distro: {}, suites: ['{suite}'], pockets: [], flavours: [{flavour}]}}\n", distro.name)
        }));
        yaml
    }

    /// The row's kernel, out of the row's repository, with a name that the selector agrees with.
    fn found(&self, row: &Row, survey: &Survey) -> Outcome {
        let is = |suite: &str, kernel: &str| suite == row.suite && kernel == row.kernel;
        let found = survey.complete.iter().find(|one| is(&one.candidate.suite, &one.candidate.kernel));
        let Some(found) = found else {
            let unread =
                survey.unread.iter().find(|one| one.has(Distro::find(row.distro).expect("is a row's"), row.suite));
            return Err(unread.map_or("it is not found".into(), |unread| unread.why().to_string()));
        };
        let archive = self.loopback(row.repository);
        if found.candidate.archive != archive || found.candidate.flavour != row.flavour {
            return Err(format!("it is of {}, flavour {}", found.candidate.archive, found.candidate.flavour));
        }
        let packages = found.candidate.packages.len();
        if Distro::find(row.distro).is_some_and(|distro| distro.layout().is_some()) {
            agreement::check(row.distro, &found.candidate, &facts(row)?).map_err(text)?;
        }
        Ok(format!("{packages} of its packages, in {}", row.repository))
    }
}

/// What the KDIR of such a kernel would say.
fn facts(row: &Row) -> Result<Facts, String> {
    let named = parse_release(row.kernel).map_err(text)?;
    let suse = named.service_pack.map(|service_pack| Suse { version: 15, service_pack });
    Ok(Facts { suse, release: Some(row.kernel.into()), ..Facts::default() })
}

/// `kernel-devel/5.14.0-1.el9/x86_64/kernel-devel-uname-r=5.14.0-1.el9.x86_64` as an element of `primary.xml`.
fn package(written: &str) -> String {
    let [name, evr, arch, provides] = parts(written);
    let (version, release) = evr.split_once('-').unwrap_or((evr, "1"));
    let provides = provides.split_once('=').map_or(String::new(), |(name, provided)| {
        let (version, release) = provided.split_once('-').unwrap_or((provided, ""));
        format!(
            "<format><rpm:provides xmlns:rpm=\"r\"><rpm:entry name=\"{name}\" flags=\"EQ\" ver=\"{version}\" rel=\"{release}\"/>\
             </rpm:provides></format>"
        )
    });
    format!(
        "<package type=\"rpm\"><name>{name}</name><arch>{arch}</arch><version epoch=\"0\" ver=\"{version}\" rel=\"{release}\"/>\
         <checksum type=\"sha256\" pkgid=\"YES\">{}</checksum><size package=\"1\"/>\
         <location href=\"{arch}/{name}-{evr}.{arch}.rpm\"/>{provides}</package>",
        "0a".repeat(32)
    )
}

/// `linux-headers-6.8.0-58-generic/6.8.0-58.1/amd64/linux-headers-6.8.0-58` as a stanza of `Packages`.
fn stanza(written: &str) -> String {
    let [name, version, arch, depends] = parts(written);
    let depends = if depends.is_empty() { String::new() } else { format!("Depends: {}\n", depends.replace(',', ", ")) };
    format!(
        "Package: {name}\nSource: linux\nVersion: {version}\nArchitecture: {arch}\n{depends}\
         Filename: pool/main/l/linux/{name}_{version}_{arch}.deb\nSize: 1\nSHA256: {}\n\n",
        "0a".repeat(32)
    )
}

fn parts(written: &str) -> [&str; 4] {
    let mut parts = written.splitn(4, '/');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}
