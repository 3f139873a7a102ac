// SPDX-License-Identifier: GPL-2.0-only
//! One package: a template of `packaging/` rendered, files put beside it, and cargo-deb or cargo-generate-rpm run.

use super::templates::Templates;
use super::tools::Tools;
use crate::error::{AtPath, Error, Result};
use crate::store::{Store, key, remove, sha256_file};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Seconds of the Unix epoch, of every file in every package: the date of the newest entry of `packaging/changelog`.
pub const DATE: u64 = 1_793_491_200;

/// Which machines a package is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64 alone.
    Amd64,
    /// Any.
    All,
}

/// The form of a package, with its whole version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A Debian package: upstream version and revision.
    Deb(String),
    /// An RPM: version and release.
    Rpm(String, String),
}

/// A package to be made.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// The package's name.
    pub name: String,
    /// Which machines it is for.
    pub arch: Arch,
    /// Its form and version.
    pub form: Form,
    /// Directory below `packaging/`.
    pub template: &'static str,
    /// What the template names, beside `name`, `version` and `release`.
    pub values: serde_json::Value,
    /// Files that the manifest names and the template does not have: the name there, and where each is.
    pub files: Vec<(String, PathBuf)>,
}

impl Recipe {
    /// The file name that the package has in a repository.
    pub fn file_name(&self) -> String {
        let (name, version, architecture) = (&self.name, self.version(), self.architecture());
        match self.form {
            Form::Deb(_) => format!("{name}_{version}_{architecture}.deb"),
            Form::Rpm(..) => format!("{name}-{version}.{architecture}.rpm"),
        }
    }

    /// The whole version, with revision or release.
    pub fn version(&self) -> String {
        match &self.form {
            Form::Deb(version) => version.clone(),
            Form::Rpm(version, release) => format!("{version}-{release}"),
        }
    }

    /// The architecture as the package's own family names it.
    pub fn architecture(&self) -> &'static str {
        match (&self.form, self.arch) {
            (Form::Deb(_), Arch::Amd64) => "amd64",
            (Form::Deb(_), Arch::All) => "all",
            (Form::Rpm(..), Arch::Amd64) => "x86_64",
            (Form::Rpm(..), Arch::All) => "noarch",
        }
    }

    /// Whether a module for this kernel release is in it.
    pub fn is_for(&self, kernel: &str) -> bool {
        let listed = self.values["kernels"].as_array().is_some_and(|all| all.iter().any(|one| one == kernel));
        listed || self.values["kernel"] == kernel
    }

    /// Whether it is a Debian package.
    pub fn is_deb(&self) -> bool {
        matches!(self.form, Form::Deb(_))
    }

    /// The files of its template, by name, as they go into the package.
    pub fn render(&self, templates: &Templates) -> Result<Vec<(String, Vec<u8>)>> {
        templates.render(self.template, &self.context())
    }

    /// The package without a signature, made where the store has no equal one.
    pub fn make(&self, templates: &Templates, tools: &Tools, store: &Store) -> Result<PathBuf> {
        let rendered = self.render(templates)?;
        let name = self.file_name();
        let dir = store.entry("package-files", &self.key(&rendered)?, |partial| {
            let stage = partial.with_extension("stage");
            remove(&stage)?;
            fs::create_dir_all(partial).at_path(partial)?;
            let made = self.stage(&rendered, &stage).and_then(|()| self.pack(tools, &stage, &partial.join(&name)));
            remove(&stage)?;
            made
        })?;
        Ok(dir.join(name))
    }

    fn context(&self) -> serde_json::Value {
        let mut context = self.values.clone();
        context["name"] = self.name.clone().into();
        match &self.form {
            Form::Deb(version) => context["version"] = version.clone().into(),
            Form::Rpm(version, release) => {
                context["version"] = version.clone().into();
                context["release"] = release.clone().into();
            }
        }
        context
    }

    fn key(&self, rendered: &[(String, Vec<u8>)]) -> Result<String> {
        let mut parts = vec![Tools::key(), format!("{DATE}"), self.file_name()];
        parts.extend(CARGO_DEB.map(String::from));
        for (name, text) in rendered {
            parts.extend([name.clone(), String::from_utf8_lossy(text).into_owned()]);
        }
        for (name, path) in &self.files {
            parts.extend([name.clone(), sha256_file(path)?]);
        }
        Ok(key(parts.iter().map(String::as_str)))
    }

    fn stage(&self, rendered: &[(String, Vec<u8>)], stage: &Path) -> Result<()> {
        let texts = rendered.iter().map(|(name, text)| (name.as_str(), text.as_slice()));
        for (name, text) in texts.chain([("lib.rs", &b""[..])]) {
            let path = place(stage, name)?;
            fs::write(&path, text).at_path(&path)?;
            settle(&path)?;
            compress_manual(&path)?;
        }
        for (name, source) in &self.files {
            let path = place(stage, name)?;
            fs::copy(source, &path).at_path(source)?;
            settle(&path)?;
            compress_manual(&path)?;
        }
        Ok(())
    }

    fn pack(&self, tools: &Tools, stage: &Path, to: &Path) -> Result<()> {
        let mut command = match &self.form {
            Form::Deb(version) => cargo_deb(tools, version, self.arch),
            Form::Rpm(..) => cargo_generate_rpm(tools, self.arch),
        };
        let output = command
            .arg("--output")
            .arg(to)
            .current_dir(stage)
            .env("SOURCE_DATE_EPOCH", DATE.to_string())
            .env("CARGO_TARGET_DIR", stage.join("target"))
            .output()
            .at_path(command_name(&command))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        Err(Error::infra(format!("{}: {}: {said}", self.file_name(), command_name(&command)))
            .note(format!("its manifest is packaging/{}/Cargo.toml.j2", self.template)))
    }
}

/// `--no-strip`: a signed module that is stripped is a module without a valid signature. `--fast`: xz at its first level packs
/// the modules of a release in an eighth of the time.
const CARGO_DEB: [&str; 6] = ["--no-build", "--no-strip", "--offline", "--quiet", "--fast", "--compress-system"];

fn cargo_deb(tools: &Tools, version: &str, arch: Arch) -> Command {
    let mut command = Command::new(&tools.cargo_deb);
    command.args(CARGO_DEB).args(["--deb-version", version]);
    if arch == Arch::All {
        // cargo-deb takes the architecture from the target's first word, and has no other way to say `all`.
        command.args(["--target", "all-unknown-linux-gnu"]);
    }
    command
}

fn cargo_generate_rpm(tools: &Tools, arch: Arch) -> Command {
    let mut command = Command::new(&tools.cargo_generate_rpm);
    command.args(["--auto-req", "disabled"]);
    command.args(["--arch", if arch == Arch::All { "noarch" } else { "x86_64" }]);
    command
}

fn command_name(command: &Command) -> String {
    Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn place(stage: &Path, name: &str) -> Result<PathBuf> {
    let path = stage.join(name);
    let dir = path.parent().unwrap_or(stage);
    fs::create_dir_all(dir).at_path(dir)?;
    Ok(path)
}

/// Debian wants manual pages compressed; `page.8.gz` stands beside `page.8`.
fn compress_manual(path: &Path) -> Result<()> {
    let section = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if section.len() != 1 || !section.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(());
    }
    let status = Command::new("gzip").args(["-9", "--no-name", "--keep"]).arg(path).status().at_path("gzip")?;
    if status.success() { Ok(()) } else { Err(Error::infra(format!("gzip {}: {status}", path.display()))) }
}

/// The same time for every file; what mode it has in the package, the manifest says.
fn settle(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).at_path(path)?;
    let file = File::options().write(true).open(path).at_path(path)?;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(DATE)).at_path(path)
}

#[cfg(test)]
impl Recipe {
    /// A Debian package's, for tests of what only names it.
    pub fn example(name: &str, version: &str) -> Recipe {
        Recipe {
            name: name.into(),
            arch: Arch::Amd64,
            form: Form::Deb(version.into()),
            template: "utils",
            values: serde_json::Value::Null,
            files: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_that_of_the_newest_change() {
        let changelog = include_str!("../../../packaging/changelog");
        let date = changelog.lines().find_map(|line| line.strip_prefix(" -- ")?.split("  ").nth(1)).unwrap();
        let output = Command::new("date").args(["--utc", "--date", date, "+%s"]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), DATE.to_string());
    }
}
