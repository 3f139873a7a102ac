// SPDX-License-Identifier: GPL-2.0-only
/* Always compiles: if it does not, the tool chain is broken and no probe tells anything. */
#include <linux/blkdev.h>
#include <linux/blk-mq.h>
unsigned int probe(struct request_queue *q);
unsigned int probe(struct request_queue *q)
{
	return q->limits.chunk_sectors;
}
