// SPDX-License-Identifier: GPL-2.0-only
//! The report as a picture: a bar for each setting and state, its limit a line across it.

use super::report::{Report, Row};
use std::fmt::Write;

/// Pixels: of the picture, of the words before a bar, and from one bar to the next.
const WIDTH: i64 = 760;
const WORDS: i64 = 250;
const STEP: i64 = 26;
const TOP: i64 = 40;

/// The picture, as SVG; the same report gives the same bytes.
pub fn svg(report: &Report) -> String {
    let highest = report.rows.iter().flat_map(|row| [row.added, row.limit.unwrap_or(0)]).max().unwrap_or(0).max(1);
    let height = TOP + STEP * report.rows.len() as i64 + 10;
    let bars: String = report.rows.iter().zip(0..).map(|(row, index)| bar(row, TOP + STEP * index, highest)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\">Instructions added to a direct write of 4 KiB, or as said \
         ({}); red: the limit</text>\n{bars}</svg>\n",
        report.kernel
    )
}

fn bar(row: &Row, y: i64, highest: i64) -> String {
    // Room for the number behind the longest bar.
    let pixels = |count: i64| count.max(0) * (WIDTH - WORDS - 70) / highest;
    let (length, text) = (pixels(row.added).max(1), y + 13);
    let mut out = String::new();
    // A String takes everything.
    let _ = writeln!(
        out,
        "<text x=\"10\" y=\"{text}\">{}, {}</text>\n\
         <rect x=\"{WORDS}\" y=\"{y}\" width=\"{length}\" height=\"16\" fill=\"#4a7ab5\"/>\n\
         <text x=\"{}\" y=\"{text}\">{}</text>",
        row.setting,
        row.state,
        WORDS + pixels(row.added.max(row.limit.unwrap_or(0))) + 8,
        row.added
    );
    if let Some(limit) = row.limit {
        let x = WORDS + pixels(limit);
        let _ = writeln!(out, "<path d=\"M{x} {}v22\" stroke=\"#c33\" stroke-width=\"2\"/>", y - 3);
    }
    out
}
