// SPDX-License-Identifier: GPL-2.0-only
//! The kernel and its modules, taken from the distribution's packages.

use crate::error::{AtPath, Error, Result};
use crate::lock::{LockedKernel, Role};
use crate::store::{self, Store};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Part of the entry's key: count it up when what is unpacked changes.
const FORMAT: &str = "2";
/// Modules that the VM's disks and file systems need; what a kernel has built in is not there to be loaded.
pub const DISKS_AND_FILE_SYSTEMS: [&str; 16] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "sd_mod",
    "nvme",
    "dm_mod",
    "dm_multipath",
    "dm_round_robin",
    "raid1",
    "null_blk",
    "loop",
    "crc32c_generic",
    "ext4",
    "xfs",
    "zonefs",
    "nvme_loop",
];
/// Modules that some kernels do not have at all.
const OPTIONAL: [&str; 4] = ["crc32c_generic", "null_blk", "zonefs", "nvme_loop"];
/// What of a package is unpacked, of the many things that are in it.
const PATTERNS: [&str; 14] = [
    "*/vmlinuz*",
    "*/modules.builtin",
    "*/kernel/arch/*",
    "*/kernel/block/*",
    "*/kernel/crypto/*",
    "*/kernel/lib/*",
    "*/kernel/fs/*",
    "*/kernel/drivers/block/*",
    "*/kernel/drivers/dax/*",
    "*/kernel/drivers/md/*",
    "*/kernel/drivers/nvme/*",
    "*/kernel/drivers/scsi/*",
    "*/kernel/drivers/virtio/*",
    "*/kernel/drivers/cdrom/*",
];

/// What of a kernel a VM boots.
#[derive(Debug, Clone)]
pub struct Image {
    /// The compressed kernel.
    pub vmlinuz: PathBuf,
    /// Modules, not compressed, in the order of loading.
    pub modules: Vec<PathBuf>,
}

/// Takes the kernel and the modules `wanted` out of the kernel's packages, or out of the store when that was done before.
pub fn image(kernel: &LockedKernel, store: &Store, offline: bool, wanted: &[&str]) -> Result<Image> {
    let packages: Vec<_> = kernel.packages.iter().filter(|package| package.role == Role::Image).collect();
    if packages.is_empty() {
        return Err(Error::input(format!("{}: the lock names no kernel image package", kernel.id()))
            .note("run cargo xtask resolve"));
    }
    let parts = [FORMAT].iter().chain(wanted).copied().chain(packages.iter().map(|package| package.sha256.as_str()));
    let dir = store.entry("vm-images", &store::key(parts), |partial| {
        let unpacked = partial.with_extension("unpacked");
        store::remove(&unpacked)?;
        for package in &packages {
            unpack(&store.package(package, kernel.origin(), offline)?, &unpacked)?;
        }
        collect(&unpacked, partial, wanted)?;
        store::remove(&unpacked)
    })?;
    let list = dir.join("order");
    let modules = fs::read_to_string(&list).at_path(&list)?.lines().map(|name| dir.join(name)).collect();
    Ok(Image { vmlinuz: dir.join("vmlinuz"), modules })
}

fn unpack(package: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).at_path(to)?;
    let mut deb = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .at_path("dpkg-deb")?;
    let stream = deb.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(to).args(["--no-same-owner", "--wildcards"]).args(PATTERNS).stdin(stream);
    let said = tar.output().at_path("tar")?;
    let read = deb.wait().at_path("dpkg-deb")?;
    // tar complains of each pattern that a package has nothing for; whether all is there is seen later.
    let nothing_else = String::from_utf8_lossy(&said.stderr)
        .lines()
        .all(|line| line.contains("Not found in archive") || line.contains("previous errors"));
    if read.success() && nothing_else {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&said.stderr);
    Err(Error::infra(format!("{}: cannot be unpacked: {}", package.display(), text.trim())))
}

/// Every file below a directory.
fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).at_path(dir)? {
        let path = entry.at_path(dir)?.path();
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// `virtio-blk.ko.xz` and `virtio_blk` are the same module.
fn module_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    Some(name[..name.find(".ko")?].replace('-', "_"))
}

/// Puts the kernel, the modules and their order into a new directory.
fn collect(unpacked: &Path, to: &Path, wanted: &[&str]) -> Result<()> {
    let mut files = Vec::new();
    walk(unpacked, &mut files)?;
    let is_kernel = |path: &&PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("vmlinuz"))
    };
    let vmlinuz =
        files.iter().find(is_kernel).ok_or_else(|| Error::infra("the packages hold no vmlinuz".to_string()))?;
    let builtin = files.iter().find(|path| path.ends_with("modules.builtin"));
    let builtin = builtin.map(|path| fs::read_to_string(path).at_path(path)).transpose()?;
    let by_name = files.iter().filter_map(|path| Some((module_name(path)?, path.as_path()))).collect();
    let names = |list: String| list.lines().filter_map(|line| module_name(Path::new(line))).collect();
    let builtin = builtin.map(names);
    let mut order = Order { by_name, builtin, names: Vec::new(), done: Vec::new(), to };
    fs::create_dir_all(to).at_path(to)?;
    fs::copy(vmlinuz, to.join("vmlinuz")).at_path(vmlinuz)?;
    for name in wanted {
        order.add(name)?;
    }
    let list = to.join("order");
    fs::write(&list, order.names.join("\n")).at_path(&list)
}

/// Modules in the order of loading: each after those it depends on.
struct Order<'a> {
    by_name: BTreeMap<String, &'a Path>,
    /// Some packages do not list what is built in; the guest then says which disk it does not find.
    builtin: Option<Vec<String>>,
    names: Vec<String>,
    done: Vec<String>,
    to: &'a Path,
}

impl Order<'_> {
    fn add(&mut self, name: &str) -> Result<()> {
        if self.done.iter().any(|done| done == name) {
            return Ok(());
        }
        self.done.push(name.to_string());
        let Some(path) = self.by_name.get(name).copied() else {
            let listed = self.builtin.as_ref().is_none_or(|builtin| builtin.iter().any(|builtin| builtin == name));
            let expected = listed || OPTIONAL.contains(&name);
            let missing = || Error::infra(format!("the kernel's packages have no module {name}"));
            return if expected { Ok(()) } else { Err(missing()) };
        };
        let module = read_module(path)?;
        for needed in depends(&module) {
            self.add(&needed)?;
        }
        let file = format!("{name}.ko");
        fs::write(self.to.join(&file), module).at_path(self.to.join(&file))?;
        self.names.push(file);
        Ok(())
    }
}

/// A module's bytes, decompressed.
fn read_module(path: &Path) -> Result<Vec<u8>> {
    let tool = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(path).at_path(path),
    };
    let output = Command::new(tool).arg("-dc").arg(path).output().at_path(tool)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::infra(format!("{}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim())))
}

/// The names after `depends=` of the module's information section.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else { return Vec::new() };
    let list = module[at + KEY.len()..].split(|&byte| byte == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(list);
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("involflt-image-{name}-{}", std::process::id()));
        store::remove(&dir).unwrap();
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn put(root: &Path, path: &str, contents: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    /// A tree of packages with some of the wanted modules built in.
    fn packages(root: &Path, builtin: &str) {
        put(root, "boot/vmlinuz-6.1.0", "kernel");
        put(root, "lib/modules/6.1.0/modules.builtin", builtin);
        put(root, "lib/modules/6.1.0/kernel/fs/ext4/ext4.ko", "ELF\0license=GPL\0depends=mbcache,jbd2\0");
        put(root, "lib/modules/6.1.0/kernel/fs/jbd2/jbd2.ko", "ELF\0depends=\0");
        put(root, "lib/modules/6.1.0/kernel/fs/mbcache.ko", "ELF\0depends=jbd2\0");
    }

    const BUILTIN: &str = "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/block/virtio_blk.ko\n\
        kernel/drivers/scsi/virtio_scsi.ko\nkernel/drivers/scsi/sd_mod.ko\nkernel/drivers/nvme/host/nvme.ko\n\
        kernel/drivers/md/dm-mod.ko\nkernel/drivers/md/dm-multipath.ko\nkernel/drivers/md/dm-round-robin.ko\n\
        kernel/drivers/md/raid1.ko\nkernel/drivers/block/loop.ko\nkernel/drivers/block/null_blk/null_blk.ko\n";

    #[test]
    fn a_module_comes_after_what_it_depends_on() {
        let dir = scratch("order");
        packages(&dir.join("in"), &format!("{BUILTIN}kernel/fs/xfs/xfs.ko\n"));
        collect(&dir.join("in"), &dir.join("out"), &DISKS_AND_FILE_SYSTEMS).unwrap();
        assert_eq!(fs::read_to_string(dir.join("out/order")).unwrap(), "jbd2.ko\nmbcache.ko\next4.ko");
        assert!(dir.join("out/vmlinuz").exists() && dir.join("out/mbcache.ko").exists());
        store::remove(&dir).unwrap();
    }

    #[test]
    fn a_module_that_is_neither_there_nor_built_in_is_named() {
        let dir = scratch("missing");
        packages(&dir.join("in"), BUILTIN);
        let error = collect(&dir.join("in"), &dir.join("out"), &DISKS_AND_FILE_SYSTEMS).unwrap_err();
        assert_eq!(error.message, "the kernel's packages have no module xfs");
        store::remove(&dir).unwrap();
    }
}
