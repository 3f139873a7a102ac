// SPDX-License-Identifier: GPL-2.0-only
/* Commands that came past the block layer's own operations: what they may change. */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_proto.h>
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

static void inv_set_cdb(struct inv_command *command, struct request *rq)
{
#if defined(INV_HAVE_SCSI_REQUEST)
	command->command = scsi_req(rq)->cmd;
	command->command_bytes = scsi_req(rq)->cmd_len;
#elif defined(INV_HAVE_RQ_CMD)
	command->command = rq->cmd;
	command->command_bytes = rq->cmd_len;
#else
	struct scsi_cmnd *cmd = blk_mq_rq_to_pdu(rq);

	command->command = cmd->cmnd;
	command->command_bytes = cmd->cmd_len;
#endif
}

/* NVMe's DATASET MANAGEMENT. */
#define INV_NVME_DATASET 0x09
/* The length of an UNMAP list has 16 bits; DATASET MANAGEMENT sends 4 KiB at most. */
#define INV_LIST_BYTES U16_MAX

/* Whether the command names the blocks that it changes in what it sends. */
static bool inv_sends_list(const struct inv_command *command, bool scsi)
{
	return command->sends && command->command_bytes &&
	       command->command[0] == (scsi ? UNMAP : INV_NVME_DATASET);
}

/*
 * Copies a list: a process may have it in pieces, wherever its pages end, and
 * change it meanwhile. Without memory there is none.
 */
static void inv_gather(struct inv_command *command, struct request *rq)
{
	u32 bytes = min_t(u64, command->bytes, INV_LIST_BYTES), done = 0;
	u8 *data = kmalloc(bytes, GFP_ATOMIC | __GFP_NOWARN);
	struct req_iterator at;
	struct bio_vec piece;

	BUILD_BUG_ON(IS_ENABLED(CONFIG_HIGHMEM));
	if (!data)
		return;
	rq_for_each_segment(piece, rq, at) {
		u32 length = min(piece.bv_len, bytes - done);

		memcpy(data + done, page_address(piece.bv_page) + piece.bv_offset, length);
		done += length;
	}
	command->data = data;
	command->data_bytes = done;
}

static struct inv_command inv_command(struct request *rq)
{
	return (struct inv_command){
		.bytes = blk_rq_bytes(rq),
		.block_sectors = queue_logical_block_size(rq->q) >> SECTOR_SHIFT,
		.sends = op_is_write(req_op(rq)),
	};
}

/* Bytes of a submission queue entry. */
#define INV_NVME_ENTRY 64

/*
 * An NVMe driver keeps a request's command in the request's own memory, which
 * begins with the command's address. No header says so: it is believed of a
 * queue once it was seen (inv_nvme_learn()). No other memory is ever read.
 */
static bool inv_set_entry(struct inv_command *command, struct request *rq)
{
	uintptr_t start = (uintptr_t)blk_mq_rq_to_pdu(rq);
	uintptr_t end = start + rq->q->tag_set->cmd_size;
	uintptr_t entry;

	if (end - start < sizeof(entry) + INV_NVME_ENTRY)
		return false;
	entry = *(uintptr_t *)start;
	if (entry < start + sizeof(entry) || entry > end - INV_NVME_ENTRY)
		return false;
	command->command = (const __u8 *)entry;
	command->command_bytes = INV_NVME_ENTRY;
	return true;
}

/*
 * A write whose request is not used again is given up after so many others, and
 * the next one after twice as many: one CPU may use its requests seldom, and
 * where tags go round each of a queue's 1023 is used first, on every CPU.
 */
#define INV_NVME_MISSES 256
#define INV_NVME_DOUBLINGS 8

/*
 * When the request of a write comes again, its memory still says that write,
 * as the driver has not made the new command yet. Where CPUs meet here, what is
 * remembered may be of two writes, and then no memory says it.
 */
void inv_nvme_learn(struct inv_nvme *nvme, struct request *rq)
{
	struct inv_command command = inv_command(rq);

	if (nvme->rq && nvme->rq != rq) {
		if (++nvme->missed < INV_NVME_MISSES << nvme->given_up)
			return;
		if (nvme->given_up < INV_NVME_DOUBLINGS)
			nvme->given_up++;
	}
	if (nvme->rq == rq && inv_set_entry(&command, rq) &&
	    inv_rs_nvme_is_write(&command, nvme->sector, nvme->sectors)) {
		WRITE_ONCE(nvme->state, INV_NVME_KNOWN);
		return;
	}
	nvme->rq = req_op(rq) == REQ_OP_WRITE ? rq : NULL;
	nvme->sector = blk_rq_pos(rq);
	nvme->sectors = blk_rq_sectors(rq);
	nvme->missed = 0;
}

static bool inv_unknown(const void *tracker)
{
	if (inv_rs_must_wait(tracker, 0, U64_MAX))
		return true;
	inv_rs_hole(tracker, INV_HOLE_PASSTHROUGH);
	return false;
}

bool inv_passthrough(const void *tracker, struct request *rq, bool scsi,
		     const struct inv_nvme *nvme)
{
	struct inv_command command = inv_command(rq);
	bool found = scsi, wait = false;

	if (scsi)
		inv_set_cdb(&command, rq);
	else if (READ_ONCE(nvme->state) == INV_NVME_KNOWN)
		found = inv_set_entry(&command, rq);
	if (found && inv_sends_list(&command, scsi))
		inv_gather(&command, rq);
	if (found && scsi)
		wait = inv_rs_scsi(tracker, &command);
	else if (found)
		wait = inv_rs_nvme(tracker, &command);
	else if (command.sends || !command.bytes)
		/* What fetches something changes nothing. */
		wait = inv_unknown(tracker);
	kfree(command.data);
	return wait;
}

#if defined(INV_CAN_HOLD)
void inv_scsi_fail(struct request *rq)
{
#if defined(INV_HAVE_SCSI_REQUEST)
	scsi_req(rq)->result = DID_ERROR << 16;
#else
	struct scsi_cmnd *cmd = blk_mq_rq_to_pdu(rq);

	cmd->result = DID_ERROR << 16;
#endif
}
#endif
