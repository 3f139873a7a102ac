// SPDX-License-Identifier: GPL-2.0-only
/* A passthrough command is in a scsi_request before it is in the scsi_cmnd (before 5.18). */
/* Decided by scsi/scsi_request.h: struct scsi_request { */
#include <linux/blkdev.h>
#include <scsi/scsi_request.h>
unsigned char *probe(struct request *rq);
unsigned char *probe(struct request *rq)
{
	return scsi_req(rq)->cmd;
}
