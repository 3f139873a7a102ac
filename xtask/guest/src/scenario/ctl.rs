// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `ctl`: the program `involfltctl` as it is shipped, against the loaded driver.

use crate::module;
use crate::sys::{Doing, Step, ensure};
use crate::work;
use guest::layout::DISKS;
use guest::protocol::{CTL, INVOLFLT};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const CONFIG: &str = "/etc/involflt/involflt.conf";

/// Runs `involfltctl --json` with arguments; it must exit with `code`. Gives the JSON that it prints.
pub(super) fn ctl(arguments: &[&str], code: i32) -> Step<Value> {
    let what = || format!("involfltctl {}", arguments.join(" "));
    let output = Command::new(CTL).arg("--json").args(arguments).output().doing(what)?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure(output.status.code() == Some(code), || {
        let said = [&output.stdout[..], &output.stderr].concat();
        let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{}: {}, exit code {code} was expected: {said}", what(), output.status)
    })?;
    serde_json::from_str(&text).doing(|| format!("{}: {text:?}", what()))
}

pub(super) fn says(what: &str, json: &Value, texts: &[&str]) -> Step {
    let json = json.to_string();
    texts.iter().try_for_each(|text| ensure(json.contains(text), || format!("{what} does not say {text:?}: {json}")))
}

/// Names of the filtered disks.
fn listed() -> Step<Vec<String>> {
    let json = ctl(&["list"], 0)?;
    let disks = json["disks"].as_array().cloned().unwrap_or_default();
    Ok(disks.iter().map(|disk| disk["disk"].as_str().unwrap_or_default().to_string()).collect())
}

/// Starts, asks and stops as an administrator would; the doctor finds what is wrong, and nothing where nothing is.
pub fn scenario() -> Step<String> {
    install()?;
    start_and_ask()?;
    refusals()?;
    doctor_of_configuration()?;
    without_driver()?;
    Ok("list, start, status, doctor and stop".into())
}

/// Puts the module where a package would.
fn install() -> Step {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").doing(|| "osrelease".into())?;
    let modules = Path::new("/lib/modules").join(release.trim());
    let folder = modules.join("updates/involflt");
    fs::create_dir_all(&folder).doing(|| folder.display().to_string())?;
    fs::write(modules.join("modules.dep"), "updates/involflt/involflt.ko:\n").doing(|| "modules.dep".into())?;
    let link = folder.join("involflt.ko");
    if link.exists() { Ok(()) } else { symlink(INVOLFLT, &link).doing(|| link.display().to_string()) }
}

fn start_and_ask() -> Step {
    let nodes = DISKS.map(|disk| disk.node);
    ensure(listed()?.is_empty(), || "a disk is filtered before any was started".into())?;
    let names = ["/dev/vda", "sda", "/dev/../dev/nvme0n1", "dm-0"];
    says("start", &ctl(&[&["start"][..], &names].concat(), 0)?, &nodes)?;
    says("start again", &ctl(&["start", "vda"], 0)?, &["filtered already"])?;
    ensure(listed()? == nodes, || "list does not show the disks that were started".into())?;
    points_and_attributes()?;
    work::touch_reload(nodes[0])?;
    let status = ctl(&["status", "vda"], 0)?;
    let disk = &status["disks"][0];
    let (size, pending) = (disk["size_bytes"].as_u64(), disk["pending_bytes"].as_u64());
    let written = work::RELOAD.end - work::RELOAD.start;
    ensure(size == Some(DISKS[0].size) && pending == Some(written) && disk["resync"].is_null(), || {
        format!("status after {written} bytes were written: {status}")
    })?;
    let doctor = ctl(&["doctor"], 0)?;
    says("doctor", &doctor, &["in place: /dev/vda, /dev/sda, /dev/nvme0n1, /dev/dm-0"])?;
    let platform = check(&doctor, "platform")?;
    ensure(platform["verdict"] == "ok", || format!("doctor: {platform}"))?;
    says("stop", &ctl(&["stop", "--all"], 0)?, &nodes)?;
    ensure(listed()?.is_empty(), || "a disk is filtered after \"stop --all\"".into())
}

fn points_and_attributes() -> Step {
    says("tag", &ctl(&["tag", "noon"], 0)?, &DISKS.map(|disk| disk.node))?;
    says("barrier", &ctl(&["barrier", "--milliseconds", "20", "--tag", "one"], 0)?, &["one"])?;
    let frozen = ctl(&["freeze", "vda", "--seconds", "5"], 0)?;
    let point = frozen["point"].as_str().unwrap_or_default();
    says("freeze again", &ctl(&["freeze", "sda"], 1)?, &["another consistency point is under way"])?;
    ctl(&["thaw", point, "vda"], 0)?;
    says("thaw again", &ctl(&["thaw", point, "vda"], 1)?, &["THAW_VOLUME"])?;
    ctl(&["tag", "frozen", "--freeze", "vda", "--freeze", "sda"], 0)?;
    says("stats", &ctl(&["stats"], 0)?, &["pending_bytes", "\"state\":\"metadata\""])?;
    says("attr list", &ctl(&["attr", "list", "vda"], 0)?, &["\"VolumeResyncRequired\":\"0\""])?;
    for value in ["1", "0"] {
        ctl(&["attr", "set", "VolumeDrainBlocked", value, "--disk", "vda"], 0)?;
        let attribute = ctl(&["attr", "get", "VolumeDrainBlocked", "--disk", "vda"], 0)?;
        ensure(attribute["value"] == value, || format!("VolumeDrainBlocked is {attribute}, not {value}"))?;
    }
    Ok(())
}

fn check<'a>(doctor: &'a Value, name: &str) -> Step<&'a Value> {
    let checks = doctor["checks"].as_array();
    let check = checks.and_then(|checks| checks.iter().find(|check| check["name"] == name));
    check.ok_or_else(|| format!("doctor has no check {name:?}: {doctor}").into())
}

fn refusals() -> Step {
    says("start of a partition", &ctl(&["start", "vda1"], 2)?, &["is a partition", "name /dev/vda"])?;
    says("start of a terminal", &ctl(&["start", "/dev/null"], 2)?, &["is not a block device"])?;
    says("stop of a disk that is not filtered", &ctl(&["stop", "vdb"], 2)?, &["vdb: is not filtered"])?;
    says("status of the same", &ctl(&["status", "vdb"], 2)?, &["vdb: is not filtered"])
}

fn doctor_of_configuration() -> Step {
    fs::create_dir_all("/etc/involflt").doing(|| "/etc/involflt".into())?;
    fs::write(CONFIG, "disk = vda\ndisk = missing\n").doing(|| CONFIG.into())?;
    says("doctor", &ctl(&["doctor"], 1)?, &["not filtered: vda", "involfltctl start --configured"])?;
    let started = ctl(&["start", "--configured"], 0)?;
    says("start --configured", &started, &["started", "not there, passed over"])?;
    ctl(&["doctor"], 0)?;
    ctl(&["stop", "vda"], 0)?;
    fs::write(CONFIG, "disk = vda1\ndisk = vda\n").doing(|| CONFIG.into())?;
    let started = ctl(&["start", "--configured"], 2)?;
    says("start of a configured partition", &started, &["is a partition", "started"])?;
    ctl(&["stop", "vda"], 0)?;
    fs::remove_file(CONFIG).doing(|| CONFIG.into())
}

fn without_driver() -> Step {
    module::unload(c"involflt").doing(|| "unload".into())?;
    says("list", &ctl(&["list"], 69)?, &["/dev/involflt", "modprobe involflt"])?;
    says("doctor", &ctl(&["doctor"], 1)?, &["modprobe involflt"])?;
    module::load(INVOLFLT)
}
