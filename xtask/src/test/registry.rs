// SPDX-License-Identifier: GPL-2.0-only
//! A base image from a real registry on the loopback address.

use super::service::{Service, free_address};
use super::{Context, Tally, shared_store};
use crate::container::{Engine, Job, privileged};
use crate::error::Result as FarmResult;
use crate::lock::LockedKernel;
use crate::registry;
use crate::root::{Root, RootSpec};
use crate::store::{Store, remove};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Runs the stage.
pub fn run(context: &Context<'_>, tally: &mut Tally) {
    let dir = std::env::temp_dir().join(format!("involflt-registry-{}", std::process::id()));
    let again = "cargo xtask test --only registry";
    tally.check("a base image from a registry", exported(&dir), again);
    tally.check("a vendor's image as a build root", vendors_root(context, &dir.join("vendor")), again);
    tally.check("a registry that is not there", absent(&dir), again);
    tally.check("a shared store in a registry", shared_store::run(context, &dir.join("shared")), again);
    if let Err(error) = remove(&dir) {
        context.listener.event(crate::event::Event::Note { subject: "registry".into(), text: error.to_string() });
    }
}

/// Loopback without TLS is said in the engine's own configuration, as a user's mirror would be.
pub fn trust(registry: &Service, config: &Path) -> Result<(), String> {
    let text = format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", registry.address);
    std::fs::create_dir_all(config.parent().unwrap_or(config)).map_err(|error| error.to_string())?;
    std::fs::write(config, text).map_err(|error| error.to_string())
}

/// A registry whose images are below `dir`.
pub fn start(dir: &Path) -> Result<Service, String> {
    let config = dir.join("registry.yml");
    let text = |address| {
        let images = dir.join("images");
        format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            images.display()
        )
    };
    Service::start(|address| {
        // What cannot be written here, the registry cannot read: it says so.
        let _ = std::fs::write(&config, text(address));
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        command
    })
}

fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = privileged(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// What the table calls a kernel's image comes from where the engine's configuration has its vendor's registry, becomes the build
/// root of that kernel, and runs commands. One without compilers gets them by its own package manager, or is refused. They stand
/// in for SUSE's: a shell, a dnf that notes what it is to install, and files that are called as compilers are.
fn vendors_root(context: &Context<'_>, dir: &Path) -> Result<String, String> {
    let registry = start_in(dir)?;
    let config = dir.join("registries.conf");
    let mirror =
        format!("[[registry]]\nprefix = \"registry.suse.com\"\nlocation = \"{}\"\ninsecure = true\n", registry.address);
    std::fs::write(&config, mirror).map_err(|error| error.to_string())?;
    let any = context.kernels().map_err(|error| error.to_string())?.into_iter().next().ok_or("no kernel")?;
    let spec = |pack: u32| {
        let release = format!("15-sp{pack}");
        let kernel = LockedKernel { distro: "sles".into(), release, build_root: None, ..any.clone() };
        RootSpec::for_kernel(&kernel).through(&config)
    };
    let store = Store::open(Some(&dir.join("store"))).map_err(|error| error.to_string())?;
    push_stand_in(&registry, &dir.join("content"), "15.6", &["sh"])?;
    let bare = spec(6).get(&store, false, || ()).err().ok_or("an image without compilers was taken")?;
    let left = std::fs::read_dir(store.root().join("roots")).into_iter().flatten().count();
    let expected =
        "kernel-module-devel:15.6 has no /usr/bin/gcc, and it could not be installed there: it has no package manager";
    if !bare.message.contains(expected) || left > 0 {
        return Err(format!("{left} files are left: {bare}"));
    }
    let content = dir.join("with-dnf");
    std::fs::create_dir_all(content.join("usr/bin")).map_err(|error| error.to_string())?;
    let dnf = content.join("usr/bin/dnf");
    std::fs::write(&dnf, DNF).map_err(|error| error.to_string())?;
    std::fs::set_permissions(&dnf, Permissions::from_mode(0o755)).map_err(|error| error.to_string())?;
    push_stand_in(&registry, &content, "15.7", &["sh", "cp"])?;
    let completed = spec(7).get(&store, false, || ()).map_err(|error| error.to_string())?;
    let installed = std::fs::read_to_string(completed.path.join("installed")).map_err(|error| error.to_string())?;
    if !installed.starts_with("install -y ") || !installed.contains(" gcc make elfutils-libelf") {
        return Err(format!("dnf was told {installed:?}"));
    }
    push_stand_in(&registry, &dir.join("content"), "15.5", &["sh", "true", "test", "gcc", "make"])?;
    let root = spec(5).get(&store, false, || ()).map_err(|error| error.to_string())?;
    let ran = runs(&root, &store, &dir.join("log")).map_err(|error| error.to_string())?;
    drop(registry);
    names_what_is_missing(&root, &store, &dir.join("damaged.log"))?;
    let again = spec(5).get(&store, true, || ()).map_err(|error| error.to_string())?;
    for tag in ["15.5", "15.6", "15.7"] {
        said("podman", &["rmi", &format!("registry.suse.com/{IMAGE}:{tag}")])?;
    }
    match ran && again.tool_chain == root.tool_chain {
        true => Ok("pulled by the vendor's name, completed, runs, and is there without its registry".into()),
        false => Err(format!("it ran: {ran}; {again:?}, {root:?}")),
    }
}

/// Installs two files, and notes its arguments.
const DNF: &str = "#!/usr/bin/sh\ncp /usr/bin/sh /usr/bin/gcc\ncp /usr/bin/sh /usr/bin/make\necho \"$*\" >/installed\n";
/// SUSE's image for building modules.
const IMAGE: &str = "bci/bci-sle15-kernel-module-devel";

fn start_in(dir: &Path) -> Result<Service, String> {
    std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    start(dir)
}

/// Pushes an image with these programs, all of them busybox.
fn push_stand_in(registry: &Service, content: &Path, tag: &str, programs: &[&str]) -> Result<(), String> {
    for place in ["usr/bin", "tmp", "proc", "sys", "dev", "etc"] {
        std::fs::create_dir_all(content.join(place)).map_err(|error| error.to_string())?;
    }
    for program in programs {
        std::fs::copy("/bin/busybox", content.join("usr/bin").join(program)).map_err(|error| error.to_string())?;
    }
    let packed = content.with_extension("tar").to_string_lossy().into_owned();
    let image = format!("{}/{IMAGE}:{tag}", registry.address);
    said("tar", &["-C", &content.to_string_lossy(), "-cf", &packed, "."])?;
    said("podman", &["import", "--quiet", &packed, &image])?;
    said("podman", &["push", "--quiet", "--tls-verify=false", &image])?;
    said("podman", &["rmi", &image]).map(drop)
}

/// Whether a command runs in a root.
fn runs(root: &Root, store: &Store, log: &Path) -> FarmResult<bool> {
    let command = ["test", "-f", "/usr/bin/gcc"].map(String::from).to_vec();
    let job = Job { root: &root.path, mounts: Vec::new(), directory: "/", command, log };
    Engine::detect(&root.path, store)?.run(&job, store)
}

/// A root that lost a file: the error has the engine's words, and names the root that is to go.
fn names_what_is_missing(root: &Root, store: &Store, log: &Path) -> Result<(), String> {
    remove(&root.path.join("usr/bin/test")).map_err(|error| error.to_string())?;
    let error = runs(root, store, log).err().ok_or("a command that is missing was run")?;
    let path = root.path.display().to_string();
    match error.message.contains("not found") && error.notes.iter().any(|note| note.ends_with(&path)) {
        true => Ok(()),
        false => Err(format!("of a root without the command: {error}")),
    }
}

/// An image is pushed, forgotten, and comes back with its file in it.
fn exported(dir: &Path) -> Result<String, String> {
    let content = dir.join("content");
    std::fs::create_dir_all(&content).map_err(|error| error.to_string())?;
    std::fs::write(content.join("base-image"), "whole\n").map_err(|error| error.to_string())?;
    let registry = start(dir)?;
    let image = format!("{}/involflt-test:latest", registry.address);
    let (packed, unpacked) = (dir.join("content.tar"), dir.join("exported.tar"));
    said("tar", &["-C", &content.to_string_lossy(), "-cf", &packed.to_string_lossy(), "."])?;
    said("podman", &["import", "--quiet", &packed.to_string_lossy(), &image])?;
    said("podman", &["push", "--quiet", "--tls-verify=false", &image])?;
    said("podman", &["rmi", &image])?;
    let config = dir.join("registries.conf");
    trust(&registry, &config)?;
    let found = registry::export(&image, &unpacked, Some(&config)).map_err(|error| error.to_string())?;
    said("podman", &["rmi", &image])?;
    if !found {
        return Err(format!("{image} was pushed and cannot be pulled"));
    }
    let listing = said("tar", &["-tf", &unpacked.to_string_lossy()])?;
    match listing.lines().any(|name| name == "base-image") {
        true => Ok("pulled, and its files exported".into()),
        false => Err(format!("the image's file is not in {}", unpacked.display())),
    }
}

fn absent(dir: &Path) -> Result<String, String> {
    let image = format!("{}/nothing:latest", free_address()?);
    match registry::export(&image, &dir.join("nothing.tar"), None) {
        Ok(false) => Ok("the archive's own root is made instead".into()),
        Ok(true) => Err(format!("{image} does not exist, and was exported")),
        Err(error) => Err(error.to_string()),
    }
}
