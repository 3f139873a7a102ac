// SPDX-License-Identifier: GPL-2.0-only
/* Commands that came past the block layer's own operations: what they may change. */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include "compat.h"
#include "glue.h"
#include "passthrough.h"

#if defined(INV_HAVE_SCSI_REQUEST)
#include <scsi/scsi_request.h>
#endif

bool inv_is_scsi(struct gendisk *disk)
{
	struct device *parent = disk_to_dev(disk)->parent;

	return IS_ENABLED(CONFIG_SCSI) && parent && parent->bus &&
	       !strcmp(parent->bus->name, "scsi");
}

static void inv_set_cdb(struct inv_scsi *command, struct request *rq)
{
#if defined(INV_HAVE_SCSI_REQUEST)
	command->cdb = scsi_req(rq)->cmd;
	command->cdb_bytes = scsi_req(rq)->cmd_len;
#else
	struct scsi_cmnd *cmd = blk_mq_rq_to_pdu(rq);

	command->cdb = cmd->cmnd;
	command->cdb_bytes = cmd->cmd_len;
#endif
}

static void inv_set_data(struct inv_scsi *command, struct request *rq)
{
	struct bio_vec first;

	if (!rq->bio || !bio_has_data(rq->bio))
		return;
	first = bio_iovec(rq->bio);
	if (PageHighMem(first.bv_page))
		return;
	command->data = (__u8 *)page_address(first.bv_page) + first.bv_offset;
	command->data_bytes = first.bv_len;
}

void inv_passthrough(const void *tracker, struct request *rq, bool scsi)
{
	struct inv_scsi command = {
		.bytes = blk_rq_bytes(rq),
		.block_sectors = queue_logical_block_size(rq->q) >> SECTOR_SHIFT,
		.sends = op_is_write(req_op(rq)),
	};

	if (scsi) {
		inv_set_cdb(&command, rq);
		if (command.sends)
			inv_set_data(&command, rq);
		inv_rs_scsi(tracker, &command);
	} else if (command.sends || !command.bytes) {
		/* What fetches something changes nothing. */
		inv_rs_hole(tracker, INV_HOLE_PASSTHROUGH);
	}
}
