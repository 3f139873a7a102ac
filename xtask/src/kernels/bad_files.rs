// SPDX-License-Identifier: GPL-2.0-only
//! Files with a mistake in them, and what is said of each: place, offending line, caret, what was expected.

use super::{Document, Kernels};
use crate::error::{Error, Kind};

/// A file that is right, for the mistakes to be put into.
const GOOD: &str = "\
format: 1
distros:
  debian:
    mirror: http://deb.debian.org/debian
    check-valid-until: false
groups:
  default:
    - distro: debian
      suites: [bookworm, trixie-backports]
      pockets: [security]
      arch: amd64
      flavours: [amd64, cloud-amd64]
      newest: 1
      series: own
      version: \">= 5.10\"
";

fn read(text: &str) -> Result<Kernels, Error> {
    Kernels::check(Document::new("kernels.yaml", text))
}

/// Replaces `old` in the good file, and asserts place, line, caret, message and expectation of the error.
#[track_caller]
fn bad(old: &str, new: &str, place: (usize, usize), message: &str, expected: &str) {
    assert_eq!(GOOD.matches(old).count(), 1, "`{old}` is in the good file once");
    refused(&GOOD.replace(old, new), place, message, expected);
}

#[track_caller]
fn refused(text: &str, (line, column): (usize, usize), message: &str, expected: &str) {
    let error = read(text).expect_err("the file has a mistake");
    assert_eq!(error.kind, Kind::Input, "{error}");
    let said: Vec<&str> = error.message.lines().collect();
    let [first, shown, caret, last] = said[..] else { panic!("four lines, not\n{error}") };
    let place = format!("kernels.yaml:{line}:{column}: ");
    assert!(first.starts_with(&place) && first.contains(message), "wanted `{place}…{message}`, got\n{error}");
    let offending = text.lines().nth(line - 1).unwrap_or("");
    assert_eq!(shown, format!("  {line} | {offending}"), "{error}");
    assert_eq!(caret.chars().count(), shown.chars().count() - offending.chars().count() + column, "{error}");
    assert!(caret.ends_with('^'), "{error}");
    assert!(last.starts_with("  expected: ") && last.contains(expected), "wanted `{expected}`, got\n{error}");
}

#[test]
fn the_good_file_and_the_committed_one_are_accepted() {
    read(GOOD).unwrap();
    let committed = Kernels::read(std::path::Path::new("../kernels.yaml")).unwrap();
    assert_eq!(
        committed.groups().collect::<Vec<_>>(),
        ["azure", "before-5.10", "debian-all", "default", "enterprise", "long-support", "real-time", "ubuntu"]
    );
}

#[test]
fn an_error_reads_as_a_whole() {
    let error = read(&GOOD.replace("flavours:", "flavors:")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "kernels.yaml:12:7: groups.default[0]: unknown key `flavors`\n  \
         12 |       flavors: [amd64, cloud-amd64]\n     \
         |       ^\n  \
         expected: one of `distro`, `suites`, `sles`, `rhel`, `pockets`, `arch`, `flavours`, `newest`, `series`, `version`"
    );
}

#[test]
fn unknown_keys() {
    bad("format: 1", "format: 1\ncolour: red", (2, 1), "unknown key `colour`", "`format`, `distros`, `groups`");
    bad("    mirror:", "    miror:", (4, 5), "unknown key `miror`", "`mirror`");
    bad("newest: 1", "latest: 1", (13, 7), "unknown key `latest`", "`newest`");
}

#[test]
fn wrong_types() {
    bad("newest: 1", "newest: one", (13, 15), "wrong type: string \"one\"", "a whole number");
    bad("newest: 1", "newest: -1", (13, 15), "wrong type: integer `-1`", "a whole number");
    bad("[bookworm, trixie-backports]", "bookworm", (9, 15), "wrong type: string \"bookworm\"", "a list");
    bad("distro: debian", "distro: [debian]", (8, 15), "wrong type: list", "a string");
    bad("check-valid-until: false", "check-valid-until: maybe", (5, 24), "wrong type: string \"maybe\"", "a boolean");
    bad("format: 1", "format: first", (1, 9), "wrong type: string \"first\"", "a whole number");
    refused("- format: 1\n", (1, 1), "wrong type: list", "a mapping");
}

#[test]
fn duplicate_keys_are_shown_at_the_second() {
    bad("newest: 1", "newest: 1\n      newest: 2", (14, 7), "duplicate key `newest`", "each key once");
    bad("groups:", "groups:\n  default: []\ngroups:", (8, 1), "duplicate key `groups`", "each key once");
    let twice = format!("{GOOD}  default:\n    - distro: debian\n      suites: [sid]\n      flavours: [amd64]\n");
    refused(&twice, (16, 3), "duplicate key `default`", "each key once");
}

#[test]
fn unknown_names() {
    bad("trixie-backports", "trixie-backport", (9, 26), "unknown suite `trixie-backport` of debian", "`trixie`");
    bad("[bookworm,", "[sid-security,", (9, 16), "unknown suite `sid-security`", "a release");
    bad("distro: debian", "distro: debain", (8, 15), "unknown distro `debain`", "`debian`");
    bad("  debian:", "  plan9:", (3, 3), "unknown distro `plan9`", "`debian`");
    bad("[security]", "[security, proposed]", (10, 27), "unknown pocket `proposed`", "`backports`");
    bad("arch: amd64", "arch: x86_64", (11, 13), "unknown architecture `x86_64`", "`amd64`, `arm64`");
    bad("series: own", "series: mine", (14, 15), "unknown value `mine`", "`own` or `all`");
    bad("cloud-amd64", "cloud", (12, 25), "flavour `cloud` is not one of amd64", "`cloud-amd64`");
}

#[test]
fn empty_selections() {
    bad("[bookworm, trixie-backports]", "[]", (9, 15), "`suites` is empty", "at least one release");
    bad("[amd64, cloud-amd64]", "[]", (12, 17), "`flavours` is empty", "at least one flavour");
    bad("newest: 1", "newest: 0", (13, 15), "`newest: 0` selects nothing", "1 or more");
    refused("format: 1\ngroups:\n  default: []\n", (3, 12), "group `default` selects nothing", "at least one selector");
    refused("format: 1\ngroups: {}\n", (2, 1), "there is no group `default`", "a group `default`");
}

#[test]
fn missing_keys_and_bad_values() {
    bad("      flavours: [amd64, cloud-amd64]\n", "", (8, 7), "missing key `flavours`", "well-formed");
    bad("format: 1", "format: 2", (1, 9), "unknown format 2", "`1`");
    bad("\">= 5.10\"", "5.10.x", (15, 16), "invalid version constraint `5.10.x`", "comparisons such as");
    bad("http://deb.debian.org/debian", "deb.debian.org", (4, 13), "`deb.debian.org` is no archive URL", "a URL");
    bad("[bookworm,", "[bookworm, bookworm,", (9, 26), "`bookworm` is listed twice", "each name once");
    bad("  default:", "  all kernels: []\n  default:", (7, 3), "bad group name `all kernels`", "letters, digits");
}

#[test]
fn mirrors_and_lists_of_mirrors() {
    let rpm = |lines: &str| format!("format: 1\ndistros:\n  rocky:\n{lines}groups:\n  default: []\n");
    let mirror = rpm("    mirrors: [ftp://a]\n");
    refused(&mirror, (4, 15), "`ftp://a` is no archive URL", "https://");
    for entry in ["rsync://a/b", "mirrorlist+rsync://a", "'a b'"] {
        let text = rpm(&format!("    repositories: [a, {entry}]\n"));
        refused(&text, (4, 23), "is no repository", "`mirrorlist+`");
    }
    let apt = "    check-valid-until: false\n";
    bad(apt, "    mirrors: [http://a]\n", (5, 15), "`mirrors` of debian", "mirror+http://");
}

#[test]
fn text_that_is_no_yaml() {
    bad("[amd64, cloud-amd64]", "[amd64, cloud-amd64", (13, 13), "did not find expected", "well-formed YAML");
    bad("      arch:", "\tarch:", (11, 1), "found character that cannot start any token", "well-formed YAML");
    refused("", (1, 1), "missing key `format`", "well-formed");
    refused("format: 1\ngroups:\n", (2, 1), "there is no group `default`", "a group `default`");
}
