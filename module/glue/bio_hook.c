// SPDX-License-Identifier: GPL-2.0-only
/* Bio-based disks: their submit_bio, or before Linux 5.9 their queue's make_request_fn. */
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include "bio_hook.h"

#if defined(INV_HAVE_SUBMIT_BIO)
bool inv_takes_bios(struct gendisk *disk)
{
	return disk->fops->submit_bio;
}

static INV_SUBMIT_BIO_TYPE inv_submit_bio(struct bio *bio)
{
	struct inv_bio_hook *hook = container_of(READ_ONCE(inv_bio_disk(bio)->fops),
						 struct inv_bio_hook, copy);

	inv_bio_submitted(hook, bio);
	return hook->fops->submit_bio(bio);
}

void inv_bio_hook_init(struct inv_bio_hook *hook, struct gendisk *disk)
{
	hook->fops = disk->fops;
	hook->copy = *hook->fops;
	hook->copy.submit_bio = inv_submit_bio;
}

void inv_bio_hook_set(struct inv_bio_hook *hook, struct gendisk *disk)
{
	WRITE_ONCE(disk->fops, &hook->copy);
}

void inv_bio_hook_clear(struct inv_bio_hook *hook, struct gendisk *disk)
{
	WRITE_ONCE(disk->fops, hook->fops);
}
#else
/* A queue has one function and no table, so the hook is found by the queue's address. */
static DEFINE_HASHTABLE(inv_hooks, 6);
static DEFINE_MUTEX(inv_hooks_lock);

bool inv_takes_bios(struct gendisk *disk)
{
	return disk->queue->make_request_fn;
}

/*
 * Whoever asks has entered the queue, or has its lock: the hook stays, as it is
 * taken away while the queue is frozen, and from its requests under that lock.
 */
static struct inv_bio_hook *inv_bio_hook_of(struct request_queue *q)
{
	struct inv_bio_hook *hook;

	rcu_read_lock();
	hash_for_each_possible_rcu(inv_hooks, hook, node, (unsigned long)q)
		if (hook->queue == q)
			break;
	rcu_read_unlock();
	return hook;
}

static blk_qc_t inv_make_request(struct request_queue *q, struct bio *bio)
{
	struct inv_bio_hook *hook = inv_bio_hook_of(q);

	inv_bio_submitted(hook, bio);
	return hook->make_request(q, bio);
}

#if defined(INV_HAVE_PREP_RQ)
/* SCSI before blk-mq: what comes past the bios is seen when it is prepared, under the queue's lock. */
static int inv_prepare(struct request_queue *q, struct request *rq)
{
	struct inv_bio_hook *hook = inv_bio_hook_of(q);

	inv_request_prepared(hook, rq);
	return hook->prepare(q, rq);
}

static void inv_swap_prepare(struct inv_bio_hook *hook, prep_rq_fn *prepare)
{
	unsigned long flags;

	if (!hook->prepare)
		return;
	spin_lock_irqsave(hook->queue->queue_lock, flags);
	hook->queue->prep_rq_fn = prepare;
	spin_unlock_irqrestore(hook->queue->queue_lock, flags);
}
#else
#define inv_swap_prepare(hook, prepare)	do { } while (0)
#endif

void inv_bio_hook_init(struct inv_bio_hook *hook, struct gendisk *disk)
{
	hook->queue = disk->queue;
#if defined(INV_HAVE_PREP_RQ)
	hook->prepare = disk->queue->prep_rq_fn;
#endif
	hook->make_request = disk->queue->make_request_fn;
}

void inv_bio_hook_set(struct inv_bio_hook *hook, struct gendisk *disk)
{
	mutex_lock(&inv_hooks_lock);
	hash_add_rcu(inv_hooks, &hook->node, (unsigned long)hook->queue);
	mutex_unlock(&inv_hooks_lock);
	WRITE_ONCE(hook->queue->make_request_fn, inv_make_request);
	inv_swap_prepare(hook, inv_prepare);
}

void inv_bio_hook_clear(struct inv_bio_hook *hook, struct gendisk *disk)
{
	WRITE_ONCE(hook->queue->make_request_fn, hook->make_request);
	inv_swap_prepare(hook, hook->prepare);
	mutex_lock(&inv_hooks_lock);
	hash_del_rcu(&hook->node);
	mutex_unlock(&inv_hooks_lock);
}
#endif
