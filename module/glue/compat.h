/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, under one name each. Chosen by the probes of
 * this very KDIR (probed.h), never by version number: vendors backport.
 */
#ifndef INVOLFLT_COMPAT_H
#define INVOLFLT_COMPAT_H

#include <linux/backing-dev.h>
#include <linux/blkdev.h>
#include <linux/blk-mq.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/rcupdate.h>
#include "compat_old.h"
#include "probed.h"

/* An open block device: only for the time that its disk is looked up. */
#if defined(INV_HAVE_BDEV_FILE)
typedef struct file *inv_bdev_handle;
static inline inv_bdev_handle inv_bdev_open(const char *path)
{
	return bdev_file_open_by_path(path, BLK_OPEN_READ, NULL, NULL);
}

static inline struct block_device *inv_bdev(inv_bdev_handle handle)
{
	return file_bdev(handle);
}

static inline void inv_bdev_close(inv_bdev_handle handle)
{
	bdev_fput(handle);
}
#elif defined(INV_HAVE_BDEV_HANDLE)
typedef struct bdev_handle *inv_bdev_handle;
static inline inv_bdev_handle inv_bdev_open(const char *path)
{
	return bdev_open_by_path(path, BLK_OPEN_READ, NULL, NULL);
}

static inline struct block_device *inv_bdev(inv_bdev_handle handle)
{
	return handle->bdev;
}

static inline void inv_bdev_close(inv_bdev_handle handle)
{
	bdev_release(handle);
}
#else
typedef struct block_device *inv_bdev_handle;
static inline struct block_device *inv_bdev(inv_bdev_handle handle)
{
	return handle;
}

#if defined(INV_HAVE_BLKDEV_HOLDER_OPS)
static inline inv_bdev_handle inv_bdev_open(const char *path)
{
	return blkdev_get_by_path(path, BLK_OPEN_READ, NULL, NULL);
}

static inline void inv_bdev_close(inv_bdev_handle handle)
{
	blkdev_put(handle, NULL);
}
#else
static inline inv_bdev_handle inv_bdev_open(const char *path)
{
	return blkdev_get_by_path(path, FMODE_READ, NULL);
}

static inline void inv_bdev_close(inv_bdev_handle handle)
{
	blkdev_put(handle, FMODE_READ);
}
#endif
#endif

/*
 * A frozen queue has no request in flight and lets none in. No memory may be
 * allocated by way of I/O meanwhile, or reclaim would wait for this queue.
 */
#if defined(INV_HAVE_FREEZE_MEMFLAGS)
static inline unsigned int inv_freeze(struct request_queue *q)
{
	return blk_mq_freeze_queue(q);
}

static inline void inv_unfreeze(struct request_queue *q, unsigned int memflags)
{
	blk_mq_unfreeze_queue(q, memflags);
}
#else
static inline unsigned int inv_freeze(struct request_queue *q)
{
	unsigned int memflags = memalloc_noio_save();

	blk_mq_freeze_queue(q);
	return memflags;
}

static inline void inv_unfreeze(struct request_queue *q, unsigned int memflags)
{
	blk_mq_unfreeze_queue(q);
	memalloc_noio_restore(memflags);
}
#endif

/*
 * A held queue lets no new request in; nobody waits for those in flight. Another
 * task may let it go.
 */
#if defined(INV_HAVE_FREEZE_NON_OWNER)
#define inv_hold_queue(q)	blk_freeze_queue_start_non_owner(q)
#define inv_release_queue(q)	blk_mq_unfreeze_queue_non_owner(q)
#elif defined(INV_HAVE_REF_RESURRECT)
#define inv_hold_queue(q)	blk_freeze_queue_start(q)
#define inv_release_queue(q)	blk_mq_unfreeze_queue(q)
#else
/* It must have come to rest before it can be let go. */
#define inv_hold_queue(q)	blk_freeze_queue_start(q)
static inline void inv_release_queue(struct request_queue *q)
{
	blk_mq_freeze_queue(q);
	blk_mq_unfreeze_queue(q);
	blk_mq_unfreeze_queue(q);
}
#endif

/*
 * Pages of a file that are on their way to a queue whose writes are stable are not
 * changed meanwhile. A file system that is mounted already may not look again.
 */
#if defined(INV_HAVE_QUEUE_FEATURES)
static inline bool inv_is_stable(struct request_queue *q)
{
	return q->limits.features & BLK_FEAT_STABLE_WRITES;
}

static inline void inv_set_stable(struct request_queue *q, bool stable)
{
	struct queue_limits limits = queue_limits_start_update(q);

	if (stable)
		limits.features |= BLK_FEAT_STABLE_WRITES;
	else
		limits.features &= ~BLK_FEAT_STABLE_WRITES;
	/* Limits that the queue has are limits that it may have. */
	WARN_ON_ONCE(queue_limits_commit_update(q, &limits));
}
#elif defined(INV_HAVE_QUEUE_STABLE)
static inline bool inv_is_stable(struct request_queue *q)
{
	return test_bit(QUEUE_FLAG_STABLE_WRITES, &q->queue_flags);
}

static inline void inv_set_stable(struct request_queue *q, bool stable)
{
	if (stable)
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, q);
	else
		blk_queue_flag_clear(QUEUE_FLAG_STABLE_WRITES, q);
}
#else
static inline bool inv_is_stable(struct request_queue *q)
{
	return q->backing_dev_info->capabilities & BDI_CAP_STABLE_WRITES;
}

static inline void inv_set_stable(struct request_queue *q, bool stable)
{
	if (stable)
		q->backing_dev_info->capabilities |= BDI_CAP_STABLE_WRITES;
	else
		q->backing_dev_info->capabilities &= ~BDI_CAP_STABLE_WRITES;
}
#endif

/* A block device's file system; super is for whoever thaws it. A device without one is only flushed. */
#if defined(INV_HAVE_BDEV_FREEZE)
static inline int inv_freeze_fs(struct block_device *bdev, struct super_block **super)
{
	return bdev_freeze(bdev);
}

static inline void inv_thaw_fs(struct block_device *bdev, struct super_block *super)
{
	bdev_thaw(bdev);
}
#elif defined(INV_HAVE_FREEZE_BDEV_INT)
static inline int inv_freeze_fs(struct block_device *bdev, struct super_block **super)
{
	return freeze_bdev(bdev);
}

static inline void inv_thaw_fs(struct block_device *bdev, struct super_block *super)
{
	thaw_bdev(bdev);
}
#else
static inline int inv_freeze_fs(struct block_device *bdev, struct super_block **super)
{
	*super = freeze_bdev(bdev);
	return PTR_ERR_OR_ZERO(*super);
}

static inline void inv_thaw_fs(struct block_device *bdev, struct super_block *super)
{
	thaw_bdev(bdev, super);
}
#endif

#if defined(INV_HAVE_SUBMIT_BIO_VOID)
#define INV_SUBMIT_BIO_TYPE	void
#else
#define INV_SUBMIT_BIO_TYPE	blk_qc_t
#endif

#if defined(INV_HAVE_VMALLOC_GFP)
#define inv_vmalloc(bytes, gfp)	__vmalloc(bytes, gfp)
#else
#define inv_vmalloc(bytes, gfp)	__vmalloc(bytes, gfp, PAGE_KERNEL)
#endif

#if defined(INV_HAVE_BDEV_IS_PARTITION)
#define inv_is_partition(bdev)	bdev_is_partition(bdev)
#else
#define inv_is_partition(bdev)	((bdev)->bd_contains != (bdev))
#endif

#if defined(INV_HAVE_BIO_BDEV)
#define inv_bio_disk(bio)	((bio)->bi_bdev->bd_disk)
#else
#define inv_bio_disk(bio)	((bio)->bi_disk)
#endif

/* Writes can be held where a file's blocks can be pinned, and a bio be given to its disk once more. */
#if defined(INV_HAVE_BMAP_INT) && defined(INV_HAVE_SUBMIT_BIO) && \
	(defined(INV_HAVE_BUDGET_TOKEN) || defined(INV_HAVE_BUDGET_QUEUE))
#define INV_CAN_HOLD

/* A request that its driver does not get gives back what it has taken of the queue's budget. */
static inline void inv_put_budget(const struct blk_mq_ops *ops, struct request *rq)
{
#if defined(INV_HAVE_BUDGET_TOKEN)
	if (ops->put_budget && ops->get_rq_budget_token)
		ops->put_budget(rq->q, ops->get_rq_budget_token(rq));
#else
	if (ops->put_budget)
		ops->put_budget(rq->q);
#endif
}

#if defined(INV_HAVE_REQ_POLLED)
#define INV_REQ_POLLED	REQ_POLLED
#else
#define INV_REQ_POLLED	REQ_HIPRI
#endif

static inline void inv_bio_set_disk(struct bio *bio, struct gendisk *disk)
{
#if defined(INV_HAVE_BIO_BDEV)
	bio_set_dev(bio, disk->part0);
#else
	bio->bi_disk = disk;
	bio_associate_blkg(bio);
#endif
}
#endif

/* A vector of a bio as it was given; before there were longer ones, it is of a page. */
#if defined(INV_HAVE_MP_BVEC)
#define inv_bvec(bio, iter)	mp_bvec_iter_bvec((bio)->bi_io_vec, iter)
#else
#define inv_bvec(bio, iter)	bvec_iter_bvec((bio)->bi_io_vec, iter)
#endif

/* The statistics of a whole disk. */
#if defined(INV_HAVE_PART0_BDEV)
#define inv_part0(disk)		((disk)->part0)
#else
#define inv_part0(disk)		(&(disk)->part0)
#endif

/* A number that no other disk gets until the next boot, and no other medium where INV_HAVE_DISKSEQ. */
#if defined(INV_HAVE_DISKSEQ)
#define inv_disk_number(disk)	((disk)->diskseq)
#elif defined(INV_HAVE_BDI_ID)
#define inv_disk_number(disk)	((disk)->queue->backing_dev_info->id)
#elif defined(INV_HAVE_KERNFS_ID)
#define inv_disk_number(disk)	(disk_to_dev(disk)->kobj.sd->id.id)
#else
/* Another one each time: such a disk is never taken for one that was there before. */
#define inv_disk_number(disk)	ktime_get_ns()
#endif

#if !defined(INV_HAVE_POLL_T)
typedef unsigned int __poll_t;
#define EPOLLIN			POLLIN
#define EPOLLRDNORM		POLLRDNORM
#define EPOLLERR		POLLERR
#define EPOLLHUP		POLLHUP
#endif

/* A preempted task is not in an RCU read section, but it is in a tasks-RCU one. */
#if defined(CONFIG_TASKS_RCU)
#define inv_call_rcu(head, func)	call_rcu_tasks(head, func)
#define inv_rcu_barrier()		rcu_barrier_tasks()
#define inv_rcu_wait()			synchronize_rcu_tasks()
#else
#define inv_call_rcu(head, func)	call_rcu(head, func)
#define inv_rcu_barrier()		rcu_barrier()
#define inv_rcu_wait()			synchronize_rcu()
#endif

#endif
