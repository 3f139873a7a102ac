// SPDX-License-Identifier: GPL-2.0-only
//! Mirrors of one repository, tried in their order until one has what is asked for, with good signatures and checksums.
//!
//! A mirror is believed in nothing: who calls verifies what came, and a mirror whose bytes are not those that were signed
//! is one more that failed.

mod list;

use crate::checksum::Checksum;
use crate::credentials::Access;
use crate::error::{Error, Kind, Result};
use crate::fetch::{self, Channel, Patience, Size, Way};
use crate::store::remove;
use list::Form;
use std::path::Path;

/// Mirrors that are tried at most: each may keep its asker waiting.
const MOST: usize = 5;
/// Bytes of a mirror list; Fedora's longest have some 60 kB.
const LONGEST: u64 = 1 << 20;

/// One place of a repository.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Base URL, without a slash at the end.
    pub url: String,
    /// Of the `repomd.xml` files that a metalink names: its newest, and those shortly before it. Empty where none is named.
    repomd: Vec<Checksum>,
}

impl Mirror {
    fn at(url: &str) -> Self {
        Mirror { url: url.trim_end_matches('/').to_string(), repomd: Vec::new() }
    }

    /// Refuses a `repomd.xml` that a metalink does not know: that of a mirror which was left behind, good signature or not.
    pub fn check_repomd(&self, file: &Path) -> Result<()> {
        for checksum in &self.repomd {
            if checksum.is_of(file)? {
                return Ok(());
            }
        }
        match self.repomd.is_empty() {
            true => Ok(()),
            false => Err(Error::infra(format!("{}: its repomd.xml is none that the metalink names", self.url))),
        }
    }
}

/// Does `work` with one mirror after the other, until it succeeds.
///
/// `address` is one or more URLs with spaces between them: `https://…` is a mirror, `mirrorlist+https://…` and
/// `metalink+https://…` are lists of mirrors. A list is kept in the file `scratch` while it is read. Of all mirrors,
/// [`MOST`] are tried. `channel` is for the list; who fetches from a mirror says it again.
pub fn each<T>(
    address: &str,
    scratch: &Path,
    (patience, channel): (Patience, Channel),
    mut work: impl FnMut(&Mirror) -> Result<T>,
) -> Result<T> {
    let mut failed = Vec::new();
    let mut tried = 0;
    for part in address.split_whitespace() {
        let mirrors = match mirrors(part, scratch, patience, channel) {
            Ok(mirrors) => mirrors,
            Err(error) => {
                failed.push(error);
                continue;
            }
        };
        for mirror in mirrors.iter().take(MOST - tried) {
            tried += 1;
            match work(mirror) {
                Ok(done) => return Ok(done),
                Err(error) => failed.push(error),
            }
        }
    }
    Err(all_failed(failed, address))
}

/// The mirrors behind one URL of an address.
fn mirrors(part: &str, scratch: &Path, patience: Patience, channel: Channel) -> Result<Vec<Mirror>> {
    let Some((form, url)) = Form::of(part) else { return Ok(vec![Mirror::at(part)]) };
    let way = Way { access: &Access::to(url)?, patience, channel };
    let text = fetch::get(url, scratch, Size::AtMost(LONGEST), way).and_then(|()| list::text(scratch));
    remove(scratch)?;
    let mirrors = text.and_then(|text| list::read(form, &text).map_err(|error| error.at(url)));
    // What a server of lists does not have is no kernel's failure.
    mirrors.map_err(|error| Error { kind: Kind::Infra, ..error }.at("the mirror list cannot be used"))
}

/// One failure is told as it is. Of several, the kernel's own are only believed where all say the same: one mirror that
/// does not have a package may be behind.
fn all_failed(mut failed: Vec<Error>, address: &str) -> Error {
    match failed.len() {
        0 => Error::input(format!("{address:?} names no mirror")),
        1 => failed.remove(0),
        count => {
            let lines: String = failed.iter().map(|error| format!("\n  {}", error.message)).collect();
            let mut notes: Vec<String> = failed.iter().flat_map(|error| error.notes.iter().cloned()).collect();
            notes.sort();
            notes.dedup();
            let kind = failed.iter().map(|error| error.kind).find(|kind| *kind != Kind::Kernel);
            let message = format!("{count} mirrors or lists were tried:{lines}");
            Error { kind: kind.unwrap_or(Kind::Kernel), message, notes }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_of(address: &str, work: impl FnMut(&Mirror) -> Result<String>) -> Result<String> {
        each(address, Path::new("none"), (Patience::INDEX, Channel::Any), work)
    }

    #[test]
    fn the_first_that_works_is_taken_and_five_are_tried() {
        let good = |mirror: &Mirror| match mirror.url.as_str() {
            "http://c" => Ok(mirror.url.clone()),
            url => Err(Error::kernel(format!("{url}: no"))),
        };
        assert_eq!(each_of("http://a/ http://b http://c/ http://d", good).unwrap(), "http://c");
        let mut count = 0;
        let error = each_of("http://1 http://2 http://3 http://4 http://5 http://6", |mirror| {
            count += 1;
            good(mirror)
        });
        assert_eq!((count, error.unwrap_err().kind), (5, Kind::Kernel));
    }

    #[test]
    fn what_one_mirror_lacks_is_gone_only_where_all_lack_it() {
        let work = |mirror: &Mirror| match mirror.url.as_str() {
            "http://a" => Err(Error::kernel("a: gone")),
            _ => Err(Error::infra("b: it stalls").note("try again")),
        };
        let error = each_of("http://a http://b", work).unwrap_err();
        assert_eq!(error.kind, Kind::Infra);
        assert_eq!(error.message, "2 mirrors or lists were tried:\n  a: gone\n  b: it stalls");
        assert_eq!(each_of("http://a", work).unwrap_err().message, "a: gone");
    }
}
