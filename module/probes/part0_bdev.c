// SPDX-License-Identifier: GPL-2.0-only
/* A disk has its statistics in the block device of the whole disk (5.11 and later). */
/* Decided by linux/blkdev.h: *part0; */
/* Decided by linux/genhd.h: *part0; */
#include <linux/blkdev.h>
struct block_device *probe(struct gendisk *disk);
struct block_device *probe(struct gendisk *disk)
{
	return disk->part0;
}
