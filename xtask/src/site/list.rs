// SPDX-License-Identifier: GPL-2.0-only
//! The pages that list kernels: all of them, those that failed, and those of each distribution. Each is a filter that
//! needs no script.

use super::history::{Day, History, Record};
use super::kernel;
use crate::error::Result;
use crate::page::{self, url};
use crate::result::{Row, State};
use minijinja::context;
use serde::Serialize;
use std::collections::BTreeSet;

const TEMPLATE: &str = include_str!("../../templates/site/list.html");

/// A kernel of a list.
#[derive(Serialize)]
struct Line<'a> {
    row: &'a Row,
    link: String,
    state: State,
    missed: Option<u64>,
    first_seen: Option<&'a Day>,
    first_good: Option<&'a Day>,
    since: Option<&'a Day>,
}

/// Another page of the site.
#[derive(Serialize)]
struct Filter {
    title: String,
    file: String,
    count: usize,
}

/// Every page's name and text, the one that people begin with last.
pub fn all(rows: &[Row], history: &History) -> Result<Vec<(String, String)>> {
    let lines: Vec<Line<'_>> = rows.iter().filter_map(|row| Some(line(row, history.kernels.get(&row.id)?))).collect();
    let distros: BTreeSet<&str> = rows.iter().map(|row| row.distro.as_str()).collect();
    let of_distro = |distro: &str| lines.iter().filter(|line| line.row.distro == distro).collect::<Vec<_>>();
    let failed = lines.iter().filter(|line| line.state == State::Failed).collect();
    let mut lists = vec![("Failed".to_string(), "failed.html".to_string(), failed)];
    lists.extend(distros.iter().map(|name| (name.to_string(), format!("distro-{name}.html"), of_distro(name))));
    lists.push(("All".to_string(), "index.html".to_string(), lines.iter().collect()));
    let filters: Vec<Filter> = lists
        .iter()
        .rev()
        .map(|(title, file, lines)| Filter { title: title.clone(), file: url(file), count: lines.len() })
        .collect();
    let gone: Vec<(String, &Record)> = history
        .kernels
        .iter()
        .filter(|(id, _)| !rows.iter().any(|row| row.id == **id))
        .map(|(id, record)| (kernel_link(id), record))
        .collect();
    let text = |(title, file, lines): &(String, String, Vec<&Line<'_>>)| {
        let gone = if file == "index.html" { gone.as_slice() } else { &[] };
        let values = context! { title, file => url(file), filters, lines, gone };
        Ok((file.clone(), page::render(file, TEMPLATE, values)?))
    };
    lists.iter().map(text).collect()
}

fn line<'a>(row: &'a Row, record: &'a Record) -> Line<'a> {
    Line {
        row,
        link: kernel_link(&row.id),
        state: row.state(),
        missed: row.missed(),
        first_seen: record.first_seen(),
        first_good: record.first_good(),
        since: record.changes.last().map(|change| &change.day),
    }
}

fn kernel_link(id: &str) -> String {
    url(&format!("{}/{id}/index.html", kernel::DIR))
}
