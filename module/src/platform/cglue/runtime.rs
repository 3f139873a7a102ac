// SPDX-License-Identifier: GPL-2.0-only
//! What a crate without a standard library has to bring.

use crate::bindings;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // The call does not return. That is no part of its type here: objtool, which cannot know it, then finds no code
    // after the call and believes that the function runs on into the next one.
    loop {
        // SAFETY: has no preconditions.
        unsafe { bindings::inv_panic() }
    }
}
