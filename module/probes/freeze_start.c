// SPDX-License-Identifier: GPL-2.0-only
/* A queue starts to freeze by this name (4.12 and later). */
/* Decided by linux/blk-mq.h: void blk_freeze_queue_start( */
#include <linux/blk-mq.h>
void probe(struct request_queue *q);
void probe(struct request_queue *q)
{
	blk_freeze_queue_start(q);
}
