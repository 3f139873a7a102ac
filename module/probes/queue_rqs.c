// SPDX-License-Identifier: GPL-2.0-only
/* Plugged requests go to the driver in batches (5.16 and later). */
/* Decided by linux/blk-mq.h: (*queue_rqs)( */
#include <linux/blk-mq.h>
bool probe(const struct blk_mq_ops *ops);
bool probe(const struct blk_mq_ops *ops)
{
	return ops->queue_rqs;
}
