// SPDX-License-Identifier: GPL-2.0-only
/* Never compiles: if it does, the compiler's word is worth nothing. */
#include <linux/blkdev.h>
int probe(struct request_queue *q);
int probe(struct request_queue *q)
{
	return q->involflt_no_such_field;
}
