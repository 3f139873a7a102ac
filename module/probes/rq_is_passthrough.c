// SPDX-License-Identifier: GPL-2.0-only
/* A request says whether it came past the block layer (4.11 and later). */
/* Alike everywhere: Ubuntu gave it to its 4.4. The 4.4 of SLES 12 SP3, whose archive is closed, may be without. */
/* Decided by linux/blk-mq.h: blk_rq_is_passthrough( */
/* Decided by linux/blkdev.h: blk_rq_is_passthrough( */
#include <linux/blkdev.h>
#include <linux/blk-mq.h>
bool probe(struct request *rq);
bool probe(struct request *rq)
{
	return blk_rq_is_passthrough(rq);
}
