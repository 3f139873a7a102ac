// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::package::{DATE, Recipe};
use serde_json::json;
use std::process::Command;

fn subject<'a>(recipe: &'a Recipe, parts: &'a [Part]) -> Subject<'a> {
    let file = |path: &str| FileHash { path: path.into(), sha1: "a".repeat(40), sha256: "b".repeat(64) };
    Subject { recipe, sha256: "c".repeat(64), files: vec![file("/usr/bin/involfltctl"), file("/etc/x")], parts }
}

fn about() -> About {
    let hash = "b".repeat(64);
    About {
        name: "involflt-utils".into(),
        version: "0.1.0-1".into(),
        licence: LICENCE.into(),
        sha256: "c".repeat(64),
        files: [("/usr/bin/involfltctl".into(), hash.clone()), ("/etc/x".into(), hash)].into(),
    }
}

#[test]
fn what_is_written_is_read_again() {
    let recipe = Recipe::example("involflt-utils", "0.1.0-1");
    let parts = [core_crate("1.85.0")];
    for format in FORMATS {
        let document = format.render(&subject(&recipe, &parts));
        assert_eq!(format.read(&document.to_string()), Some(about()), "{format:?}");
        assert_eq!(format.render(&subject(&recipe, &parts)), document, "{format:?} has the same bytes again");
    }
}

#[test]
fn one_format_is_not_the_other() {
    assert_eq!(Format::Spdx.read(&json!({ "bomFormat": "CycloneDX", "specVersion": "1.5" }).to_string()), None);
    assert_eq!(Format::CycloneDx.read("not JSON"), None);
    assert_eq!(Format::CycloneDx.read("{}"), None);
}

#[test]
fn an_identity_changes_with_the_package() {
    let recipe = Recipe::example("involflt-utils", "0.1.0-1");
    let one = subject(&recipe, &[]).uuid();
    let other = Subject { sha256: "d".repeat(64), ..subject(&recipe, &[]) }.uuid();
    assert_ne!(one, other);
    assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
}

#[test]
fn the_date_is_that_of_the_packages_files() {
    let output = Command::new("date").args(["--utc", "--date", &format!("@{DATE}"), "+%FT%TZ"]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), spdx::CREATED);
}
