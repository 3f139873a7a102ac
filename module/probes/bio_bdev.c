// SPDX-License-Identifier: GPL-2.0-only
/* A bio knows its block device, not its disk (5.12 and later). */
/* Decided by linux/blk_types.h: *bi_bdev; */
#include <linux/blkdev.h>
struct gendisk *probe(struct bio *bio);
struct gendisk *probe(struct bio *bio)
{
	return bio->bi_bdev->bd_disk;
}
