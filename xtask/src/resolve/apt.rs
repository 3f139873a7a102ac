// SPDX-License-Identifier: GPL-2.0-only
//! The archives' indices, read by apt itself in a tree of its own under the store.
//!
//! apt verifies each InRelease against the distribution's keyring and each Packages by its hash, goes through the
//! host's proxies and `Acquire::*` settings, and asks the mirror for what has changed only.

use super::candidate::SuiteIndex;
use super::index::{self, Stanza};
use crate::credentials;
use crate::error::{AtPath, Error, Result};
use crate::event::{Event, Listener};
use crate::kernels::{ArchiveSettings, Distro, PRO_KEYRING, PRO_MIRROR, is_pro, is_security};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A suite of a distribution for an architecture.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// `bookworm-security`.
    pub suite: String,
    /// `amd64`.
    pub arch: String,
}

/// The archives of one distribution.
pub struct Archives<'a> {
    distro: &'static Distro,
    settings: ArchiveSettings,
    mirrors: Mirrors,
    store: &'a Store,
}

/// Base URLs, without a slash at the end.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: String,
    pro: String,
}

impl<'a> Archives<'a> {
    /// Finds the archive's mirrors: those of `settings`, else those of the host's apt sources, else the public ones.
    pub fn open(distro: &'static Distro, settings: ArchiveSettings, store: &'a Store) -> Result<Self> {
        let host = if settings.mirror.is_some() && settings.security_mirror.is_some() {
            (None, None)
        } else {
            host_mirrors(distro, &host_targets(store)?)
        };
        let choose = |set: &Option<String>, host: Option<String>, public: &str| {
            set.clone().or(host).unwrap_or_else(|| public.into()).trim_end_matches('/').to_owned()
        };
        let mirrors = Mirrors {
            main: choose(&settings.mirror, host.0, distro.mirror),
            security: choose(&settings.security_mirror, host.1, distro.security_mirror()),
            pro: choose(&settings.pro_mirror, None, PRO_MIRROR),
        };
        Ok(Archives { distro, settings, mirrors, store })
    }

    /// Brings the indices of `wanted` up to date (not when `offline`) and reads them, in the order of `wanted`.
    pub fn indices(
        &self,
        wanted: &BTreeSet<Wanted>,
        offline: bool,
        listener: &dyn Listener,
    ) -> Result<BTreeMap<Wanted, SuiteIndex>> {
        let lock = self.store.lock_file("apt")?;
        lock.lock().at_path(self.store.root())?;
        if !offline {
            let subject = format!("{} archive", self.distro.name);
            listener.event(Event::Stage { subject, stage: "update".into() });
            self.update(wanted)?;
        }
        std::thread::scope(|scope| {
            let readers: Vec<_> = wanted.iter().map(|one| (one, scope.spawn(|| self.read(one, offline)))).collect();
            let join = |(one, reader): (&Wanted, std::thread::ScopedJoinHandle<'_, Result<SuiteIndex>>)| {
                Ok((one.clone(), reader.join().expect("an index reader does not panic")?))
            };
            readers.into_iter().map(join).collect()
        })
    }

    /// Like [`Self::indices`]; when `offline`, without those that are not in the store.
    pub fn known(&self, wanted: &BTreeSet<Wanted>, offline: bool, listener: &dyn Listener) -> Result<Vec<SuiteIndex>> {
        let lists = self.lists()?;
        let there = |one: &&Wanted| !offline || list_file(&lists, &self.index_url(one)).is_some();
        let wanted: BTreeSet<Wanted> = wanted.iter().filter(there).cloned().collect();
        Ok(self.indices(&wanted, offline, listener)?.into_values().collect())
    }

    fn lists(&self) -> Result<PathBuf> {
        Ok(self.store.kind("apt")?.join("state/lists"))
    }

    fn index_url(&self, Wanted { suite, arch }: &Wanted) -> String {
        format!("{}/dists/{suite}/main/binary-{arch}/Packages", self.archive(suite))
    }

    fn archive(&self, suite: &str) -> &str {
        match suite {
            suite if is_pro(suite) => &self.mirrors.pro,
            suite if is_security(suite) => &self.mirrors.security,
            _ => &self.mirrors.main,
        }
    }

    fn keyring(&self, suite: &str) -> Result<&Path> {
        let keyring = match is_pro(suite) {
            true => self.settings.pro_keyring.as_deref().unwrap_or(Path::new(PRO_KEYRING)),
            false => self.settings.keyring.as_deref().unwrap_or(Path::new(self.distro.keyring)),
        };
        if keyring.exists() {
            return Ok(keyring);
        }
        if is_pro(suite) {
            let error = Error::infra(format!("{}: the keyring of Ubuntu Pro is missing", keyring.display()));
            return Err(error.note("`pro attach` installs it; another file: `pro-keyring:` under `distros: ubuntu:`"));
        }
        let error = Error::infra(format!("{}: the keyring of {} is missing", keyring.display(), self.distro.name));
        Err(error.note(format!(
            "the package {} of {} has it; another file: `keyring:` under `distros:` in kernels.yaml",
            self.distro.keyring_package, self.distro.name
        )))
    }

    fn update(&self, wanted: &BTreeSet<Wanted>) -> Result<()> {
        let tree = self.store.kind("apt")?;
        for dir in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(tree.join(dir)).at_path(&tree)?;
        }
        let sources = tree.join("sources.sources");
        fs::write(&sources, self.sources(wanted)?).at_path(&sources)?;
        let settings = tree.join("apt.conf");
        fs::write(&settings, apt_settings(&tree, self.settings.check_valid_until)).at_path(&settings)?;
        let output = Command::new("apt-get")
            .arg("--config-file")
            .arg(&settings)
            .args(credentials::apt_options()?)
            .args(["--quiet", "update"])
            .env("LC_ALL", "C")
            .output()
            .at_path("apt-get")?;
        if output.status.success() { Ok(()) } else { Err(self.refused(&String::from_utf8_lossy(&output.stderr))) }
    }

    /// The archives in apt's own format.
    fn sources(&self, wanted: &BTreeSet<Wanted>) -> Result<String> {
        let stanza = |one: &Wanted| {
            let Wanted { suite, arch } = one;
            let (url, keyring) = (self.archive(suite), self.keyring(suite)?.display());
            Ok(format!(
                "Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: main\nArchitectures: {arch}\nSigned-By: {keyring}\n\n"
            ))
        };
        wanted.iter().map(stanza).collect()
    }

    fn read(&self, wanted: &Wanted, offline: bool) -> Result<SuiteIndex> {
        let suite = &wanted.suite;
        let (url, lists) = (self.index_url(wanted), self.lists()?);
        let Some(path) = list_file(&lists, &url) else {
            let message = format!("{url}: not in the store ({})", lists.display());
            let next = if offline {
                "run `cargo xtask resolve` once without --offline, or use kernels.lock as it is with --locked"
            } else {
                "apt fetched it and left no file: look at the store's directory"
            };
            return Err(Error::infra(message).note(next));
        };
        let stanzas = read_list(&path)?;
        Ok(SuiteIndex { suite: suite.clone(), archive: self.archive(suite).into(), stanzas })
    }

    /// What apt said, and what mends it.
    fn refused(&self, said: &str) -> Error {
        const SHOWN: usize = 4;
        let mut lines: Vec<&str> = said.lines().filter(|line| line.starts_with("E:")).collect();
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        let more = if more > 0 { format!("\n(and {more} more)") } else { String::new() };
        let distro = self.distro.name;
        let error = Error::infra(format!("the archives of {distro} cannot be read\n{}{more}", lines.join("\n")));
        if said.contains("is expired") || said.contains("is not valid yet") {
            return error
                .note(format!("for an archive that is frozen on purpose: `check-valid-until: false` under `distros: {distro}:` in kernels.yaml"))
                .note("or, for the whole host: `Acquire::Check-Valid-Until \"false\";` in a file in /etc/apt/apt.conf.d");
        }
        if said.contains("does not have a Release file") {
            return error
                .note("the mirror has no such suite: take it, or its pocket, out of kernels.yaml")
                .note(format!("or name a mirror that has it: `mirror:` under `distros: {distro}:`"));
        }
        if said.contains("401  Unauthorized") || said.contains("403  Forbidden") {
            return error.note("docs/kernels-yaml.md says where credentials are read from: \"Credentials\"");
        }
        if said.contains("NO_PUBKEY") || said.contains("is not signed") || said.contains("couldn't be verified") {
            let keyring = self.settings.keyring.as_deref().unwrap_or(Path::new(self.distro.keyring)).display();
            return error
                .note(format!("the keys must be in {keyring}: bring {} up to date", self.distro.keyring_package));
        }
        error
            .note(format!("mirrors: {} and {}", self.mirrors.main, self.mirrors.security))
            .note("without the network: --locked takes kernels.lock as it is, --offline the indices read last")
    }
}

/// Reads an index that apt has verified; apt keeps it compressed where the host's configuration says so.
fn read_list(path: &Path) -> Result<Vec<Stanza>> {
    const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
    const BUFFER: usize = 1 << 17;
    if path.to_string_lossy().ends_with("Packages") {
        return index::read(BufReader::with_capacity(BUFFER, fs::File::open(path).at_path(path)?));
    }
    let mut cat =
        Command::new(APT_HELPER).arg("cat-file").arg(path).stdout(Stdio::piped()).spawn().at_path(APT_HELPER)?;
    let stanzas = index::read(BufReader::with_capacity(BUFFER, cat.stdout.take().expect("is piped")))?;
    if cat.wait().at_path(path)?.success() {
        return Ok(stanzas);
    }
    Err(Error::infra(format!("{}: cannot be unpacked", path.display())).note("run resolve again"))
}

/// The configuration that is put on top of the host's: a private tree, one kind of index, no hooks.
///
/// apt looks at Valid-Until only where it looks at dates at all, so both are said.
fn apt_settings(tree: &Path, check_valid_until: Option<bool>) -> String {
    let tree = tree.display();
    let validity = match check_valid_until {
        Some(true) => "Acquire::Check-Valid-Until \"true\";\nAcquire::Check-Date \"true\";\n",
        Some(false) => "Acquire::Check-Valid-Until \"false\";\n",
        None => "",
    };
    format!(
        "{validity}#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
APT::Architecture \"amd64\";
APT::Architectures {{ \"amd64\"; }};
APT::Get::List-Cleanup \"false\";
APT::Update::Error-Mode \"any\";
Acquire::AllowInsecureRepositories \"false\";
Acquire::AllowWeakRepositories \"false\";
Acquire::AllowDowngradeToInsecureRepositories \"false\";
Acquire::Languages \"none\";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled \"false\";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";
pkgCacheFile::Generate \"false\";
Dir::State \"{tree}/state\";
Dir::State::lists \"lists\";
Dir::State::status \"/dev/null\";
Dir::Cache \"{tree}/cache\";
Dir::Etc::SourceList \"{tree}/sources.sources\";
Dir::Etc::SourceParts \"/dev/null\";
Dir::Etc::Preferences \"/dev/null\";
Dir::Etc::PreferencesParts \"/dev/null\";
"
    )
}

/// The host's own archives, as `URL SUITE COMPONENT` lines. No network and no lists are needed for that.
fn host_targets(store: &Store) -> Result<String> {
    let empty = store.kind("apt")?.join("none");
    fs::create_dir_all(empty.join("partial")).at_path(&empty)?;
    let output = Command::new("apt-get")
        .arg("-o")
        .arg(format!("Dir::State::lists={}", empty.display()))
        .args(["-o", "Dir::State::status=/dev/null"])
        .args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="])
        .args(["indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"])
        .arg("Created-By: Packages")
        .env("LC_ALL", "C")
        .output()
        .at_path("apt-get")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Main and security mirror among the host's archives. Third parties also use a release's name for their suites, so
/// the URL must end as the distribution's own does; its signature is checked in any case.
fn host_mirrors(distro: &Distro, targets: &str) -> (Option<String>, Option<String>) {
    let end = |url: &str| url.trim_end_matches('/').rsplit('/').next().unwrap_or("").to_owned();
    let of = |security: bool| {
        let public = if security { distro.security_mirror() } else { distro.mirror };
        targets.lines().find_map(|line| {
            let [url, suite, component] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
            let known = distro.release_of(suite).is_some() && is_security(suite) == security;
            (known && component == "main" && end(url) == end(public)).then(|| url.to_owned())
        })
    };
    (of(false), of(true))
}

/// Where apt keeps an index: the URL without its scheme and user, special characters quoted, `/` as `_`; perhaps with
/// the extension of a compression after it.
fn list_file(lists: &Path, url: &str) -> Option<PathBuf> {
    let rest =
        url.split_once("://").map_or_else(|| url.split_once(':').map_or(url, |(_, rest)| rest), |(_, rest)| rest);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let quote = |c: char| match c {
        '/' => "_".to_owned(),
        c if c.is_ascii_control() || !c.is_ascii() || "\\|{}[]<>\"^~_=!@#$%^&*".contains(c) => {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}")).collect()
        }
        c => c.to_string(),
    };
    let name: String = format!("{host}/{path}").chars().map(quote).collect();
    ["", ".lz4", ".zst", ".xz", ".gz", ".bz2", ".lzma"]
        .iter()
        .map(|extension| lists.join(format!("{name}{extension}")))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_mirror_is_taken_and_third_parties_are_not() {
        let debian = Distro::find("debian").unwrap();
        let targets = "https://apt.example.com/ bookworm main\n\
                       https://download.example.com/linux/debian bookworm stable\n\
                       http://mirror.example.net/debian/ bookworm main\n\
                       http://mirror.example.net/debian-security/ bookworm-security main\n";
        let (main, security) = host_mirrors(debian, targets);
        assert_eq!(main.as_deref(), Some("http://mirror.example.net/debian/"));
        assert_eq!(security.as_deref(), Some("http://mirror.example.net/debian-security/"));
        assert_eq!(host_mirrors(debian, "http://archive.ubuntu.com/ubuntu noble main\n"), (None, None));
    }

    #[test]
    fn a_list_file_is_found_by_the_name_that_apt_gives_it() {
        let lists = std::env::temp_dir().join(format!("involflt-lists-{}", std::process::id()));
        fs::create_dir_all(&lists).unwrap();
        let name = "mirror.example.net:8080_a%5fb_dists_sid_main_binary-amd64_Packages.lz4";
        fs::write(lists.join(name), "").unwrap();
        let url = "http://user:secret@mirror.example.net:8080/a_b/dists/sid/main/binary-amd64/Packages";
        assert_eq!(list_file(&lists, url), Some(lists.join(name)));
        assert_eq!(list_file(&lists, &url.replace("sid", "forky")), None);
        fs::remove_dir_all(&lists).unwrap();
    }
}
