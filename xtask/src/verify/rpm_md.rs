// SPDX-License-Identifier: GPL-2.0-only
//! The rpm-md repositories, followed as zypper and dnf do: repomd.xml, primary, packages.

use super::{Checker, has_extension, inside, name};
use crate::error::Result;
use crate::unpack::ask;
use roxmltree::{Document, Node};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

impl Checker<'_> {
    /// Checks every repository; the number of them.
    pub(super) fn rpm_repositories(&self, files: &[PathBuf]) -> Result<usize> {
        let below = |file: &&PathBuf| file.starts_with("rpm");
        let repositories: BTreeSet<PathBuf> =
            files.iter().filter(below).map(|file| file.iter().take(2).collect::<PathBuf>()).collect();
        for repository in &repositories {
            self.rpm_repository(repository, files)?;
        }
        Ok(repositories.len())
    }

    fn rpm_repository(&self, repository: &Path, files: &[PathBuf]) -> Result<()> {
        let index = repository.join("repodata/repomd.xml");
        self.signature(&index, &with(&index, ".asc"))?;
        self.archive_key(&with(&index, ".key"))?;
        let mut listed: BTreeSet<PathBuf> = [index.clone(), with(&index, ".asc"), with(&index, ".key")].into();
        let Some(text) = self.text(&index) else { return Ok(()) };
        for (kind, entry) in self.entries(&text, &index, "data") {
            let file = repository.join(&entry.file);
            self.hash(&file, &entry.hash, &index)?;
            if kind == "primary" {
                self.primary(repository, &file, &mut listed)?;
            }
            listed.insert(file);
        }
        for file in files.iter().filter(|file| file.starts_with(repository) && !listed.contains(*file)) {
            self.found(file, "the repository's index does not list it");
        }
        Ok(())
    }

    fn primary(&self, repository: &Path, primary: &Path, listed: &mut BTreeSet<PathBuf>) -> Result<()> {
        let text = match unpacked(&self.dist.join(primary))? {
            Ok(text) => text,
            Err(said) => {
                self.found(primary, said);
                return Ok(());
            }
        };
        for (_, entry) in self.entries(&text, primary, "package") {
            let file = repository.join(&entry.file);
            self.hash(&file, &entry.hash, primary)?;
            if !entry.name.is_empty() && name(&file) != entry.name {
                self.found(primary, format!("it lists {} as {}", file.display(), entry.name));
            }
            listed.insert(file);
        }
        Ok(())
    }

    /// The entries of an index, each with its `type`; what is wrong with the index is a finding about it.
    fn entries(&self, text: &str, index: &Path, element: &str) -> Vec<(String, Entry)> {
        let document = match Document::parse(text) {
            Ok(document) => document,
            Err(error) => {
                self.found(index, format!("it is no XML: {error}"));
                return Vec::new();
            }
        };
        let nodes = document.root_element().children().filter(|node| node.has_tag_name(element_of(&document, element)));
        let read = |node: Node<'_, '_>| match Entry::read(node) {
            Some(entry) => Some((node.attribute("type").unwrap_or_default().to_string(), entry)),
            None => {
                self.found(index, format!("an entry {element} has no location below the repository, or no SHA-256"));
                None
            }
        };
        nodes.filter_map(read).collect()
    }
}

/// An element's name in the document's own namespace.
fn element_of<'d>(document: &'d Document<'_>, element: &'d str) -> (&'d str, &'d str) {
    (document.root_element().tag_name().namespace().unwrap_or_default(), element)
}

/// One file that an index lists.
struct Entry {
    file: PathBuf,
    hash: String,
    /// The file name that a package's tags give; empty for other files.
    name: String,
}

impl Entry {
    fn read(node: Node<'_, '_>) -> Option<Entry> {
        let child = |name: &str| node.children().find(|child| child.tag_name().name() == name);
        let text = |name: &str| child(name).and_then(|child| child.text()).unwrap_or_default();
        let hash = child("checksum").filter(|hash| hash.attribute("type") == Some("sha256"))?.text()?;
        let file = inside(child("location")?.attribute("href")?)?.to_path_buf();
        let version = |name: &str| child("version").and_then(|version| version.attribute(name)).unwrap_or_default();
        let name = match has_extension(&file, "rpm") {
            true => format!("{}-{}-{}.{}.rpm", text("name"), version("ver"), version("rel"), text("arch")),
            false => String::new(),
        };
        Some(Entry { file, hash: hash.to_string(), name })
    }
}

fn unpacked(file: &Path) -> Result<std::result::Result<String, String>> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => "gzip",
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => return Ok(Err("it is in no format that is known here".into())),
    };
    let said = ask(Command::new(program).args(["--decompress", "--stdout"]).arg(file))?;
    Ok(said.and_then(|data| String::from_utf8(data).map_err(|_| "it is no text".into())))
}

fn with(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_a_strong_hash_or_outside_of_the_repository_is_none() {
        let entry = |checksum: &str, href: &str| {
            let text = format!(
                "<package type=\"rpm\"><name>a</name><arch>noarch</arch><version epoch=\"0\" ver=\"1\" rel=\"2\"/>\
                 {checksum}<location href=\"{href}\"/></package>"
            );
            Entry::read(Document::parse(&text).unwrap().root_element())
        };
        let found = entry("<checksum type=\"sha256\">ab</checksum>", "noarch/a-1-2.noarch.rpm").unwrap();
        assert_eq!((found.name.as_str(), found.hash.as_str()), ("a-1-2.noarch.rpm", "ab"));
        assert!(entry("<checksum type=\"sha\">ab</checksum>", "a.rpm").is_none());
        assert!(entry("<checksum type=\"sha256\">ab</checksum>", "../a.rpm").is_none());
        assert!(entry("", "a.rpm").is_none());
    }
}
