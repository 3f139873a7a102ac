// SPDX-License-Identifier: GPL-2.0-only
//! What came of a run: `dist/matrix.json` for programs, `dist/index.html` for a browser, a table for the terminal.

mod command;
mod html;
mod json;
mod support;
mod table;

use crate::error::{AtPath, Error, Result};
use crate::result::{Results, Row, State, Status};
use std::path::Path;

pub use command::Report;
pub use table::table;

/// Name of the report for programs, below `dist/`.
pub const MATRIX: &str = "matrix.json";
/// Name of the report for a browser, below `dist/`.
pub const PAGE: &str = "index.html";

/// Name of the support table, below `dist/`.
const SUPPORT: &str = "support-matrix.md";

/// Writes `matrix.json`, `index.html` and `support-matrix.md` into `dist`, which is made where needed.
///
/// Links in the page are the rows' own paths, which are relative to `dist`. Rows are written in the order of
/// [`sorted`], so the same rows give the same bytes whatever order they were finished in.
pub fn write(dist: &Path, results: &Results) -> Result<()> {
    let rows = sorted(&results.rows);
    std::fs::create_dir_all(dist).at_path(dist)?;
    put(&dist.join(MATRIX), &json::render(&rows, &results.left_out)?)?;
    put(&dist.join(SUPPORT), &support::render(&rows))?;
    put(&dist.join(PAGE), &html::render(&rows, &results.left_out)?)
}

/// The result that `dist` has. Fails as bad input where there is none.
pub fn last(dist: &Path) -> Result<Results> {
    let path = dist.join(MATRIX);
    match path.exists() {
        true => read(&path),
        false => Err(Error::input(format!("{}: there is no result yet", path.display()))
            .note("make one with `cargo xtask build-matrix --setup`")),
    }
}

/// Reads a `matrix.json`.
pub fn read(path: &Path) -> Result<Results> {
    json::parse(&std::fs::read_to_string(path).at_path(path)?).map_err(|error| error.at(path.display()))
}

/// Rows by distro, release, suite and kernel.
fn sorted(rows: &[Row]) -> Vec<&Row> {
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by(|a, b| {
        (&a.distro, &a.release, &a.suite, &a.kernel).cmp(&(&b.distro, &b.release, &b.suite, &b.kernel))
    });
    rows
}

/// Replaces the file in one step, so that a browser or a program never reads half of it.
pub fn put(path: &Path, text: &str) -> Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text).at_path(&partial)?;
    std::fs::rename(&partial, path).at_path(path)
}

/// A status in a word that needs no colour.
fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
    }
}

/// All rows in one line: how many are good, failed, not finished, and what the judge missed.
fn summary(rows: &[&Row]) -> String {
    let count = |state: State| rows.iter().filter(|row| row.state() == state).count();
    let [good, failed, rest] = [State::Good, State::Failed, State::Unfinished].map(count);
    let missed: u64 = rows.iter().filter_map(|row| row.missed()).sum();
    let judged = rows.iter().filter(|row| row.missed().is_some()).count();
    let kernels = if rows.len() == 1 { "1 kernel".to_owned() } else { format!("{} kernels", rows.len()) };
    format!("{kernels}: {good} good, {failed} failed, {rest} not finished; {missed} blocks missed on {judged} judged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_rows_in_another_order_give_the_same_files() {
        let dir = std::env::temp_dir().join(format!("involflt-report-{}", std::process::id()));
        let mut rows = sample::rows();
        let files = |rows: &[Row]| {
            write(&dir, &Results { rows: rows.to_vec(), left_out: sample::left_out() }).unwrap();
            [MATRIX, PAGE, SUPPORT].map(|name| std::fs::read_to_string(dir.join(name)).unwrap())
        };
        let one = files(&rows);
        rows.reverse();
        assert_eq!(one, files(&rows));
        let read = read(&dir.join(MATRIX)).unwrap();
        assert_eq!((read.rows.len(), read.left_out), (rows.len(), sample::left_out()));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_summary_counts_a_half_done_row_as_neither_good_nor_failed() {
        let rows = sample::rows();
        let text = summary(&rows.iter().collect::<Vec<_>>());
        assert_eq!(text, "3 kernels: 1 good, 1 failed, 1 not finished; 3 blocks missed on 2 judged");
    }
}

#[cfg(test)]
pub mod sample {
    use crate::lock::Platform;
    use crate::result::{DiskVerdict, LeftOut, Row, Status};

    /// A suite of which nothing is known.
    pub fn left_out() -> Vec<LeftOut> {
        vec![LeftOut { id: "sles:15-sp5".into(), error: "the mirror <stalls>".into() }]
    }

    fn row(suite: &str, kernel: &str, platform: Platform) -> Row {
        let id = format!("debian-{suite}-{kernel}");
        Row {
            distro: "debian".into(),
            release: suite.into(),
            suite: suite.into(),
            flavour: "amd64".into(),
            kernel: kernel.into(),
            platform,
            built: Status::Passed,
            checked: Status::Passed,
            booted: Status::Skipped,
            disks: Vec::new(),
            warnings: Vec::new(),
            error: None,
            module: Some(format!("{id}/involflt.ko")),
            module_sha256: Some("0".repeat(64)),
            build_log: Some(format!("{id}/build.log")),
            vm_log: None,
            build_millis: 12_300,
            vm_millis: 0,
            id,
        }
    }

    /// A good row, one that failed in the VM, and one that was not booted.
    pub fn rows() -> Vec<Row> {
        let disk = |missed| DiskVerdict { disk: "nvme".into(), changed: 16_384, reported: 16_400, missed };
        let mut good = row("bookworm", "6.1.0-49-amd64", Platform::Cglue);
        (good.booted, good.disks, good.vm_millis) = (Status::Passed, vec![disk(0)], 61_000);
        good.vm_log = Some(format!("{}/vm.log", good.id));
        let mut bad = row("sid", "7.2.13-amd64", Platform::Rfl);
        (bad.booted, bad.disks) = (Status::Failed, vec![disk(0), disk(3)]);
        bad.error = Some("nvme: 3 blocks <missed> & \"lost\"".into());
        bad.warnings = vec!["objtool: involflt.o: <odd>".into()];
        vec![good, bad, row("trixie", "6.12.1-amd64", Platform::Cglue)]
    }
}
