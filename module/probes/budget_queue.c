// SPDX-License-Identifier: GPL-2.0-only
/* What a request takes of a budget is given back to its queue, without a number (5.9 to 5.12). */
/* Decided by linux/blk-mq.h: (*put_budget)(struct request_queue *); */
#include <linux/blk-mq.h>
void probe(const struct blk_mq_ops *ops, struct request *rq);
void probe(const struct blk_mq_ops *ops, struct request *rq)
{
	ops->put_budget(rq->q);
}
