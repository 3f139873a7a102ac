// SPDX-License-Identifier: GPL-2.0-only
/* Freezing a block device's file system gives no super block to thaw it by (5.11 to 6.7). */
/* Decided by linux/blkdev.h: freeze_bdev( */
#include <linux/blkdev.h>
int probe(struct block_device *bdev);
int probe(struct block_device *bdev)
{
	return freeze_bdev(bdev) + thaw_bdev(bdev);
}
