// SPDX-License-Identifier: GPL-2.0-only
//! Mirrors that fail beside one that does not, and mirror lists that lie.

use super::super::fixture::rpms;
use super::{Bench, Outcome, altered_index, behave, strangers, text};
use crate::lock::{LockedPackage, Role};
use crate::store::sha256_file;
use crate::test::Tally;
use std::fs;

/// Runs the tests: some 15 s, most of them waiting for what stalls.
pub fn run(bench: &Bench<'_>, tally: &mut Tally, again: &str) {
    let made = bench.bad_mirrors();
    if made.is_err() {
        return tally.check("mirrors", made, again);
    }
    for (form, list) in [("mirrorlist", lines as List), ("metalink", metalink)] {
        let good = bench.good_one_is_found(form, list);
        tally.check(&format!("mirrors: {form}, four that fail and a good one"), good, again);
        let bad = bench.hostile_list(form, list);
        tally.check(&format!("hostile {form}: file://, huge, a circle, a stall, nothing in it"), bad, again);
    }
    tally.check("mirrors: one that was left behind", bench.left_behind(), again);
    tally.check("mirrors: none that is good", bench.none_is_good(), again);
    tally.check("mirrors: packages", bench.mirrored_packages(), again);
}

/// A list with these URLs of repositories, and of the `repomd.xml` with this SHA-256.
type List = fn(&[String], &str) -> String;

fn lines(urls: &[String], _: &str) -> String {
    urls.join("\n")
}

fn metalink(urls: &[String], sha256: &str) -> String {
    let urls: String = urls.iter().map(|url| format!("<url>{url}/repodata/repomd.xml</url>")).collect();
    format!(
        "<metalink><files><file name=\"repomd.xml\"><verification><hash type=\"sha256\">{sha256}</hash></verification>\
         <resources>{urls}</resources></file></files></metalink>"
    )
}

/// Directories of mirrors that fail, each in its way.
const BAD: [&str; 4] = ["mirror-stall", "mirror-loop", "mirror-altered", "mirror-stranger"];

impl Bench<'_> {
    fn bad_mirrors(&self) -> Outcome {
        for name in BAD {
            self.copy(name)?;
        }
        self.copy("mirror-good")?;
        let dir = |name: &str| self.work.join("served").join(name);
        behave(&dir("mirror-stall"), "stall")?;
        behave(&dir("mirror-loop"), "loop")?;
        altered_index(self, &dir("mirror-altered"))?;
        strangers(self, &dir("mirror-stranger"))?;
        Ok("five mirrors".into())
    }

    fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.server.url)
    }

    /// Serves a list; its address.
    fn list(&self, form: &str, name: &str, list: &str) -> Result<String, String> {
        fs::create_dir_all(self.work.join("served/lists")).map_err(text)?;
        fs::write(self.work.join("served/lists").join(name), list).map_err(text)?;
        Ok(format!("{form}+{}", self.url(&format!("lists/{name}"))))
    }

    fn repomd_sha256(&self) -> Result<String, String> {
        sha256_file(&self.truth.join("repodata/repomd.xml")).map_err(text)
    }

    /// The same packages as without a list.
    fn good_one_is_found(&self, form: &str, list: List) -> Outcome {
        let urls: Vec<String> = BAD.iter().chain(&["mirror-good"]).map(|name| self.url(name)).collect();
        let address = self.list(form, form, &list(&urls, &self.repomd_sha256()?))?;
        let store = self.store(form)?;
        let repository = self.repository_at(address, &store);
        repository.update().map_err(text)?;
        match repository.packages().map_err(text)?.len() {
            4 => Ok("4 packages".into()),
            count => Err(format!("{count} packages")),
        }
    }

    fn hostile_list(&self, form: &str, list: List) -> Outcome {
        let local = list(&["file:///etc".into()], "");
        let huge = list(&vec![self.url("mirror-good"); 200_000], "");
        for (name, content, words) in [
            ("local", local.as_str(), "file:///etc"),
            ("huge", &huge, "longer than"),
            ("empty", &list(&[], ""), "no mirror"),
            ("page", "<html><body>Sign in</body></html>", "no http|no metalink"),
        ] {
            let address = self.list(form, &format!("{form}-{name}"), content)?;
            self.bounded(&format!("{form}-{name}"), address, words)?;
        }
        for (mirror, words) in [("mirror-loop", "leads in a circle"), ("mirror-stall", "stalls")] {
            let address = format!("{form}+{}", self.url(&format!("{mirror}/list")));
            self.bounded(&format!("{form}-{mirror}"), address, words)?;
        }
        Ok("six lists, each refused by name".into())
    }

    /// A good signature does not help a mirror whose index is not the one that the metalink names.
    fn left_behind(&self) -> Outcome {
        let address = self.list("metalink", "behind", &metalink(&[self.url("mirror-good")], &"ab".repeat(32)))?;
        self.bounded("behind", address, "none that the metalink names")
    }

    fn none_is_good(&self) -> Outcome {
        let urls: Vec<String> = BAD.iter().map(|name| self.url(name)).collect();
        let said = self.bounded("no-good", urls.join(" "), "4 mirrors or lists were tried")?;
        match ["stalls", "in a circle", "not those that", "not trusted"].iter().find(|words| !said.contains(**words)) {
            None => Ok("each is named with what it did".into()),
            Some(words) => Err(format!("it did not say `{words}`: {said}")),
        }
    }

    /// A package comes from the first mirror that has the bytes of its checksum.
    fn mirrored_packages(&self) -> Outcome {
        let good = rpms(self.truth)?.pop().ok_or("no rpm")?;
        fs::copy(&good, self.work.join("served/mirror-good/a.rpm")).map_err(text)?;
        fs::write(self.work.join("served/mirror-altered/a.rpm"), "evil").map_err(text)?;
        let package = LockedPackage {
            role: Role::Kdir,
            name: "kernel-devel".into(),
            version: "1-1".into(),
            path: "a.rpm".into(),
            size: fs::metadata(&good).map_err(text)?.len(),
            sha256: sha256_file(&self.work.join("served/mirror-good/a.rpm")).map_err(text)?,
        };
        let urls = ["mirror-none", "mirror-altered", "mirror-good"].map(|name| self.url(name));
        let address = self.list("mirrorlist", "packages", &urls.join("\n"))?;
        let store = self.store("mirrored")?;
        let file = store.package(&package, self.origin(&address), false).map_err(text)?;
        match fs::read(&file).map_err(text)? == fs::read(&good).map_err(text)? {
            true => Ok("gone, altered, good".into()),
            false => Err(format!("{} has other bytes", file.display())),
        }
    }
}
