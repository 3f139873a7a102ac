// SPDX-License-Identifier: GPL-2.0-only
/* Memory is had from either allocator by one call (4.12 and later). */
/* Decided by linux/mm.h: kvzalloc( */
/* Decided by linux/slab.h: kvzalloc( */
#include <linux/mm.h>
#include <linux/slab.h>
void *probe(void);
void *probe(void)
{
	return kvzalloc(1, GFP_KERNEL);
}
