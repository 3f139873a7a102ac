// SPDX-License-Identifier: GPL-2.0-only
/* What is Rust's own where the kernel has Rust. */
#include "all.c"
#include "main.c"
#include "services.c"
