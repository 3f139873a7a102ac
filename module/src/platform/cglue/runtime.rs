// SPDX-License-Identifier: GPL-2.0-only
//! What a crate without a standard library has to bring.

use crate::bindings;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: has no preconditions. The call does not return, which is no part of its type: where the compiler knew it,
    // objtool, which cannot, would find no code after the call and believe that the function runs on into the next one.
    // A trap ends the function for both.
    unsafe {
        bindings::inv_panic();
        core::arch::asm!("ud2", options(noreturn, nomem, nostack))
    }
}
