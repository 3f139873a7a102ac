// SPDX-License-Identifier: GPL-2.0-only
/* Freezing a queue gives the memory flags to put back (6.14 and later). */
/* Decided by linux/blk-mq.h: blk_mq_freeze_queue( */
#include <linux/blk-mq.h>
unsigned int probe(struct request_queue *q);
unsigned int probe(struct request_queue *q)
{
	unsigned int memflags = blk_mq_freeze_queue(q);

	blk_mq_unfreeze_queue(q, memflags);
	return memflags;
}
