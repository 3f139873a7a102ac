// SPDX-License-Identifier: GPL-2.0-only
//! Parts of a matrix: named by a number of the lock's kernels, so that whoever has the lock knows what is in each.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;

/// Every `count`-th of a list, beginning with the `number`-th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// 1 to `count`.
    number: usize,
    count: usize,
}

impl Shard {
    /// The shards of `kernels` kernels: one for each, but `most` at most.
    pub fn all(kernels: usize, most: NonZero<usize>) -> impl Iterator<Item = Shard> {
        let count = kernels.min(most.get());
        (1..=count).map(move |number| Shard { number, count })
    }

    /// What of the list is in it. Neighbours in a lock are much alike, and go to different shards.
    pub fn of<T>(self, list: Vec<T>) -> Vec<T> {
        list.into_iter().skip(self.number - 1).step_by(self.count).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((number, count)) if (1..=count).contains(&number) => Ok(Shard { number, count }),
            _ => Err("expected NUMBER/COUNT, such as 2/5: the second of five parts".into()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kernel_is_in_one_shard() {
        for (kernels, most) in [(0, 3), (1, 3), (7, 3), (10, 200), (999, 200)] {
            let list: Vec<usize> = (0..kernels).collect();
            let shards: Vec<Shard> = Shard::all(kernels, NonZero::new(most).unwrap()).collect();
            let mut all: Vec<usize> = shards.iter().flat_map(|shard| shard.of(list.clone())).collect();
            all.sort_unstable();
            assert_eq!(all, list);
            assert!(shards.len() <= most && shards.iter().all(|shard| !shard.of(list.clone()).is_empty()));
            assert!(shards.iter().all(|shard| shard.to_string().parse() == Ok(*shard)));
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "one/3", "1/99999999999999999999"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
