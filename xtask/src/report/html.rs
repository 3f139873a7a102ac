// SPDX-License-Identifier: GPL-2.0-only
//! `index.html`: one page without JavaScript that opens from the disk.

use super::{summary, word};
use crate::display::seconds;
use crate::error::Result;
use crate::page::{self, url};
use crate::result::{DiskVerdict, LeftOut, Row, Status};
use minijinja::context;
use serde::Serialize;

const TEMPLATE: &str = include_str!("../../templates/index.html");

/// A row as the template wants it: every text ready to be shown.
#[derive(Serialize)]
struct Shown<'a> {
    row: &'a Row,
    platform: &'a str,
    steps: [(&'a str, &'a str); 3],
    missed: Option<u64>,
    time: String,
    disks: &'a [DiskVerdict],
    links: Vec<(&'a str, String)>,
}

/// The page's text for rows in this order.
pub fn render(rows: &[&Row], left_out: &[LeftOut]) -> Result<String> {
    let shown: Vec<_> = rows.iter().map(|row| shown(row)).collect();
    page::render("index.html", TEMPLATE, context! { rows => shown, left_out, summary => summary(rows) })
}

fn shown(row: &Row) -> Shown<'_> {
    Shown {
        row,
        platform: row.platform_name(),
        steps: [("built", word(row.built)), ("checked", word(row.checked)), ("booted", word(row.booted))],
        missed: row.missed(),
        time: time(row),
        disks: &row.disks,
        links: links(row),
    }
}

fn time(row: &Row) -> String {
    match (row.build_millis, row.vm_millis) {
        (0, 0) if row.built == Status::Skipped => "none".to_owned(),
        (0, 0) => "stored".to_owned(),
        (build, 0) => format!("build {}", seconds(build)),
        (0, vm) => format!("VM {}", seconds(vm)),
        (build, vm) => format!("build {}, VM {}", seconds(build), seconds(vm)),
    }
}

fn links(row: &Row) -> Vec<(&'static str, String)> {
    let files = [("build log", &row.build_log), ("VM log", &row.vm_log), ("module", &row.module)];
    files.into_iter().filter_map(|(name, path)| Some((name, url(path.as_ref()?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    fn page() -> String {
        let rows = sample::rows();
        render(&rows.iter().collect::<Vec<_>>(), &sample::left_out()).unwrap()
    }

    #[test]
    fn what_a_log_says_cannot_become_markup() {
        let page = page();
        assert!(page.contains("3 blocks &lt;missed&gt; &amp; &quot;lost&quot;"), "{page}");
        assert!(page.contains("sles:15-sp5: the mirror &lt;stalls&gt;"), "{page}");
        assert!(!page.contains("<missed>") && !page.contains("<odd>") && !page.contains("<stalls>"));
    }

    #[test]
    fn every_kernel_and_every_log_is_there() {
        let page = page();
        for row in sample::rows() {
            assert!(page.contains(&row.kernel));
            for path in [&row.build_log, &row.vm_log, &row.module].into_iter().flatten() {
                assert!(page.contains(&format!("href=\"{path}\"")), "{path}");
            }
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = page();
        for foreign in ["<script", "http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }
}
