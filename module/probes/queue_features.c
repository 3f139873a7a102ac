// SPDX-License-Identifier: GPL-2.0-only
/* What a queue can is part of its limits (6.11 and later). */
/* Decided by linux/blkdev.h: BLK_FEAT_STABLE_WRITES */
#include <linux/blkdev.h>
blk_features_t probe(struct request_queue *q);
blk_features_t probe(struct request_queue *q)
{
	return q->limits.features & BLK_FEAT_STABLE_WRITES;
}
