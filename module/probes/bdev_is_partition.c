// SPDX-License-Identifier: GPL-2.0-only
/* A block device tells whether it is a partition (5.10 and later). */
/* Decided by linux/blkdev.h: bdev_is_partition */
#include <linux/blkdev.h>
bool probe(struct block_device *bdev);
bool probe(struct block_device *bdev)
{
	return bdev_is_partition(bdev);
}
