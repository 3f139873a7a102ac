// SPDX-License-Identifier: GPL-2.0-only
//! The site of two runs in a real browser, as wide as a desk's and as a telephone's.

use super::page::{in_browser, targets};
use super::{Context, Tally};
use crate::error::{AtPath, Error, Result};
use crate::report;
use crate::result::{Row, Status};
use crate::store::remove;
use crate::tree;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The days of the runs, and a kernel that only the first of them had.
const DAYS: [&str; 2] = ["2026-01-30", "2026-02-01"];
const GONE: &str = "6.0.0-gone";
/// Widths of the window, in CSS pixels.
const WIDTHS: [u32; 2] = [1280, 390];
/// Shows pages in frames of those widths with all that can be opened open, and says what is too wide and what is there.
/// The script is the test's: the pages have none, and forbid them.
const WRAPPER: &str = include_str!("site.html");

/// Runs the checks.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-site-{}", std::process::id()));
    let again = "cargo xtask test --only report";
    let outcome = made(&context.tree.join("dist"), &dir).map_err(|error| error.to_string());
    tally.check("the site, of two runs", outcome, again);
    let site = dir.join("site");
    tally.check("the site's links", links(&site).map_err(|error| error.to_string()), again);
    let shown = shown(&site, &context.tree.join("dist"), &dir).map_err(|error| error.to_string());
    tally.check("the site in a browser, at two widths", shown, again);
    if let Err(error) = remove(&dir) {
        tally.check("the site: the scratch directory", Err(error.to_string()), again);
    }
}

/// Adds a day on which one kernel failed and another was still there, and then the real results.
fn made(dist: &Path, dir: &Path) -> Result<String> {
    let mut results = report::read(&dist.join(report::MATRIX))?;
    let first = results.rows.first_mut().ok_or_else(|| Error::kernel("matrix.json has no row"))?;
    let gone = Row { kernel: GONE.into(), id: format!("debian-{GONE}"), module: None, ..first.clone() };
    first.booted = Status::Failed;
    first.error = Some("a <failure>".into());
    let failed = first.id.clone();
    results.rows.push(gone);
    let before = dir.join("before");
    fs::create_dir_all(&before).at_path(&before)?;
    for row in &results.rows {
        symlink(dist.join(&failed), before.join(&row.id)).at_path(&before)?;
    }
    report::write(&before, &results)?;
    let site = dir.join("site");
    add(&site, &before, DAYS[0])?;
    let page = fs::read_to_string(site.join("kernels").join(&failed).join("index.html")).at_path(&site)?;
    expect(page.contains("a &lt;failure&gt;"), || "the page of a kernel that fails does not say why".into())?;
    add(&site, dist, DAYS[1])?;
    let once: Vec<PathBuf> = tree::files(&site)?;
    let bytes = |files: &[PathBuf]| -> Result<Vec<Vec<u8>>> {
        files.iter().map(|file| fs::read(site.join(file)).at_path(file)).collect()
    };
    let first = bytes(&once)?;
    add(&site, dist, DAYS[1])?;
    expect(first == bytes(&tree::files(&site)?)?, || "the same run twice gives other bytes".into())?;
    Ok(format!("{} files, the same bytes the second time", once.len()))
}

fn add(site: &Path, dist: &Path, day: &str) -> Result<()> {
    let program = std::env::current_exe().at_path("this program")?;
    let mut command = Command::new(program);
    let output = command.arg("site").arg(site).arg("--dist").arg(dist).args(["--day", day]).output().at_path("site")?;
    expect(output.status.success(), || format!("site: {}", String::from_utf8_lossy(&output.stderr)))
}

fn expect(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if is_so { Ok(()) } else { Err(Error::kernel(otherwise())) }
}

/// Every link of every page leads to a file, and no page has a script.
fn links(site: &Path) -> Result<String> {
    let mut count = 0;
    for file in tree::files(site)?.iter().filter(|file| file.extension().is_some_and(|ending| ending == "html")) {
        let text = fs::read_to_string(site.join(file)).at_path(file)?;
        expect(!text.contains("<script"), || format!("{} has a script", file.display()))?;
        let dir = site.join(file).parent().map(Path::to_path_buf).unwrap_or_default();
        for target in targets(&text) {
            let path = dir.join(target);
            expect(path.is_file(), || format!("{}: {target} is linked and does not exist", file.display()))?;
            count += 1;
        }
    }
    expect(count > 0, || "no page has a link".into())?;
    Ok(format!("{count} links"))
}

/// Nothing is wider than the window, and what people look for is to be seen.
fn shown(site: &Path, dist: &Path, dir: &Path) -> Result<String> {
    let rows = report::read(&dist.join(report::MATRIX))?.rows;
    let first = rows.first().ok_or_else(|| Error::kernel("matrix.json has no row"))?;
    let pages = [
        ("index.html".to_string(), vec![first.kernel.as_str(), "First seen", DAYS[0], DAYS[1], GONE]),
        (format!("distro-{}.html", first.distro), vec![first.kernel.as_str()]),
        ("failed.html".to_string(), vec!["Failed ("]),
        (
            format!("kernels/{}/index.html", first.id),
            vec!["History", "2026-01-30: failed", "First good", "A bio knows", "submit_bio", "PROBES", "build.log"],
        ),
    ];
    let mut shown = 0;
    for (page, words) in &pages {
        for width in WIDTHS {
            let text = framed(&site.join(page), width, dir)?;
            let place = || format!("{page} in a window of {width} pixels");
            expect(text.contains("too wide: nothing"), || format!("{}: {}", place(), line(&text, "too wide")))?;
            for word in words {
                expect(text.contains(word), || format!("{}: {word:?} is not to be seen", place()))?;
            }
            shown += 1;
        }
    }
    Ok(format!("{shown} views"))
}

fn line<'a>(text: &'a str, of: &str) -> &'a str {
    text.lines().find(|line| line.contains(of)).unwrap_or("the browser shows nothing")
}

/// What the wrapper says of a page: what is too wide, and the text that is to be seen.
fn framed(page: &Path, width: u32, dir: &Path) -> Result<String> {
    let wrapper = dir.join("wrapper.html");
    let text = WRAPPER.replace("WIDTH", &width.to_string()).replace("PAGE", &format!("file://{}", page.display()));
    fs::write(&wrapper, text).at_path(&wrapper)?;
    in_browser(&wrapper, &["--allow-file-access-from-files"])
}
