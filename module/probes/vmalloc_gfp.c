// SPDX-License-Identifier: GPL-2.0-only
/* __vmalloc() takes no protection (5.8 and later). */
/* Decided by linux/vmalloc.h: void *__vmalloc( */
/* Decided by linux/vmalloc.h: #define __vmalloc( */
#include <linux/gfp.h>
#include <linux/vmalloc.h>
void *probe(void);
void *probe(void)
{
	return __vmalloc(1, GFP_KERNEL);
}
