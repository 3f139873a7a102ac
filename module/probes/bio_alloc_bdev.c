// SPDX-License-Identifier: GPL-2.0-only
/* bio_alloc() takes the device and the operation (5.18 and later). */
/* Decided by linux/bio.h: bio_alloc(struct block_device */
#include <linux/bio.h>
struct bio *probe(struct block_device *bdev);
struct bio *probe(struct block_device *bdev)
{
	return bio_alloc(bdev, 1, REQ_OP_READ, GFP_KERNEL);
}
