// SPDX-License-Identifier: GPL-2.0-only
/* Open block devices are handles (6.7 and 6.8). */
/* Decided by linux/blkdev.h: bdev_open_by_path( */
#include <linux/blkdev.h>
struct block_device *probe(const char *path);
struct block_device *probe(const char *path)
{
	struct bdev_handle *handle = bdev_open_by_path(path, BLK_OPEN_READ, NULL, NULL);

	bdev_release(handle);
	return handle->bdev;
}
