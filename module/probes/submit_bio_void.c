// SPDX-License-Identifier: GPL-2.0-only
/* submit_bio of a bio-based disk gives nothing back (5.16 and later). */
/* Decided by linux/blkdev.h: (*submit_bio) */
#include <linux/blkdev.h>
static void submit(struct bio *bio)
{
}

extern const struct block_device_operations probe;
const struct block_device_operations probe = { .submit_bio = submit };
