/* SPDX-License-Identifier: GPL-2.0-only */
/* Write-intent mode: writes of a blk-mq disk that must wait, and what they wait for. */
#ifndef INVOLFLT_INTENT_H
#define INVOLFLT_INTENT_H

#include <linux/bio.h>
#include <linux/blk-mq.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include "glue.h"

struct inv_intent {
	bool on;		/* writes ask whether they must wait */
	const void *tracker;
	const char *disk;
	char file[96];		/* the file that they wait for, and its disk */
	struct workqueue_struct *workers;	/* for marks */
	struct workqueue_struct *sender;
	struct delayed_work mark;
	struct delayed_work watch;
	struct work_struct send;
	bool waits;		/* something waits, perhaps */
	unsigned int seconds;	/* for so long */
	spinlock_t lock;
	struct bio_list held;
};

/* The disk on which the file is. */
struct gendisk *inv_pinned_disk(const struct inv_pinned *pinned);
/* The end of the file's path, and its disk, as text. */
void inv_pinned_print(const struct inv_pinned *pinned, char *to, size_t bytes);

/* May sleep. */
int inv_intent_begin(struct inv_intent *intent, const void *tracker, const char *disk,
		     const struct inv_pinned *file);
/* Those that wait go on, and ask once more if they still must. */
void inv_intent_end(struct inv_intent *intent);
/* No write asks any more, and nothing is done for any when this returns. May sleep. */
void inv_intent_stop(struct inv_intent *intent);

/*
 * A request that must wait, and that its driver does not get: it is over, and
 * its bios are submitted once more when what they wait for is done. One that
 * cannot be without its bios is given to the queue once more as it is.
 */
blk_status_t inv_intent_wait(struct inv_intent *intent, const struct blk_mq_ops *ops,
			     struct blk_mq_hw_ctx *hctx, struct request *rq);
/* The same for a SCSI command, which fails when something has waited for long. */
blk_status_t inv_intent_wait_scsi(struct inv_intent *intent, const struct blk_mq_ops *ops,
				  struct blk_mq_hw_ctx *hctx, struct request *rq);

#endif
