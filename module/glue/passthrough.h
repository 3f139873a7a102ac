/* SPDX-License-Identifier: GPL-2.0-only */
/* Commands that came past the block layer's own operations. */
#ifndef INVOLFLT_PASSTHROUGH_H
#define INVOLFLT_PASSTHROUGH_H

#include <linux/blk-mq.h>

bool inv_is_scsi(struct gendisk *disk);

/* Whether a queue's NVMe commands can be found. */
enum inv_nvme_state {
	INV_NVME_NONE,		/* it is another kind of queue */
	INV_NVME_LEARNING,
	INV_NVME_KNOWN,
};

struct inv_nvme {
	enum inv_nvme_state state;
	/* A write, and the request that it had. */
	const struct request *rq;
	u64 sector;
	u32 sectors;
	unsigned int missed, given_up;
};

/* A request that is no passthrough is about to be given to the disk's driver. */
void inv_nvme_learn(struct inv_nvme *nvme, struct request *rq);
/*
 * Tells the tracker what the request may change, before the disk's driver gets
 * it. True where it must wait for that, and nothing was told.
 */
bool inv_passthrough(const void *tracker, struct request *rq, bool scsi,
		     const struct inv_nvme *nvme);
/* The sender of a SCSI command that the disk did not get looks here, not at its request's status. */
void inv_scsi_fail(struct request *rq);

#endif
