// SPDX-License-Identifier: GPL-2.0-only
/* Freezing a block device's file system has its later name (6.8 and later). */
/* Decided by linux/blkdev.h: bdev_freeze( */
#include <linux/blkdev.h>
int probe(struct block_device *bdev);
int probe(struct block_device *bdev)
{
	return bdev_freeze(bdev) + bdev_thaw(bdev);
}
