// SPDX-License-Identifier: GPL-2.0-only
/* What a request takes of a queue's budget has a number (5.13 and later). */
/* Decided by linux/blk-mq.h: (*get_rq_budget_token)( */
#include <linux/blk-mq.h>
void probe(const struct blk_mq_ops *ops, struct request *rq);
void probe(const struct blk_mq_ops *ops, struct request *rq)
{
	ops->put_budget(rq->q, ops->get_rq_budget_token(rq));
}
