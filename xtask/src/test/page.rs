// SPDX-License-Identifier: GPL-2.0-only
//! `dist/index.html` in a real browser, without a script in it.

use super::{Context, Tally};
use crate::error::{AtPath, Result};
use crate::report;
use crate::store::remove;
use std::path::Path;
use std::process::Command;

type Outcome = std::result::Result<String, String>;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dist = context.tree.join("dist");
    tally.check("the report in a browser", shown(&dist), "chromium --headless --dump-dom dist/index.html");
    tally.check("the report's links", links(&dist), "cargo xtask build-matrix --locked");
}

/// Every kernel of `matrix.json` stands in the page as the browser has it.
fn shown(dist: &Path) -> Outcome {
    let rows = report::read(&dist.join(report::MATRIX)).map_err(|error| error.to_string())?.rows;
    let page = dist.join(report::PAGE).canonicalize().map_err(|error| error.to_string())?;
    let dom = in_browser(&page, &[]).map_err(|error| error.to_string())?;
    match rows.iter().find(|row| !dom.contains(&row.kernel)) {
        _ if rows.is_empty() => Err("matrix.json has no row".to_string()),
        // The browser's own dump of a page needs its script engine; the page's policy forbids scripts of the page.
        _ if !dom.contains("script-src 'none'") => Err("the page does not forbid scripts".to_string()),
        _ if dom.contains("<script") => Err("the page has a script, and must do without".to_string()),
        Some(row) => Err(format!("{} is not in the page", row.kernel)),
        None => Ok(format!("{} kernels shown", rows.len())),
    }
}

/// Every relative link of the page leads to a file.
fn links(dist: &Path) -> Outcome {
    let page = std::fs::read_to_string(dist.join(report::PAGE)).map_err(|error| error.to_string())?;
    let targets: Vec<&str> =
        targets(&page).filter(|target| !target.starts_with('#') && !target.contains(':')).collect();
    match targets.iter().find(|target| !dist.join(target).is_file()) {
        _ if targets.is_empty() => Err("the page has no link to a log".to_string()),
        Some(target) => Err(format!("{target} is linked and does not exist")),
        None => Ok(format!("{} links", targets.len())),
    }
}

/// What the links of a page lead to.
pub fn targets(page: &str) -> impl Iterator<Item = &str> {
    page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next())
}

/// A page as a browser has it when it has loaded; `more` are options of the browser.
pub fn in_browser(page: &Path, more: &[&str]) -> Result<String> {
    let profile = std::env::temp_dir().join(format!("involflt-chromium-{}", std::process::id()));
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]).args(more);
    chromium.arg(format!("--user-data-dir={}", profile.display())).arg("--dump-dom");
    let output = chromium.arg(format!("file://{}", page.display())).output().at_path("chromium")?;
    remove(&profile)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
