// SPDX-License-Identifier: GPL-2.0-only
//! A report as a picture: a bar for each measurement, its limit a line across it.

use std::fmt::Write;

/// Pixels: of the picture, of the words before a bar, and from one bar to the next.
const WIDTH: i64 = 760;
const WORDS: i64 = 250;
const STEP: i64 = 26;
const TOP: i64 = 40;

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What was measured.
    pub words: String,
    /// Its length, in units that all bars share.
    pub length: i64,
    /// What is written behind it.
    pub number: String,
    /// As long may it be.
    pub limit: Option<i64>,
}

/// The picture, as SVG; the same bars give the same bytes.
pub fn svg(title: &str, bars: &[Bar]) -> String {
    let highest = bars.iter().flat_map(|bar| [bar.length, bar.limit.unwrap_or(0)]).max().unwrap_or(0).max(1);
    let height = TOP + STEP * bars.len() as i64 + 10;
    let drawn: String = bars.iter().zip(0..).map(|(bar, index)| draw(bar, TOP + STEP * index, highest)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"22\" font-size=\"15\">{title}; red: the limit</text>\n{drawn}</svg>\n"
    )
}

fn draw(bar: &Bar, y: i64, highest: i64) -> String {
    // Room for the number behind the longest bar.
    let pixels = |count: i64| count.max(0) * (WIDTH - WORDS - 70) / highest;
    let (length, text) = (pixels(bar.length).max(1), y + 13);
    let mut out = String::new();
    // A String takes everything.
    let _ = writeln!(
        out,
        "<text x=\"10\" y=\"{text}\">{}</text>\n\
         <rect x=\"{WORDS}\" y=\"{y}\" width=\"{length}\" height=\"16\" fill=\"#4a7ab5\"/>\n\
         <text x=\"{}\" y=\"{text}\">{}</text>",
        bar.words,
        WORDS + pixels(bar.length.max(bar.limit.unwrap_or(0))) + 8,
        bar.number
    );
    if let Some(limit) = bar.limit {
        let x = WORDS + pixels(limit);
        let _ = writeln!(out, "<path d=\"M{x} {}v22\" stroke=\"#c33\" stroke-width=\"2\"/>", y - 3);
    }
    out
}
