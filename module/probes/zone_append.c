// SPDX-License-Identifier: GPL-2.0-only
/* A write may name a zone and no place in it (5.8 and later). */
/* Decided by linux/blk_types.h: REQ_OP_ZONE_APPEND */
#include <linux/blkdev.h>
int probe(void);
int probe(void)
{
	return REQ_OP_ZONE_APPEND;
}
