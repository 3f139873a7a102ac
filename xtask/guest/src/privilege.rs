// SPDX-License-Identifier: GPL-2.0-only
//! The scenario `privilege`: children of this program that lack CAP_SYS_ADMIN try to open the device.

use crate::agent::DEVICE;
use crate::sys::{Doing, Step, ensure};
use nix::libc;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// First argument of a child.
pub const CHILD: &str = "--open-device";
/// Second argument of a child that stays root but drops CAP_SYS_ADMIN.
const WITHOUT_ADMIN: &str = "without-admin";
/// Second argument of a child that keeps what it has.
const AS_IS: &str = "as-is";
/// A child's exit status when it could open the device; it is the errno otherwise.
const OPENED: i32 = 200;
/// A child's exit status when it could not drop the capability.
const CANNOT_DROP: i32 = 201;

/// Tries to open the device; the answer is the exit status.
pub fn child(mode: Option<&str>) -> ! {
    if mode == Some(WITHOUT_ADMIN) && !drop_admin() {
        std::process::exit(CANNOT_DROP);
    }
    let status = match File::open(DEVICE) {
        Ok(_) => OPENED,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    };
    std::process::exit(status)
}

/// Takes CAP_SYS_ADMIN from the effective, permitted and inheritable sets.
fn drop_admin() -> bool {
    const VERSION_3: u32 = 0x2008_0522;
    const CAP_SYS_ADMIN: u32 = 21;
    let header = [VERSION_3, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: capget of version 3 reads two words of header and writes six words of sets.
    let got = unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) };
    sets[..3].iter_mut().for_each(|set| *set &= !(1 << CAP_SYS_ADMIN));
    // SAFETY: capset of version 3 reads two words of header and six words of sets.
    got == 0 && unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) } == 0
}

fn status_of(command: &mut Command) -> Step<i32> {
    let status = command.status().doing(|| "run a child".into())?;
    Ok(status.code().unwrap_or(-1))
}

/// A child with the capability opens the device, one without does not, whatever the file mode says.
pub fn scenario() -> Step<String> {
    fs::set_permissions(DEVICE, Permissions::from_mode(0o666)).doing(|| DEVICE.into())?;
    let program = |mode| {
        let mut command = Command::new("/proc/self/exe");
        command.arg(CHILD).arg(mode);
        command
    };
    let privileged = status_of(&mut program(AS_IS))?;
    ensure(privileged == OPENED, || format!("root with all capabilities: open gave errno {privileged}"))?;
    let dropped = status_of(&mut program(WITHOUT_ADMIN))?;
    ensure(dropped == libc::EPERM, || format!("root without CAP_SYS_ADMIN: status {dropped}, EPERM was expected"))?;
    let nobody = status_of(program(AS_IS).uid(65534).gid(65534))?;
    ensure(nobody == libc::EPERM, || format!("nobody: status {nobody}, EPERM was expected"))?;
    Ok("EPERM for root without CAP_SYS_ADMIN and for nobody".into())
}
