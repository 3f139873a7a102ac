// SPDX-License-Identifier: GPL-2.0-only
//! The select language, one for all commands. `docs/kernels-yaml.md` describes it.
//!
//! An expression is a list of terms that must all hold; several expressions add up.

use crate::error::{Error, Result};
use crate::kernels::{DEFAULT_GROUP, Distro, Release};
use crate::lock::{LockedKernel, Platform};
use std::collections::BTreeSet;

/// What a term can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// `debian`.
    pub distro: &'a str,
    /// `bookworm`.
    pub release: &'a str,
    /// `bookworm-security`.
    pub suite: &'a str,
    /// `amd64`.
    pub arch: &'a str,
    /// `cloud-amd64`.
    pub flavour: &'a str,
    /// As `uname -r` prints it.
    pub kernel: &'a str,
    /// Not known until the kernel's `.config` was read; until then a term about it holds.
    pub platform: Option<Platform>,
}

impl<'a> From<&'a LockedKernel> for Subject<'a> {
    fn from(kernel: &'a LockedKernel) -> Self {
        Subject {
            distro: &kernel.distro,
            release: &kernel.release,
            suite: &kernel.suite,
            arch: &kernel.arch,
            flavour: &kernel.flavour,
            kernel: &kernel.kernel,
            platform: Some(kernel.platform),
        }
    }
}

impl Subject<'_> {
    fn id(&self) -> String {
        format!("{}-{}-{}", self.distro, self.release, self.kernel)
    }
}

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Group(String),
    DistroSuite(String, String),
    Field(Field, String),
    Platform(Platform),
    Word(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Distro,
    Release,
    Suite,
    Arch,
    Flavour,
    Kernel,
}

const FIELDS: [(&str, Field); 6] = [
    ("distro", Field::Distro),
    ("release", Field::Release),
    ("suite", Field::Suite),
    ("arch", Field::Arch),
    ("flavour", Field::Flavour),
    ("kernel", Field::Kernel),
];

impl Expression {
    /// Reads an expression: terms between spaces and commas.
    pub fn parse(text: &str) -> Result<Self> {
        let mut terms = Vec::new();
        let mut column = 0;
        for word in text.split([',', ' ', '\t', '\n']) {
            if !word.is_empty() {
                terms.push(term(text, column, word)?);
            }
            column += word.chars().count() + 1;
        }
        if terms.is_empty() {
            return Err(syntax(text, 0, "no term in it", "a term such as `debian:bookworm` or `6.1.*`"));
        }
        Ok(Expression { text: text.into(), terms })
    }

    /// The groups that bound the expression: those it asks for, else the default group.
    pub fn bounds(&self) -> Vec<&str> {
        let named: Vec<&str> = self.group_terms(false).collect();
        if named.is_empty() { vec![DEFAULT_GROUP] } else { named }
    }

    /// Every group that it mentions.
    pub fn groups(&self) -> BTreeSet<&str> {
        self.group_terms(false).chain(self.group_terms(true)).collect()
    }

    fn group_terms(&self, negated: bool) -> impl Iterator<Item = &str> {
        self.terms.iter().filter(move |term| term.negated == negated).filter_map(|term| match &term.test {
            Test::Group(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether every term holds; `in_group` tells whether the kernel is in a group.
    pub fn matches(&self, subject: &Subject, in_group: impl Fn(&str) -> bool) -> bool {
        self.terms.iter().all(|term| {
            let holds = match &term.test {
                Test::Group(name) => in_group(name),
                Test::Platform(_) if subject.platform.is_none() => return true,
                Test::Platform(platform) => subject.platform == Some(*platform),
                Test::DistroSuite(distro, suite) => {
                    glob(distro, subject.distro) && (glob(suite, subject.release) || glob(suite, subject.suite))
                }
                Test::Field(field, value) => glob(value, field.of(subject)),
                Test::Word(word) => {
                    let Subject { distro, release, suite, flavour, kernel, .. } = subject;
                    [distro, release, suite, flavour, kernel].iter().any(|name| glob(word, name))
                        || glob(word, &subject.id())
                }
            };
            holds != term.negated
        })
    }

    /// Whether any kernel of a release may match; where not, its archive need not be asked.
    pub fn may_concern(&self, distro: &Distro, release: &Release) -> bool {
        self.terms.iter().all(|Term { negated, test }| {
            let all = match test {
                Test::DistroSuite(of, suite) => glob(of, distro.name) && glob(suite, release.root),
                Test::Field(Field::Distro, of) => glob(of, distro.name),
                Test::Field(Field::Release, of) => glob(of, release.root),
                _ => return true,
            };
            let some = match test {
                Test::DistroSuite(of, suite) => {
                    let is_pocket = |pocket: &&str| glob(suite, &format!("{}-{pocket}", release.name));
                    let own = all || glob(suite, release.name) || release.pockets.iter().any(is_pocket);
                    glob(of, distro.name) && own
                }
                _ => all,
            };
            if *negated { !all } else { some }
        })
    }

    /// The error for an expression that nothing matches; `names` are the names there are, of any kind.
    pub fn nothing(&self, names: &BTreeSet<String>) -> Error {
        let error = Error::input(format!("--select `{}`: no kernel matches", self.text));
        let near = self.near(names);
        if near.is_empty() { error } else { error.note(format!("near matches: {}", near.join(", "))) }
    }

    /// Names that differ little from a term, or begin as it does.
    fn near(&self, names: &BTreeSet<String>) -> Vec<String> {
        let words = self.terms.iter().filter(|term| !term.negated).flat_map(|term| match &term.test {
            Test::Group(_) | Test::Platform(_) => vec![],
            Test::DistroSuite(distro, suite) => vec![distro, suite],
            Test::Field(_, word) | Test::Word(word) => vec![word],
        });
        let mut near: Vec<(usize, String)> = words
            .filter(|word| !names.iter().any(|name| glob(word, name)))
            .flat_map(|word| {
                let plain = word.replace(['*', '?'], "");
                names.iter().filter_map(move |name| Some((closeness(&plain, name)?, format!("`{name}`"))))
            })
            .collect();
        near.sort();
        near.dedup();
        near.into_iter().take(6).map(|(_, name)| name).collect()
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Field {
    fn of<'a>(self, subject: &Subject<'a>) -> &'a str {
        match self {
            Field::Distro => subject.distro,
            Field::Release => subject.release,
            Field::Suite => subject.suite,
            Field::Arch => subject.arch,
            Field::Flavour => subject.flavour,
            Field::Kernel => subject.kernel,
        }
    }
}

fn term(text: &str, column: usize, word: &str) -> Result<Term> {
    let (negated, body) = word.strip_prefix('!').map_or((false, word), |body| (true, body));
    let at = column + usize::from(negated);
    if body.is_empty() || body.starts_with('!') {
        return Err(syntax(text, at, "nothing after `!`", "a term, such as `!rt-amd64`"));
    }
    Ok(Term { negated, test: test(text, at, body)? })
}

fn test(text: &str, column: usize, body: &str) -> Result<Test> {
    if let Some((key, value)) = body.split_once('=') {
        return field(text, column, key, value);
    }
    let Some((left, right)) = body.split_once(':') else { return Ok(Test::Word(body.into())) };
    if left.is_empty() || right.is_empty() {
        return Err(syntax(text, column, &format!("half a term: `{body}`"), "`distro:release` or `group:name`"));
    }
    Ok(if left == "group" { Test::Group(right.into()) } else { Test::DistroSuite(left.into(), right.into()) })
}

fn field(text: &str, column: usize, key: &str, value: &str) -> Result<Test> {
    let keys = "`distro=`, `release=`, `suite=`, `arch=`, `flavour=`, `kernel=` or `platform=`";
    if value.is_empty() {
        return Err(syntax(text, column, &format!("`{key}=` has no value"), "a name or a glob after `=`"));
    }
    match (key, value, FIELDS.iter().find(|(name, _)| *name == key)) {
        ("platform", "rfl", _) => Ok(Test::Platform(Platform::Rfl)),
        ("platform", "cglue", _) => Ok(Test::Platform(Platform::Cglue)),
        ("platform", ..) => {
            Err(syntax(text, column, &format!("unknown platform `{value}`"), "`platform=rfl` or `platform=cglue`"))
        }
        (_, _, Some((_, field))) => Ok(Test::Field(*field, value.into())),
        _ => Err(syntax(text, column, &format!("unknown key `{key}`"), keys)),
    }
}

fn syntax(text: &str, column: usize, message: &str, expected: &str) -> Error {
    let indent = " ".repeat(column);
    Error::input(format!("--select: {message}\n  | {text}\n  | {indent}^\n  expected: {expected}"))
}

/// Whether `pattern`, in which `*` stands for any text and `?` for one character, is all of `name`.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, n) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How near a name is to a word, 0 being nearest; `None` where they have nothing to do with each other.
fn closeness(word: &str, name: &str) -> Option<usize> {
    if word.len() >= 3 && (name.starts_with(word) || word.starts_with(name)) {
        return Some(1);
    }
    let distance = distance(word, name);
    (distance <= 1 + word.len() / 4).then_some(distance)
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOUD: Subject = Subject {
        distro: "debian",
        release: "bookworm",
        suite: "bookworm-security",
        arch: "amd64",
        flavour: "cloud-amd64",
        kernel: "6.1.0-56-cloud-amd64",
        platform: Some(Platform::Cglue),
    };

    fn holds(text: &str) -> bool {
        Expression::parse(text).unwrap().matches(&CLOUD, |group| group == "default")
    }

    #[test]
    fn each_kind_of_term_matches_what_it_names() {
        for text in [
            "debian",
            "bookworm",
            "bookworm-security",
            "cloud-amd64",
            "6.1.*",
            "6.1.0-5?-cloud-amd64",
            "debian-bookworm-6.1.0-56-cloud-amd64",
            "debian:bookworm",
            "debian:bookworm-security",
            "debian:book*",
            "distro=debian",
            "release=bookworm",
            "suite=bookworm-security",
            "arch=amd64",
            "flavour=cloud-*",
            "kernel=6.1.*",
            "platform=cglue",
            "group:default",
        ] {
            assert!(holds(text), "{text}");
            assert!(!holds(&format!("!{text}")), "!{text}");
        }
        for text in
            ["trixie", "amd64", "6.1", "6.12.*", "sles:15-sp5", "suite=bookworm", "platform=rfl", "group:debian-all"]
        {
            assert!(!holds(text), "{text}");
            assert!(holds(&format!("!{text}")), "!{text}");
        }
    }

    #[test]
    fn terms_of_an_expression_must_all_hold() {
        assert!(holds("debian:bookworm, 6.1.* !rt-amd64"));
        assert!(!holds("debian:bookworm, 6.1.*,!cloud-amd64"));
    }

    #[test]
    fn an_archive_is_not_asked_for_what_no_term_can_mean() {
        let may = |text: &str, distro: &str, suite: &str| {
            let distro = Distro::find(distro).unwrap();
            Expression::parse(text).unwrap().may_concern(distro, distro.release_of(suite).unwrap())
        };
        assert!(may("group:azure 6.1.*", "sles", "15-sp5") && may("debian:bookworm-security", "debian", "bookworm"));
        assert!(!may("debian:bookworm", "sles", "15-sp5") && !may("distro=debian", "sles", "15-sp5"));
        assert!(may("sles:15-sp5", "sles", "15-sp5") && !may("sles:15-sp4", "sles", "15-sp5"));
        assert!(!may("!sles:15-*", "sles", "15-sp5") && may("!sles:15-sp4", "sles", "15-sp5"));
        assert!(
            may("!debian:bookworm-security", "debian", "bookworm") && !may("!debian:bookworm", "debian", "bookworm")
        );
    }

    #[test]
    fn a_term_on_the_platform_waits_until_it_is_known() {
        let unknown = Subject { platform: None, ..CLOUD };
        for text in ["platform=rfl", "!platform=rfl"] {
            assert!(Expression::parse(text).unwrap().matches(&unknown, |_| true), "{text}");
        }
    }

    #[test]
    fn an_expression_without_a_group_is_about_the_default_one() {
        assert_eq!(Expression::parse("bookworm !group:debian-all").unwrap().bounds(), ["default"]);
        assert_eq!(Expression::parse("bookworm group:debian-all").unwrap().bounds(), ["debian-all"]);
    }

    #[test]
    fn bad_expressions_are_shown_with_a_caret_and_what_was_expected() {
        for (text, column, expected) in [
            ("", 0, "a term such as"),
            (" , ", 0, "a term such as"),
            ("debian !", 8, "a term, such as"),
            ("!!debian", 1, "a term, such as"),
            ("debian flavor=amd64", 7, "`flavour=`"),
            ("!platform=rust", 1, "`platform=rfl`"),
            ("6.1.*,kernel=", 6, "a name or a glob"),
            ("group:", 0, "`group:name`"),
            (":bookworm", 0, "`distro:release`"),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert_eq!(error.kind, crate::error::Kind::Input);
            assert!(error.message.contains(&format!("\n  | {}^\n", " ".repeat(column))), "{text}: {error}");
            assert!(error.message.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn an_empty_selection_names_near_matches() {
        let names = ["debian", "bookworm", "trixie", "cloud-amd64", "6.1.0-56-amd64"].map(String::from).into();
        let nothing = |text: &str| Expression::parse(text).unwrap().nothing(&names).to_string();
        assert!(nothing("debian:bookwrm").ends_with("near matches: `bookworm`"));
        assert!(nothing("flavour=clod-amd64").ends_with("near matches: `cloud-amd64`"));
        assert!(nothing("6.1.0-55*").contains("`6.1.0-56-amd64`") || !nothing("6.1.0-55*").contains("near"));
        assert_eq!(nothing("sles:15-sp5"), "--select `sles:15-sp5`: no kernel matches");
    }
}
