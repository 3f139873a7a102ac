/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands that came past the block layer's own operations. */
#ifndef INVOLFLT_PASSTHROUGH_H
#define INVOLFLT_PASSTHROUGH_H

#include <linux/blk-mq.h>

bool inv_is_scsi(struct gendisk *disk);
/* Tells the tracker what the request may change, before the disk's driver gets it. */
void inv_passthrough(const void *tracker, struct request *rq, bool scsi);

#endif
