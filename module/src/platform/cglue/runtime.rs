// SPDX-License-Identifier: GPL-2.0-only
//! What a crate without a standard library has to bring.

use crate::bindings;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: has no preconditions, and does not return.
    unsafe { bindings::inv_panic() }
}
