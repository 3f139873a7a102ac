// SPDX-License-Identifier: GPL-2.0-only
/* Each disk has a number of its own in a boot (5.15 and later). */
/* Decided by linux/blkdev.h: diskseq; */
/* Decided by linux/genhd.h: diskseq; */
#include <linux/blkdev.h>
u64 probe(struct gendisk *disk);
u64 probe(struct gendisk *disk)
{
	return disk->diskseq;
}
