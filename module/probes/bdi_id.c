// SPDX-License-Identifier: GPL-2.0-only
/* A queue has a number that no other gets until the next boot (5.2 and later). */
/* Decided by linux/backing-dev-defs.h: u64 id; */
/* Decided by linux/blkdev.h: *backing_dev_info; */
#include <linux/blkdev.h>
#include <linux/backing-dev.h>
u64 probe(struct request_queue *q);
u64 probe(struct request_queue *q)
{
	return q->backing_dev_info->id;
}
