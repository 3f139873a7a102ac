/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INVOLFLT_BIO_HOOK_H
#define INVOLFLT_BIO_HOOK_H

#include <linux/blkdev.h>
#include "compat.h"

/* Where a bio-based disk's bios are taken, and what they went to before. */
struct inv_bio_hook {
#if defined(INV_HAVE_SUBMIT_BIO)
	const struct block_device_operations *fops;
	struct block_device_operations copy;
#else
	struct request_queue *queue;
	make_request_fn *make_request;
#if defined(INV_HAVE_PREP_RQ)
	prep_rq_fn *prepare;
#endif
	struct hlist_node node;
#endif
};

bool inv_takes_bios(struct gendisk *disk);
void inv_bio_hook_init(struct inv_bio_hook *hook, struct gendisk *disk);
/* Both are called while the queue is frozen. */
void inv_bio_hook_set(struct inv_bio_hook *hook, struct gendisk *disk);
void inv_bio_hook_clear(struct inv_bio_hook *hook, struct gendisk *disk);

/* Given by hook.c: a bio that the disk's driver is about to get. */
void inv_bio_submitted(struct inv_bio_hook *hook, struct bio *bio);
/* Given by hook.c: a request of a queue that is neither blk-mq nor without requests. */
void inv_request_prepared(struct inv_bio_hook *hook, struct request *rq);

#endif
