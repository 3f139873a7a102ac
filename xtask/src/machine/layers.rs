// SPDX-License-Identifier: GPL-2.0-only
//! Roots in layers: the common ones are in the store and never change, the last one takes what is written.
//!
//! An overlay is only ever mounted in a command's own mount namespace. So nothing is left mounted when a run is cut off.

use crate::container::privileged;
use crate::error::{AtPath, Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounts the overlay and carries on with the rest of the arguments. `$1` is the working directory, `$2` the layers.
const MOUNT: &str = r#"here=$1 lower=$2; shift 2
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$here/upper,workdir=$here/work" "$here/root"
"#;

/// A stack of layers and the directory in which they are put together.
#[derive(Debug)]
pub struct Layers {
    /// The lowest first.
    lower: Vec<PathBuf>,
    dir: PathBuf,
}

impl Layers {
    /// A new, empty layer on top of `lower` (the lowest first), kept below `dir`, which must not exist.
    pub fn new(dir: PathBuf, lower: Vec<PathBuf>) -> Result<Layers> {
        // The whole root's directory has the owner and mode of the highest layer's: root's.
        let mut mkdir = privileged("mkdir");
        mkdir.args(["--parents", "--mode=755"]).args(["upper", "work", "root"].map(|name| dir.join(name)));
        let output = mkdir.output().at_path("mkdir")?;
        match output.status.success() {
            true => Ok(Layers { lower, dir }),
            false => Err(Error::infra(String::from_utf8_lossy(&output.stderr).trim())),
        }
    }

    /// Every layer, the lowest first. The last of them must not be written to while others are made on top of it.
    pub fn all(&self) -> Vec<PathBuf> {
        self.lower.iter().cloned().chain([self.dir.join("upper")]).collect()
    }

    /// A shell script, with the root mounted at `$here/root` for it and for nobody else; its `$1` is the first of
    /// `arguments`. Whatever it leaves running is killed when it ends.
    pub fn command(&self, script: &str, arguments: &[String]) -> Command {
        let mut command = privileged("unshare");
        command.args(["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-ec", &format!("{MOUNT}{script}"), "involflt-root"]);
        command.arg(&self.dir).arg(self.stack()).args(arguments);
        command
    }

    /// As the overlay's option has it: the highest first.
    fn stack(&self) -> String {
        let names: Vec<String> = self.lower.iter().rev().map(|layer| escaped(layer)).collect();
        names.join(":")
    }

    /// Moves the layer that was written to out to `path`, which ends this stack.
    pub fn keep(self, path: &Path) -> Result<()> {
        let upper = self.dir.join("upper");
        let output = privileged("mv").arg("-T").arg(&upper).arg(path).output().at_path("mv")?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::infra(format!("{}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim())))
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        // What is left is below the store's scratch directories, which `cargo xtask store gc` empties.
        let _ = privileged("rm").args(["-rf", "--one-file-system", "--"]).arg(&self.dir).output();
    }
}

/// In the overlay's options a colon ends a layer's name, and a comma ends the option.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_layer_comes_first_and_odd_names_stay_whole() {
        let dir = std::env::temp_dir().join(format!("involflt-layers-{}", std::process::id()));
        let layers = Layers::new(dir.join("copy"), vec!["/base".into(), "/with:kernel".into()]).unwrap();
        assert_eq!(layers.stack(), "/with\\:kernel:/base");
        assert_eq!(layers.all().last(), Some(&dir.join("copy/upper")));
        drop(layers);
        assert!(!dir.join("copy").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
