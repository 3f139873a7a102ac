// SPDX-License-Identifier: GPL-2.0-only
//! The two forms of mirror lists: a URL a line, as yum has it, and metalinks, as MirrorManager writes them
//! (<https://datatracker.ietf.org/doc/html/rfc5854> is their successor).

use super::Mirror;
use crate::checksum::Checksum;
use crate::error::{AtPath, Error, Result};
use roxmltree::{Document, Node};
use std::path::Path;

/// What is in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Base URLs, one a line.
    Lines,
    /// XML: URLs of `repomd.xml`, and its checksums.
    Metalink,
}

impl Form {
    /// The form and the URL of a list; `None` for a URL that is no list's.
    pub fn of(address: &str) -> Option<(Form, &str)> {
        let list = |start: &str, form| Some((form, address.strip_prefix(start)?));
        list("mirrorlist+", Form::Lines).or_else(|| list("metalink+", Form::Metalink))
    }
}

/// The text of a list that was fetched.
pub fn text(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).at_path(file)?;
    String::from_utf8(bytes).map_err(|_| Error::infra("the mirror list is no text"))
}

/// The mirrors of a list, those that it prefers first.
pub fn read(form: Form, text: &str) -> Result<Vec<Mirror>> {
    let mirrors = match form {
        Form::Lines => lines(text)?,
        Form::Metalink => metalink(text)?,
    };
    match mirrors.is_empty() {
        true => Err(Error::infra("it names no mirror that http or https reaches")),
        false => Ok(mirrors),
    }
}

fn lines(text: &str) -> Result<Vec<Mirror>> {
    // What apt-transport-mirror(1) has behind a tab says for what a mirror is good, and its rank.
    let urls = text.lines().map(|line| line.split('\t').next().unwrap_or(line).trim());
    let lines = urls.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mirrors = lines.map(|line| Ok(remote(line)?.then(|| Mirror::at(line))));
    mirrors.filter_map(Result::transpose).collect()
}

fn metalink(text: &str) -> Result<Vec<Mirror>> {
    const END: &str = "/repodata/repomd.xml";
    let bad = |why: String| Error::infra(format!("it is no metalink of a repository: {why}"));
    let document = Document::parse(text).map_err(|error| bad(error.to_string()))?;
    let named = |node: &Node<'_, '_>| is(node, "file") && node.attribute("name") == Some("repomd.xml");
    let file = document.descendants().find(named).ok_or_else(|| bad("it has no file `repomd.xml`".into()))?;
    let of = |name: &'static str| file.descendants().filter(move |node| is(node, name));
    let hash = |node: Node<'_, '_>| Checksum::new(node.attribute("type").unwrap_or(""), node.text().unwrap_or(""));
    let repomd: Vec<Checksum> = of("hash").filter_map(hash).collect();
    let mut mirrors = Vec::new();
    for node in of("url") {
        let url = node.text().unwrap_or("").trim();
        if !remote(url)? {
            continue;
        }
        let base = url.strip_suffix(END).ok_or_else(|| bad(format!("{url:?} does not end in {END}")))?;
        let preference: u32 = node.attribute("preference").and_then(|text| text.parse().ok()).unwrap_or(0);
        mirrors.push((preference, Mirror { repomd: repomd.clone(), ..Mirror::at(base) }));
    }
    mirrors.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
    Ok(mirrors.into_iter().map(|(_, mirror)| mirror).collect())
}

/// Elements go by their name alone: the metalinks there are differ in their namespaces.
fn is(node: &Node<'_, '_>, name: &str) -> bool {
    node.tag_name().name() == name
}

/// Whether a mirror is one that can be used. Lists have ftp and rsync beside https; anything else has no business there: a
/// list that leads to this machine's own files is not one to take mirrors from.
fn remote(url: &str) -> Result<bool> {
    let strange = |c: char| c.is_whitespace() || c.is_control() || "\"\\<>".contains(c);
    match url.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() && !url.contains(strange) => Ok(true),
        Some(("ftp" | "rsync", _)) => Ok(false),
        _ => Err(Error::infra(format!("it names {:?}, which is no http or https address", shown(url)))),
    }
}

/// As much of what a server sent as an error can hold.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(form: Form, text: &str) -> Vec<String> {
        read(form, text).unwrap().into_iter().map(|mirror| mirror.url).collect()
    }

    fn refused(form: Form, text: &str) -> String {
        read(form, text).unwrap_err().message
    }

    #[test]
    fn a_list_has_a_mirror_a_line() {
        let text = "# nearest first\nhttps://a/x/\n\nrsync://b/x\nhttp://c/x\tpriority:2\r\n";
        assert_eq!(urls(Form::Lines, text), ["https://a/x", "http://c/x"]);
        assert!(refused(Form::Lines, "# nothing\n").contains("no mirror"));
        assert!(refused(Form::Lines, "http://a\nfile:///etc\n").contains("\"file:///etc\""));
        assert!(refused(Form::Lines, "<html>").contains("\"<html>\""));
        assert!(refused(Form::Lines, "http://a\" output").contains("no http"));
    }

    fn link(urls: &str) -> String {
        format!(
            "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\" xmlns:mm0=\"http://fedorahosted.org/mirrormanager\">\
             <files><file name=\"repomd.xml\"><verification><hash type=\"md5\">1</hash><hash type=\"sha256\">{}</hash>\
             </verification><mm0:alternates><mm0:alternate><verification><hash type=\"sha512\">{}</hash></verification>\
             </mm0:alternate></mm0:alternates><resources>{urls}</resources></file></files></metalink>",
            "ab".repeat(32),
            "cd".repeat(64)
        )
    }

    #[test]
    fn a_metalink_has_mirrors_by_preference_and_the_checksums_of_the_index() {
        let text = link(
            "<url protocol=\"rsync\" preference=\"100\">rsync://r/x/repodata/repomd.xml</url>\
             <url preference=\"98\">https://b/x/repodata/repomd.xml</url>\
             <url preference=\"99\">https://a/x/repodata/repomd.xml</url>",
        );
        assert_eq!(urls(Form::Metalink, &text), ["https://a/x", "https://b/x"]);
        assert_eq!(read(Form::Metalink, &text).unwrap()[0].repomd.len(), 2);
    }

    #[test]
    fn a_hostile_metalink_is_refused() {
        assert!(refused(Form::Metalink, &link("<url>file:///etc/repodata/repomd.xml</url>")).contains("file:///etc"));
        assert!(refused(Form::Metalink, &link("<url>https://a/passwd</url>")).contains("does not end in"));
        assert!(refused(Form::Metalink, &link("")).contains("no mirror"));
        assert!(refused(Form::Metalink, "<metalink/>").contains("no file"));
        assert!(refused(Form::Metalink, "<!DOCTYPE a [<!ENTITY b \"c\">]><metalink/>").contains("no metalink"));
        assert!(refused(Form::Metalink, &"<a>".repeat(300_000)).contains("no metalink"));
    }
}
