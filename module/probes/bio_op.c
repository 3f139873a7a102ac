// SPDX-License-Identifier: GPL-2.0-only
/* A bio has one operation, and flags beside it (4.8 and later). */
/* Decided by linux/blk_types.h: bio_op( */
#include <linux/bio.h>
unsigned int probe(const struct bio *bio);
unsigned int probe(const struct bio *bio)
{
	return bio_op(bio);
}
