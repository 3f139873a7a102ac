// SPDX-License-Identifier: GPL-2.0-only
/* Zones can be opened, closed and finished (5.5 and later). */
/* Decided by linux/blk_types.h: REQ_OP_ZONE_FINISH */
#include <linux/blkdev.h>
int probe(void);
int probe(void)
{
	return REQ_OP_ZONE_OPEN + REQ_OP_ZONE_CLOSE + REQ_OP_ZONE_FINISH;
}
