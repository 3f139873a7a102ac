// SPDX-License-Identifier: GPL-2.0-only
//! `support-matrix.md`: what a run found of every family of distributions, and of which of them it knows nothing.

use crate::kernels::{FAMILIES, Family};
use crate::result::{Row, Status};

const HEAD: &str = "\
<!-- SPDX-License-Identifier: GPL-2.0-only -->
# Support matrix

Made from the results of a run of `cargo xtask build-matrix` by `cargo xtask report --support`, never by hand. *booted* means
that every changed block of the run's disks was reported; *not built* that the run had no kernel of it, and says what its
archive takes. How kernels are tested: [proof.md](proof.md); how they are chosen: [kernels-yaml.md](kernels-yaml.md).

| distribution | suite | flavour | kernel | platform | result |
|---|---|---|---|---|---|
";

/// The table's text for rows in this order.
pub fn render(rows: &[&Row]) -> String {
    let lines = FAMILIES.iter().flat_map(|family| {
        let own: Vec<&Row> = rows.iter().copied().filter(|row| row.distro == family.name).collect();
        let done = own.iter().map(|row| line(row)).collect::<Vec<_>>();
        done.into_iter().chain(not_built(family, &own))
    });
    HEAD.to_string() + &lines.collect::<String>()
}

fn line(row: &Row) -> String {
    let Row { distro, suite, flavour, kernel, .. } = row;
    format!("| {distro} | {suite} | {flavour} | {kernel} | {} | {} |\n", row.platform_name(), result(row))
}

fn result(row: &Row) -> &'static str {
    match [row.built, row.checked, row.booted] {
        [Status::Passed, Status::Passed, Status::Passed] => "booted",
        [Status::Passed, Status::Passed, Status::Skipped] => "built, not booted",
        [Status::Passed, Status::Passed, Status::Failed] => "built, failed when booted",
        [Status::Passed, ..] => "built, failed its checks",
        _ => "failed",
    }
}

/// The releases of a family that no row is of, in one line.
fn not_built(family: &Family, rows: &[&Row]) -> Option<String> {
    let is_there = |release: &&str| !rows.iter().any(|row| row.release == *release || row.suite == *release);
    let releases: Vec<&str> = family.releases().filter(is_there).collect();
    let Family { name, access, .. } = family;
    (!releases.is_empty())
        .then(|| format!("| {name} | {} | | | | not built; archive: {access} |\n", releases.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Platform;
    use crate::report::{sample, sorted};

    #[test]
    fn a_result_has_its_word_and_what_has_none_says_why() {
        let rows = sample::rows();
        let text = render(&sorted(&rows));
        assert!(text.contains("| debian | bookworm | amd64 | 6.1.0-49-amd64 | cglue | booted |\n"), "{text}");
        assert!(text.contains("| sid | amd64 | 7.2.13-amd64 | rfl | built, failed when booted |\n"), "{text}");
        assert!(text.contains("| trixie | amd64 | 6.12.1-amd64 | cglue | built, not booted |\n"), "{text}");
        assert!(
            text.contains("| debian | buster, bullseye, forky, experimental | | | | not built; archive: public |\n"),
            "{text}"
        );
        for family in FAMILIES {
            assert!(text.contains(&format!("\n| {} |", family.name)), "{}", family.name);
        }
    }

    /// The rows that a table was made of.
    fn parsed(text: &str) -> Vec<Row> {
        let columns = |line: &str| line.split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
        let rows = text.lines().filter(|line| line.starts_with("| ")).skip(1).map(columns);
        rows.filter(|cells| !cells[4].is_empty()).map(|cells| row(&cells)).collect()
    }

    fn row(cells: &[String]) -> Row {
        let steps =
            [Status::Passed, Status::Skipped, Status::Failed].map(|booted| [Status::Passed, Status::Passed, booted]);
        let is = |steps: &[Status; 3]| result(&with(steps, sample::rows().remove(0))) == cells[6];
        let steps = steps.iter().find(|steps| is(steps)).unwrap_or_else(|| panic!("{}: {}", cells[4], cells[6]));
        let [distro, suite, flavour, kernel] = [1, 2, 3, 4].map(|index| cells[index].clone());
        let platform = if cells[5] == "rfl" { Platform::Rfl } else { Platform::Cglue };
        let release = suite.split('-').next().unwrap_or_default().to_string();
        with(steps, Row { distro, suite, flavour, kernel, platform, release, ..sample::rows().remove(0) })
    }

    fn with(steps: &[Status; 3], row: Row) -> Row {
        let [built, checked, booted] = *steps;
        Row { built, checked, booted, ..row }
    }

    #[test]
    fn the_committed_table_is_one_that_a_run_makes() {
        let committed = include_str!("../../../docs/support-matrix.md");
        let rows = parsed(committed);
        assert!(rows.len() >= 10, "{} kernels", rows.len());
        let again = "cargo xtask build-matrix && cargo xtask report --support";
        assert_eq!(render(&sorted(&rows)), committed, "{again}");
    }
}
