// SPDX-License-Identifier: GPL-2.0-only
/* Bio-based disks take bios by their operations (5.9 and later), not by a function of their queue. */
/* Decided by linux/blkdev.h: (*submit_bio) */
#include <linux/blkdev.h>
void *probe(const struct block_device_operations *ops);
void *probe(const struct block_device_operations *ops)
{
	return ops->submit_bio;
}
