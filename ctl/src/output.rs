// SPDX-License-Identifier: GPL-2.0-only
//! What commands print: tables and lines for people, JSON for programs.

use anstyle::{AnsiColor, Style};
use std::fmt::Write;

/// A good word.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// A word of warning.
pub const WARNING: Style = AnsiColor::Yellow.on_default();
/// A bad word.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// A heading.
pub const HEADING: Style = Style::new().bold();

/// One cell of a table.
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Cell { text: text.into(), style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::styled(text, Style::new())
    }
}

/// Rows under headings, as wide as their longest cell; styles are ANSI sequences, which the printer may strip.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[Cell; N]]) -> String {
    let widest = |column: usize| rows.iter().map(|row| row[column].text.chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(|column| widest(column).max(headings[column].len()));
    let mut out = String::new();
    line(&mut out, &headings.map(|text| Cell::styled(text, HEADING)), &widths);
    rows.iter().for_each(|row| line(&mut out, row, &widths));
    out
}

fn line(out: &mut String, cells: &[Cell], widths: &[usize]) {
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let last = index + 1 == cells.len();
        let pad = if last { 0 } else { width - cell.text.chars().count() + 2 };
        let Cell { text, style } = cell;
        // A String takes everything.
        let _ = write!(out, "{style}{text}{style:#}{:pad$}", "");
    }
    out.push('\n');
}

/// Bytes in the largest unit that leaves a number of 1 or more, to one decimal: `512 B`, `4.0 KiB`.
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let power = (count.ilog2() / 10) as usize;
    format!("{:.1} {}", count as f64 / (1_u64 << (10 * power)) as f64, units[power - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_unit_that_people_would_say() {
        let sizes = [0, 1023, 1024, 1536, 1 << 20, 32 << 40, u64::MAX];
        assert_eq!(sizes.map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "32.0 TiB", "16.0 EiB"]);
    }
}
