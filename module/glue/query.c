// SPDX-License-Identifier: GPL-2.0-only
/* Questions about block devices that need not be filtered. */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include "compat.h"
#include "glue.h"

int inv_is_blk_mq(const char *path)
{
	inv_bdev_handle handle = inv_bdev_open(path);
	int answer;

	if (IS_ERR(handle))
		return PTR_ERR(handle);
	answer = inv_bdev(handle)->bd_disk->queue->mq_ops ? 1 : 0;
	inv_bdev_close(handle);
	return answer;
}
