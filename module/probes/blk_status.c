// SPDX-License-Identifier: GPL-2.0-only
/* A bio ends in a blk_status_t, not in an errno (4.13 and later). */
/* Decided by linux/blk_types.h: bi_status */
#include <linux/bio.h>
blk_status_t probe(const struct bio *bio);
blk_status_t probe(const struct bio *bio)
{
	return bio->bi_status;
}
