// SPDX-License-Identifier: GPL-2.0-only
//! `kernels.yaml`: which kernels to build for, as selectors. `docs/kernels-yaml.md` is its reference.

mod constraint;
mod distro;
mod document;
mod families;
mod release;
mod repositories;
mod selector;

#[cfg(test)]
mod bad_files;

pub use constraint::Constraint;
pub use distro::{
    ARCHITECTURES, Archive, DISTROS, Distro, Layout, PRO_KEYRING, PRO_MIRROR, Release, Trust, is_pro, is_security,
};
pub use document::{Document, Step};
pub use families::{FAMILIES, Family};
pub use release::{ReleaseCommand, parse as parse_release};
pub use repositories::{Server, fill as fill_path, flavours as repository_flavours, paths as repository_paths};

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The group that is meant when none is named.
pub const DEFAULT_GROUP: &str = "default";

/// The file's content, once every rule of it has been checked.
#[derive(Debug)]
pub struct Kernels {
    document: Document,
    file: File,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default)]
    distros: BTreeMap<String, ArchiveSettings>,
    groups: BTreeMap<String, Vec<Selector>>,
}

/// Where and how a distribution's archive is read, where that differs from the host's apt configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArchiveSettings {
    /// Base URL of the main archive.
    pub mirror: Option<String>,
    /// Base URL of the security archive.
    pub security_mirror: Option<String>,
    /// Base URL of what has left the mirrors, for rpm distributions.
    pub vault_mirror: Option<String>,
    /// Base URL of the archive of Ubuntu Pro.
    pub pro_mirror: Option<String>,
    /// File with the keys that sign the archive.
    pub keyring: Option<PathBuf>,
    /// File with the keys that sign the archive of Ubuntu Pro.
    pub pro_keyring: Option<PathBuf>,
    /// Whether an index past its Valid-Until is refused.
    pub check_valid_until: Option<bool>,
    /// Base URLs that are tried where `mirror` fails, for rpm distributions.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// For rpm distributions, in place of the vendor's own: paths below the mirrors, and URLs of repositories and of mirror
    /// lists; `RELEASE` stands for the release.
    pub repositories: Option<Vec<String>>,
    /// Debian release whose compilers build for this rpm distribution, in place of its own image.
    pub build_root: Option<String>,
}

/// One entry of a group: kernels of some suites of one distribution.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "selector::Written")]
pub struct Selector {
    /// Distribution: `debian`.
    pub distro: String,
    /// Releases (with their `pockets`) and single suites such as `trixie-backports`.
    pub suites: Vec<String>,
    /// Pockets that are read along with a release.
    pub pockets: Vec<String>,
    /// Architecture.
    pub arch: String,
    /// Flavours: `amd64`, `cloud-amd64`, `rt-amd64`.
    pub flavours: Vec<String>,
    /// How many per suite, flavour and series; all where not given.
    pub newest: Option<usize>,
    /// The suite's own kernel series, or also those offered beside it.
    pub series: Series,
    /// Which versions.
    pub version: Option<Constraint>,
}

/// Which of a suite's kernel series are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Series {
    /// The one that the suite itself is about: 6.1 in bookworm.
    #[default]
    Own,
    /// Also later ones beside it: 6.12 in bookworm-security.
    All,
}

fn default_pockets() -> Vec<String> {
    vec!["updates".into(), "security".into()]
}

fn default_arch() -> String {
    "amd64".into()
}

impl Selector {
    /// What is known of its distribution.
    ///
    /// # Panics
    /// For a selector that did not come out of [`Kernels::read`], which knows only distributions of the table.
    pub fn distro(&self) -> &'static Distro {
        Distro::find(&self.distro).expect("was checked when the file was read")
    }

    /// The suites behind each entry of `suites`: a release brings its pockets, a single suite is itself.
    pub fn expanded(&self) -> Vec<Vec<String>> {
        let expand = |entry: &String| {
            let release = Distro::find(&self.distro).and_then(|distro| distro.release_of(entry));
            let pockets = match release {
                Some(release) if release.name == entry => release.pockets,
                _ => &[],
            };
            let read = self.pockets.iter().filter(|pocket| pockets.contains(&pocket.as_str()));
            std::iter::once(entry.clone()).chain(read.map(|pocket| format!("{entry}-{pocket}"))).collect()
        };
        self.suites.iter().map(expand).collect()
    }
}

impl Kernels {
    /// Reads and checks a file; an error of the user's says line, column and what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        Self::check(Document::read(path)?)
    }

    fn check(document: Document) -> Result<Self> {
        let kernels = Kernels { file: document.parse()?, document };
        kernels.check_top()?;
        for (group, selectors) in &kernels.file.groups {
            kernels.check_group(group, selectors)?;
        }
        Ok(kernels)
    }

    /// The selectors of a group.
    pub fn group(&self, name: &str) -> Option<&[Selector]> {
        self.file.groups.get(name).map(Vec::as_slice)
    }

    /// The names of all groups, sorted.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.file.groups.keys().map(String::as_str)
    }

    /// The archive settings of a distribution.
    pub fn archive(&self, distro: &str) -> ArchiveSettings {
        self.file.distros.get(distro).cloned().unwrap_or_default()
    }

    /// An error about one selector as a whole, with its place in the file.
    pub fn selector_error(&self, group: &str, index: usize, message: &str, expected: &str) -> Error {
        self.document.error(&place(group, index, []), message, expected)
    }

    fn check_top(&self) -> Result<()> {
        if self.file.format != 1 {
            let message = format!("unknown format {}", self.file.format);
            return Err(self.document.error(&[Step::Key("format".into())], message, "`1`"));
        }
        for (name, settings) in &self.file.distros {
            let steps = [Step::Key("distros".into()), Step::Name(name.clone())];
            self.known(&steps, "distro", name, &distro_names())?;
            self.check_mirrors(name, settings)?;
        }
        if self.file.groups.contains_key(DEFAULT_GROUP) {
            return Ok(());
        }
        Err(self.document.error(
            &[Step::Name("groups".into())],
            "there is no group `default`",
            "a group `default`, which is built when no other is named",
        ))
    }

    fn check_mirrors(&self, distro: &str, settings: &ArchiveSettings) -> Result<()> {
        let mirrors = [
            ("mirror", &settings.mirror),
            ("security-mirror", &settings.security_mirror),
            ("vault-mirror", &settings.vault_mirror),
            ("pro-mirror", &settings.pro_mirror),
        ];
        for (key, url) in mirrors.into_iter().filter_map(|(key, url)| Some((key, url.as_ref()?))) {
            if !is_url(url, &["http://", "https://", "file:/", "ftp://", "mirror+"]) {
                let message = format!("`{url}` is no archive URL");
                let expected = "a URL such as http://deb.debian.org/debian";
                return Err(self.document.error(&setting(distro, key, None), message, expected));
            }
        }
        self.check_rpm_mirrors(distro, settings)
    }

    fn check_rpm_mirrors(&self, distro: &str, settings: &ArchiveSettings) -> Result<()> {
        let is_rpm = Distro::find(distro).is_some_and(|distro| distro.layout().is_some());
        for (item, url) in settings.mirrors.iter().enumerate() {
            let steps = setting(distro, "mirrors", Some(item));
            if !is_rpm {
                let expected = "`mirror: mirror+http://…`: a list of mirrors, which apt itself reads";
                return Err(self.document.error(&steps, format!("`mirrors` of {distro}, which apt reads"), expected));
            }
            if !is_url(url, &RPM_SCHEMES) {
                let expected = "a URL such as https://mirror.example.org/rocky";
                return Err(self.document.error(&steps, format!("`{url}` is no archive URL"), expected));
            }
        }
        for (item, path) in settings.repositories.iter().flatten().enumerate() {
            let url = ["mirrorlist+", "metalink+"].iter().find_map(|list| path.strip_prefix(list)).unwrap_or(path);
            if path.is_empty()
                || path.contains(char::is_whitespace)
                || (path.contains(':') && !is_url(url, &RPM_SCHEMES))
            {
                let expected = "a path below the mirror, or a URL, or `mirrorlist+` or `metalink+` and a URL";
                let message = format!("`{path}` is no repository");
                return Err(self.document.error(&setting(distro, "repositories", Some(item)), message, expected));
            }
        }
        Ok(())
    }

    fn check_group(&self, group: &str, selectors: &[Selector]) -> Result<()> {
        if group.is_empty() || !group.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let steps = [Step::Key("groups".into()), Step::Name(group.into())];
            let expected = "letters, digits, `-`, `_` and `.`";
            return Err(self.document.error(&steps, format!("bad group name `{group}`"), expected));
        }
        if selectors.is_empty() {
            let steps = [Step::Key("groups".into()), Step::Key(group.into())];
            let expected = "a list of at least one selector";
            return Err(self.document.error(&steps, format!("group `{group}` selects nothing"), expected));
        }
        selectors.iter().enumerate().try_for_each(|(index, selector)| self.check_selector(group, index, selector))
    }

    fn check_selector(&self, group: &str, index: usize, selector: &Selector) -> Result<()> {
        let at = |key: &str| place(group, index, [Step::Key(key.into())]);
        self.known(&at("distro"), "distro", &selector.distro, &distro_names())?;
        self.known(&at("arch"), "architecture", &selector.arch, &ARCHITECTURES)?;
        self.check_suites(group, index, selector)?;
        self.check_list(group, index, "pockets", &selector.pockets)?;
        let distro = Distro::find(&selector.distro).expect("was checked before");
        for (item, pocket) in selector.pockets.iter().enumerate() {
            let steps = place(group, index, [Step::Key("pockets".into()), Step::Item(item)]);
            self.known(&steps, "pocket", pocket, &distro.pockets())?;
        }
        self.check_flavours(group, index, selector)?;
        if selector.newest == Some(0) {
            let expected = "1 or more; without the key every kernel is taken";
            return Err(self.document.error(&at("newest"), "`newest: 0` selects nothing", expected));
        }
        Ok(())
    }

    fn check_suites(&self, group: &str, index: usize, selector: &Selector) -> Result<()> {
        self.check_list(group, index, "suites", &selector.suites)?;
        let distro = Distro::find(&selector.distro).expect("was checked before");
        for (item, suite) in selector.suites.iter().enumerate() {
            if distro.release_of(suite).is_some() {
                continue;
            }
            let steps = place(group, index, [Step::Key("suites".into()), Step::Item(item)]);
            let names: Vec<&str> = distro.releases.iter().map(|release| release.name).collect();
            let expected = format!(
                "a release ({}), or one suite of it (`bookworm-backports`, `bookworm-security`)",
                quoted(&names)
            );
            return Err(self.document.error(&steps, format!("unknown suite `{suite}` of {}", distro.name), expected));
        }
        self.nonempty(group, index, "suites", &selector.suites, "at least one release or suite")
    }

    fn check_flavours(&self, group: &str, index: usize, selector: &Selector) -> Result<()> {
        self.nonempty(group, index, "flavours", &selector.flavours, "at least one flavour, such as `amd64`")?;
        self.check_list(group, index, "flavours", &selector.flavours)?;
        let distro = Distro::find(&selector.distro).expect("was checked before");
        if let Archive::RpmMd { repositories, .. } = distro.archive {
            return self.check_rpm_flavours(group, index, selector, (distro, repositories));
        }
        if let Archive::Apt { flavours: flavours @ [_, ..], .. } = distro.archive {
            let steps = |item| place(group, index, [Step::Key("flavours".into()), Step::Item(item)]);
            let mut each = selector.flavours.iter().enumerate();
            let what = format!("flavour of {}", distro.name);
            return each.try_for_each(|(item, flavour)| self.known(&steps(item), &what, flavour, flavours));
        }
        let suffix = &selector.arch;
        for (item, flavour) in selector.flavours.iter().enumerate() {
            if flavour == suffix || flavour.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('-')) {
                continue;
            }
            let steps = place(group, index, [Step::Key("flavours".into()), Step::Item(item)]);
            let expected = format!("`{suffix}`, `cloud-{suffix}` or `rt-{suffix}`: a flavour ends in its architecture");
            let message = format!("flavour `{flavour}` is not one of {suffix}");
            return Err(self.document.error(&steps, message, expected));
        }
        Ok(())
    }

    fn check_rpm_flavours(
        &self,
        group: &str,
        index: usize,
        selector: &Selector,
        (distro, repositories): (&Distro, &[repositories::RepositoryPath]),
    ) -> Result<()> {
        for (item, flavour) in selector.flavours.iter().enumerate() {
            for suite in &selector.suites {
                let release = distro.release_of(suite).map_or(suite.as_str(), |release| release.name);
                let known = repositories::flavours(repositories, release);
                let steps = place(group, index, [Step::Key("flavours".into()), Step::Item(item)]);
                self.known(&steps, &format!("flavour of {} {suite}", selector.distro), flavour, &known)?;
            }
        }
        Ok(())
    }

    fn nonempty(&self, group: &str, index: usize, key: &str, list: &[String], expected: &str) -> Result<()> {
        if !list.is_empty() {
            return Ok(());
        }
        let steps = place(group, index, [Step::Key(key.into())]);
        Err(self.document.error(&steps, format!("`{key}` is empty, so this selects nothing"), expected))
    }

    /// Refuses a name that a list has twice.
    fn check_list(&self, group: &str, index: usize, key: &str, list: &[String]) -> Result<()> {
        for (item, name) in list.iter().enumerate() {
            if list[..item].contains(name) {
                let steps = place(group, index, [Step::Key(key.into()), Step::Item(item)]);
                return Err(self.document.error(&steps, format!("`{name}` is listed twice"), "each name once"));
            }
        }
        Ok(())
    }

    fn known(&self, steps: &[Step], what: &str, name: &str, names: &[&str]) -> Result<()> {
        if names.contains(&name) {
            return Ok(());
        }
        let expected = if names.len() == 1 { quoted(names) } else { format!("one of {}", quoted(names)) };
        Err(self.document.error(steps, format!("unknown {what} `{name}`"), expected))
    }
}

/// How the URLs of rpm distributions may begin.
const RPM_SCHEMES: [&str; 3] = ["http://", "https://", "file:/"];

fn is_url(url: &str, schemes: &[&str]) -> bool {
    schemes.iter().any(|scheme| url.starts_with(scheme)) && !url.contains(char::is_whitespace)
}

fn setting(distro: &str, key: &str, item: Option<usize>) -> Vec<Step> {
    let steps = [Step::Key("distros".into()), Step::Key(distro.into()), Step::Key(key.into())];
    steps.into_iter().chain(item.map(Step::Item)).collect()
}

fn distro_names() -> Vec<&'static str> {
    DISTROS.iter().map(|distro| distro.name).collect()
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn place(group: &str, index: usize, more: impl IntoIterator<Item = Step>) -> Vec<Step> {
    let start = [Step::Key("groups".into()), Step::Key(group.into()), Step::Item(index)];
    start.into_iter().chain(more).collect()
}
