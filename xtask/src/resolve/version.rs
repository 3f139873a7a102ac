// SPDX-License-Identifier: GPL-2.0-only
//! The order of Debian package versions, as dpkg has it.

use std::cmp::Ordering;

/// Compares two versions: epoch, upstream version, revision.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0).then_with(|| compare_part(a.1, b.1)).then_with(|| compare_part(a.2, b.2))
}

fn parts(version: &str) -> (u64, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    (epoch.parse().unwrap_or(0), upstream, revision)
}

/// Alternates between a run of other characters and a run of digits until one side differs.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, text_b) = (cut(&mut a, |c| !c.is_ascii_digit()), cut(&mut b, |c| !c.is_ascii_digit()));
        let (number_a, number_b) = (cut(&mut a, |c| c.is_ascii_digit()), cut(&mut b, |c| c.is_ascii_digit()));
        let number = |digits: &str| digits.parse::<u128>().unwrap_or(0);
        let order = compare_text(text_a, text_b).then_with(|| number(number_a).cmp(&number(number_b)));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn cut<'a>(text: &mut &'a str, belongs: impl Fn(char) -> bool) -> &'a str {
    let (run, rest) = text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()));
    *text = rest;
    run
}

/// `~` sorts before the end, the end before letters, letters before the rest.
fn compare_text(a: &str, b: &str) -> Ordering {
    let rank = |c: Option<&u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let differ = (0..=a.len().max(b.len())).map(|i| rank(a.get(i)).cmp(&rank(b.get(i))));
    differ.into_iter().find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_as_dpkg_sorts_them() {
        let sorted = [
            "5.10.262-1",
            "6.1.9-1",
            "6.1.176-1~deb11u1",
            "6.1.176-1",
            "6.1.192-1",
            "6.1.192-2",
            "6.12.95-1~bpo12+1",
            "7.2.12-1~bpo13+1",
            "7.3~rc7-1~exp1",
            "7.3-1",
            "7.3.4-1~bpo13+1",
            "1:4.0-1",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(compare("6.01-1", "6.1-1"), Ordering::Equal);
        assert_eq!(compare("6.1", "6.1-0"), Ordering::Equal);
    }
}
