// SPDX-License-Identifier: GPL-2.0-only
//! The table that a run ends with on the terminal.

use super::{sorted, summary, word};
use crate::display::{Style, seconds};
use crate::result::{Row, Status};

const HEAD: [&str; 9] = ["suite", "flavour", "kernel", "platform", "built", "checked", "booted", "missed", "time"];

/// All rows as a table with a summary below, and the first error of each row that failed.
///
/// Ends with a newline. Columns are as wide as their widest cell; `style` colours the verdicts.
pub fn table(rows: &[Row], style: Style) -> String {
    let rows = sorted(rows);
    let cells: Vec<_> = rows.iter().map(|row| cells(row)).collect();
    let widths = widths(&cells);
    let mut text = style.dim(&line(&HEAD.map(String::from), &widths, |_, cell| cell)) + "\n";
    for (row, cells) in rows.iter().zip(&cells) {
        text += &line(cells, &widths, |column, cell| colour(row, column, cell, style));
        text.push('\n');
    }
    for row in rows.iter().filter(|row| row.failed()) {
        text += &failure(row, style);
    }
    text + &summary(&rows) + "\n"
}

fn cells(row: &Row) -> [String; 9] {
    [
        format!("{} {}", row.distro, row.suite),
        row.flavour.clone(),
        row.kernel.clone(),
        row.platform_name().to_owned(),
        word(row.built).to_owned(),
        word(row.checked).to_owned(),
        word(row.booted).to_owned(),
        row.missed().map_or("-".to_owned(), |missed| missed.to_string()),
        time(row),
    ]
}

fn time(row: &Row) -> String {
    match row.build_millis + row.vm_millis {
        0 => "stored".to_owned(),
        millis => seconds(millis),
    }
}

fn widths(cells: &[[String; 9]]) -> [usize; 9] {
    std::array::from_fn(|column| {
        cells.iter().map(|row| row[column].chars().count()).fold(HEAD[column].len(), usize::max)
    })
}

/// Pads before `paint`, whose escape sequences have no width.
fn line(cells: &[String; 9], widths: &[usize; 9], paint: impl Fn(usize, String) -> String) -> String {
    let padded = cells.iter().zip(widths).enumerate();
    let painted: Vec<_> = padded.map(|(column, (cell, width))| paint(column, format!("{cell:width$}"))).collect();
    painted.join("  ").trim_end().to_owned()
}

fn colour(row: &Row, column: usize, cell: String, style: Style) -> String {
    let status = match column {
        4 => row.built,
        5 => row.checked,
        6 => row.booted,
        7 if row.missed().is_some_and(|missed| missed > 0) => Status::Failed,
        _ => return cell,
    };
    match status {
        Status::Passed => style.good(&cell),
        Status::Failed => style.bad(&cell),
        Status::Skipped => style.dim(&cell),
    }
}

fn failure(row: &Row, style: Style) -> String {
    let log = if row.built == Status::Failed || row.checked == Status::Failed { &row.build_log } else { &row.vm_log };
    let log = log.as_ref().map_or(String::new(), |log| format!("\n  log: dist/{log}"));
    let error = row.error.as_deref().unwrap_or("no error line was found");
    format!("{} {}: {error}{log}\n", style.bad("failed"), row.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_table_lines_up_and_names_the_failure() {
        let text = table(&sample::rows(), Style::PLAIN);
        let expected = "\
suite            flavour  kernel          platform  built   checked  booted   missed  time
debian bookworm  amd64    6.1.0-49-amd64  cglue     passed  passed   passed   0       73.3 s
debian sid       amd64    7.2.13-amd64    rfl       passed  passed   failed   3       12.3 s
debian trixie    amd64    6.12.1-amd64    cglue     passed  passed   skipped  -       12.3 s
failed debian-sid-7.2.13-amd64: nvme: 3 blocks <missed> & \"lost\"
3 kernels: 1 good, 1 failed, 1 not finished; 3 blocks missed on 2 judged
";
        assert_eq!(text, expected);
    }
}
