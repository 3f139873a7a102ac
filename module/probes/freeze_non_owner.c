// SPDX-License-Identifier: GPL-2.0-only
/* A queue may be unfrozen by another task than the one that froze it, and says so (6.12 and later). */
/* Decided by linux/blk-mq.h: blk_freeze_queue_start_non_owner( */
#include <linux/blk-mq.h>
void probe(struct request_queue *q);
void probe(struct request_queue *q)
{
	blk_freeze_queue_start_non_owner(q);
	blk_mq_unfreeze_queue_non_owner(q);
}
