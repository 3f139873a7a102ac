// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-intent mode. A request that must wait gives its bios away and is over:
 * as long as they wait they have no tag, which the disk of the file may need
 * too, and nothing that a queue freeze waits for. Nothing is allocated.
 */
#include <linux/blkdev.h>
#include "compat.h"
#include "intent.h"
#include "passthrough.h"

#if defined(INV_CAN_HOLD)

/* The log is told of those that have waited for so many seconds, and then after each of so many. */
#define INV_WARN	5
#define INV_WARN_AGAIN	60
/* When something has waited for so many, a command fails. */
#define INV_COMMAND	30

/* The block layer's own time until who has no budget tries again. */
#define INV_BUDGET_MS	3

/*
 * Each once: what is held again waits for the next mark. Not by the thread that
 * writes marks, or one that others have: this may wait for a tag, which may wait
 * for a mark, and memory may wait for this.
 */
static void inv_intent_send(struct work_struct *work)
{
	struct inv_intent *intent = container_of(work, struct inv_intent, send);
	struct bio_list list;
	struct blk_plug plug;
	unsigned long flags;
	struct bio *bio;

	/* Not spin_unlock_irq(): that is an indirect call in some kernels. */
	spin_lock_irqsave(&intent->lock, flags);
	list = intent->held;
	bio_list_init(&intent->held);
	spin_unlock_irqrestore(&intent->lock, flags);

	blk_start_plug(&plug);
	while ((bio = bio_list_pop(&list))) {
		/* Whoever asked for that has gone on. */
		bio->bi_opf &= ~(REQ_NOWAIT | INV_REQ_POLLED);
		submit_bio_noacct(bio);
	}
	blk_finish_plug(&plug);
}

static void inv_intent_mark(struct work_struct *work)
{
	struct inv_intent *intent = container_of(to_delayed_work(work), struct inv_intent, mark);
	unsigned int flags = memalloc_noio_save();
	int again;

	if (!intent->waits)
		WRITE_ONCE(intent->seconds, 0);
	WRITE_ONCE(intent->waits, true);
	/* Stays as it is if it is on its way already. */
	queue_delayed_work(system_highpri_wq, &intent->watch, HZ);
	again = inv_rs_mark_intent(intent->tracker);
	memalloc_noio_restore(flags);
	if (again) {
		mod_delayed_work(intent->workers, &intent->mark, HZ);
		return;
	}
	WRITE_ONCE(intent->waits, false);
	cancel_delayed_work(&intent->watch);
	queue_work(intent->sender, &intent->send);
}

/*
 * Each second, as long as something waits: what asked before writes went on may
 * be held after those before it were sent.
 */
static void inv_intent_watch(struct work_struct *work)
{
	struct inv_intent *intent = container_of(to_delayed_work(work), struct inv_intent, watch);
	unsigned int seconds = intent->seconds + 1;
	int late;

	if (!READ_ONCE(intent->waits))
		return;
	WRITE_ONCE(intent->seconds, seconds);
	late = inv_rs_late(intent->tracker, seconds);
	if (late == INV_LATE_GOES_ON)
		pr_warn("involflt: %s: writes go on without %s: until it is written, a stop of the machine may cost changes\n",
			intent->disk, intent->file);
	if (late != INV_LATE_WAITS)
		queue_work(intent->sender, &intent->send);
	else if (seconds == INV_WARN || seconds % INV_WARN_AGAIN == 0)
		pr_warn("involflt: %s: for %u seconds writes have waited for %s\n",
			intent->disk, seconds, intent->file);
	queue_delayed_work(system_highpri_wq, &intent->watch, HZ);
}

static void inv_intent_free(struct inv_intent *intent)
{
	if (intent->sender)
		destroy_workqueue(intent->sender);
	if (intent->workers)
		destroy_workqueue(intent->workers);
	intent->workers = NULL;
}

/* A write may be what memory waits for, so its mark and its way back have a thread each. */
int inv_intent_begin(struct inv_intent *intent, const void *tracker, const char *disk,
		     const struct inv_pinned *file)
{
	if (!intent->workers) {
		intent->workers = alloc_workqueue("involflt_intent",
						  WQ_MEM_RECLAIM | WQ_UNBOUND, 1);
		intent->sender = alloc_workqueue("involflt_send",
						 WQ_MEM_RECLAIM | WQ_UNBOUND, 1);
		if (!intent->workers || !intent->sender) {
			inv_intent_free(intent);
			return -ENOMEM;
		}
		INIT_DELAYED_WORK(&intent->mark, inv_intent_mark);
		INIT_DELAYED_WORK(&intent->watch, inv_intent_watch);
		INIT_WORK(&intent->send, inv_intent_send);
		spin_lock_init(&intent->lock);
		bio_list_init(&intent->held);
	}
	intent->tracker = tracker;
	intent->disk = disk;
	inv_pinned_print(file, intent->file, sizeof(intent->file));
	smp_store_release(&intent->on, true);
	return 0;
}

void inv_intent_end(struct inv_intent *intent)
{
	if (!intent->workers)
		return;
	WRITE_ONCE(intent->on, false);
	mod_delayed_work(intent->workers, &intent->mark, 0);
}

void inv_intent_stop(struct inv_intent *intent)
{
	if (!intent->workers)
		return;
	cancel_delayed_work_sync(&intent->mark);
	cancel_delayed_work_sync(&intent->watch);
	queue_work(intent->sender, &intent->send);
	flush_work(&intent->send);
	inv_intent_free(intent);
}

/*
 * More than its bios waits for its end where it is a command, or the clone of
 * another disk's request (dm-multipath). A flush's data goes on without its
 * bios, and they come again with their flush.
 */
static bool inv_keeps_bios(struct request *rq)
{
	return blk_rq_is_passthrough(rq) ||
	       (rq->end_io && !(rq->rq_flags & RQF_FLUSH_SEQ));
}

blk_status_t inv_intent_wait(struct inv_intent *intent, const struct blk_mq_ops *ops,
			     struct blk_mq_hw_ctx *hctx, struct request *rq)
{
	bool keeps = inv_keeps_bios(rq);
	unsigned long flags;

	inv_put_budget(ops, rq);
	if (!keeps) {
		spin_lock_irqsave(&intent->lock, flags);
		blk_steal_bios(&intent->held, rq);
		spin_unlock_irqrestore(&intent->lock, flags);
	}
	/* One that failed is tried again in its time, however many come. */
	queue_delayed_work(intent->workers, &intent->mark, 0);
	/* Any queue may wait for its part of the budget, and no completion tells it. */
	if (ops->put_budget)
		blk_mq_delay_run_hw_queues(hctx->queue, INV_BUDGET_MS);
	if (keeps)
		return BLK_STS_RESOURCE;
	/* The driver may have had it before, and not begun. */
	blk_mq_cleanup_rq(rq);
	/* As long as it is not over, the disk stays attached. */
	blk_mq_end_request(rq, BLK_STS_OK);
	/* It may have been the last of several, with which the driver begins. */
	if (ops->commit_rqs)
		ops->commit_rqs(hctx);
	return BLK_STS_OK;
}

blk_status_t inv_intent_wait_scsi(struct inv_intent *intent, const struct blk_mq_ops *ops,
				  struct blk_mq_hw_ctx *hctx, struct request *rq)
{
	blk_status_t status = inv_intent_wait(intent, ops, hctx, rq);

	if (!READ_ONCE(intent->waits) || READ_ONCE(intent->seconds) < INV_COMMAND)
		return status;
	blk_mq_cleanup_rq(rq);
	inv_scsi_fail(rq);
	return BLK_STS_IOERR;
}
#else /* Before that there is no file that can be written so, and nothing is held. */

void inv_intent_end(struct inv_intent *intent)
{
}

void inv_intent_stop(struct inv_intent *intent)
{
}

blk_status_t inv_intent_wait(struct inv_intent *intent, const struct blk_mq_ops *ops,
			     struct blk_mq_hw_ctx *hctx, struct request *rq)
{
	return BLK_STS_OK;
}

blk_status_t inv_intent_wait_scsi(struct inv_intent *intent, const struct blk_mq_ops *ops,
				  struct blk_mq_hw_ctx *hctx, struct request *rq)
{
	return BLK_STS_OK;
}
#endif
