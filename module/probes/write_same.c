// SPDX-License-Identifier: GPL-2.0-only
/* The WRITE SAME operation exists (before 5.18). */
/* Decided by linux/blk_types.h: REQ_OP_WRITE_SAME */
#include <linux/blkdev.h>
int probe(void);
int probe(void)
{
	return REQ_OP_WRITE_SAME;
}
