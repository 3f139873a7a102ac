// SPDX-License-Identifier: GPL-2.0-only
//! Version constraints on a kernel: `>= 5.10, < 7`.

use serde::de::{Deserialize, Deserializer, Visitor};
use std::cmp::Ordering;
use std::fmt;

/// Comparisons that must all hold. A kernel's version is cut to as many numbers as the comparison has, so that `= 6.1`
/// and `<= 6.1` both hold for 6.1.190.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Constraint(Vec<(Operator, Vec<u64>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// Longer operators first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("=", Operator::Equal),
];

impl Constraint {
    /// Reads `>= 5.10, < 7`.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(|part| comparison(part.trim())).collect::<Option<_>>().map(Constraint).ok_or_else(|| {
            format!("invalid version constraint `{text}`, expected comparisons such as `>= 5.10, < 7` or `= 6.1`")
        })
    }

    /// Whether an upstream or package version (`6.1.190-1`, `7.3~rc7-1~exp1`) satisfies it.
    pub fn holds(&self, version: &str) -> bool {
        let numbers = numbers(version);
        self.0.iter().all(|(operator, bound)| {
            let mut cut = numbers.clone();
            cut.resize(bound.len(), 0);
            let order = cut.cmp(bound);
            match operator {
                Operator::Less => order == Ordering::Less,
                Operator::LessOrEqual => order != Ordering::Greater,
                Operator::Equal => order == Ordering::Equal,
                Operator::NotEqual => order != Ordering::Equal,
                Operator::GreaterOrEqual => order != Ordering::Less,
                Operator::Greater => order == Ordering::Greater,
            }
        })
    }
}

fn comparison(part: &str) -> Option<(Operator, Vec<u64>)> {
    let (sign, operator) = OPERATORS.iter().find(|(sign, _)| part.starts_with(sign))?;
    let version = part[sign.len()..].trim();
    let numbers = version.split('.').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>()?;
    Some((*operator, numbers))
}

/// The numbers at the start of a version.
fn numbers(version: &str) -> Vec<u64> {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    version[..end].split('.').map_while(|number| number.parse().ok()).collect()
}

impl<'de> Deserialize<'de> for Constraint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Refuses inside the visit, so that the error carries the place of this very text.
struct Text;

impl Visitor<'_> for Text {
    type Value = Constraint;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("comparisons such as `>= 5.10, < 7`")
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Constraint, E> {
        Constraint::parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_cuts_the_version_to_its_own_length() {
        let holds = |constraint: &str, version: &str| Constraint::parse(constraint).unwrap().holds(version);
        assert!(holds("= 6.1", "6.1.190-1") && !holds("= 6.1", "6.12.94-1"));
        assert!(holds("<= 6.1", "6.1.190-1") && !holds("< 6.1", "6.1.190-1"));
        assert!(holds("> 6.1", "6.12.94-1") && !holds("> 6.1", "6.1.190-1"));
        assert!(holds(">= 5.10, < 7, != 6.12", "6.1.190-1") && !holds(">= 5.10, < 7, != 6.12", "6.12.94-1"));
        assert!(holds(">= 7.3", "7.3~rc7-1~exp1"), "a release candidate counts as its series");
        assert!(holds("= 6.1.0", "6.1-1"), "missing numbers are 0");
    }

    #[test]
    fn what_is_no_comparison_is_refused() {
        for text in ["", "6.1", ">= ", ">= 6.x", ">= 5.10,", "=> 5"] {
            assert!(Constraint::parse(text).unwrap_err().contains("expected"), "{text}");
        }
    }
}
