// SPDX-License-Identifier: GPL-2.0-only
/* All zones can be reset at once (5.4 and later). */
/* Decided by linux/blk_types.h: REQ_OP_ZONE_RESET_ALL */
#include <linux/blkdev.h>
int probe(void);
int probe(void)
{
	return REQ_OP_ZONE_RESET_ALL;
}
