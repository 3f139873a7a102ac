// SPDX-License-Identifier: GPL-2.0-only
/* A queue, not its device information, says that its writes are stable (5.9 and later). */
/* Decided by linux/blkdev.h: QUEUE_FLAG_STABLE_WRITES */
/* Decided by linux/blkdev.h: BLK_FEAT_STABLE_WRITES */
#include <linux/blkdev.h>
int probe(void);
int probe(void)
{
#if defined(QUEUE_FLAG_STABLE_WRITES)
	return QUEUE_FLAG_STABLE_WRITES;
#else
	return BLK_FEAT_STABLE_WRITES;
#endif
}
