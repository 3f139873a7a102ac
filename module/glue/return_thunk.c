// SPDX-License-Identifier: GPL-2.0-only
/* What the Rust object returns by on a kernel that has no return thunks: a return, as that kernel's own are. */
asm(".pushsection .text\n"
    ".globl __x86_return_thunk\n"
    ".type __x86_return_thunk, @function\n"
    "__x86_return_thunk:\n"
    "	ret\n"
    ".size __x86_return_thunk, .-__x86_return_thunk\n"
    ".popsection\n");
