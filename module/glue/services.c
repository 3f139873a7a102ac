// SPDX-License-Identifier: GPL-2.0-only
/* Kernel services for the Rust object, where there is no kernel crate. */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "glue.h"

void *inv_alloc_zeroed(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL);
}

void inv_free(void *memory)
{
	kvfree(memory);
}

/* In units of 100 ns. */
u64 inv_unix_time(void)
{
	return ktime_get_real_ns() / 100;
}

int inv_copy_from_user(void *to, u64 from, size_t bytes)
{
	return copy_from_user(to, u64_to_user_ptr(from), bytes) ? -EFAULT : 0;
}

int inv_copy_to_user(u64 to, const void *from, size_t bytes)
{
	return copy_to_user(u64_to_user_ptr(to), from, bytes) ? -EFAULT : 0;
}

void inv_panic(void)
{
	BUG();
}
