// SPDX-License-Identifier: GPL-2.0-only
/* A request has its SCSI command itself (before 4.11). */
/* Decided by linux/blkdev.h: unsigned char *cmd; */
#include <linux/blkdev.h>
unsigned char *probe(const struct request *rq);
unsigned char *probe(const struct request *rq)
{
	return rq->cmd;
}
