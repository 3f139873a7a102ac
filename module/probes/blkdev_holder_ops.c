// SPDX-License-Identifier: GPL-2.0-only
/* blkdev_get_by_path() takes holder operations (6.5 and 6.6). */
/* Decided by linux/blkdev.h: blkdev_get_by_path( */
#include <linux/blkdev.h>
struct block_device *probe(const char *path);
struct block_device *probe(const char *path)
{
	return blkdev_get_by_path(path, BLK_OPEN_READ, NULL, NULL);
}
