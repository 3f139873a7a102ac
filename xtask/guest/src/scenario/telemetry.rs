// SPDX-License-Identifier: GPL-2.0-only
//! What a module with telemetry leaves in files, and that one without leaves nothing.

use super::lifecycle::unload;
use super::tags;
use crate::agent::{Agent, DEVICE};
use crate::module;
use crate::sys::{Doing, Step, ensure, open};
use guest::layout::DISKS;
use guest::protocol::INVOLFLT;
use serde_json::Value;
use std::fs;

const FOLDER: &str = "/var/log";

/// Two disks get a tag under a barrier, and it is drained; when the module goes, its records are in a file.
pub fn scenario() -> Step<String> {
    fs::create_dir_all(FOLDER).doing(|| FOLDER.into())?;
    let before = records()?.len();
    let mut agents = DISKS[..2].iter().map(Agent::attach).collect::<Step<Vec<_>>>()?;
    agents.iter_mut().try_for_each(Agent::drain_all)?;
    let control = open(DEVICE, 0)?;
    let placed = tags::under_io_barrier(&control, "telemetry").doing(|| "a tag under a barrier".into())?;
    ensure(placed == 0, || format!("a tag under a barrier: {placed}"))?;
    agents.iter_mut().try_for_each(Agent::drain_all)?;
    agents.into_iter().try_for_each(Agent::detach)?;
    drop(control);
    unload()?;
    let records = records()?.split_off(before);
    module::load(INVOLFLT)?;
    if !is_compiled_in()? {
        ensure(records.is_empty(), || format!("a module without telemetry has left {records:?}"))?;
        return Ok("not compiled in, and no file".into());
    }
    let said = |key: &str| -> Vec<&str> { records.iter().filter_map(|record| record[key].as_str()).collect() };
    let disks: Vec<&str> = DISKS[..2].iter().map(|disk| disk.node).collect();
    ensure(said("TagState") == ["committed"; 2] && said("DiskName") == disks, || format!("the records {records:?}"))?;
    Ok(format!("{} records", records.len()))
}

/// As `modinfo` would say it.
fn is_compiled_in() -> Step<bool> {
    let module = fs::read(INVOLFLT).doing(|| INVOLFLT.into())?;
    let has = |text: &[u8]| module.windows(text.len()).any(|part| part == text);
    match (has(b"\0telemetry=yes\0"), has(b"\0telemetry=no\0")) {
        (yes, no) if yes != no => Ok(yes),
        _ => Err(format!("{INVOLFLT} does not say whether it has telemetry").into()),
    }
}

/// Of all files, in their order.
fn records() -> Step<Vec<Value>> {
    let path = |number: u32| format!("{FOLDER}/involflt_telemetry_completed_{number}.log");
    let texts = (0..).map_while(|number| fs::read_to_string(path(number)).ok());
    let lines = texts.flat_map(|text| text.lines().map(str::to_string).collect::<Vec<_>>());
    lines
        .map(|line| {
            let record: Value = serde_json::from_str(&line).map_err(|error| format!("{line}: {error}"))?;
            Ok(record["Map"].clone())
        })
        .collect()
}
