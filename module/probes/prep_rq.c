// SPDX-License-Identifier: GPL-2.0-only
/* There are queues of requests that are not blk-mq (before 5.0). */
/* Decided by linux/blkdev.h: *prep_rq_fn; */
#include <linux/blkdev.h>
prep_rq_fn *probe(const struct request_queue *q);
prep_rq_fn *probe(const struct request_queue *q)
{
	return q->prep_rq_fn;
}
