/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What kernels before 4.15 lack: those of SLES 12, SLES 15 and its first
 * service pack. compat.h includes it; the probes choose here too.
 */
#ifndef INVOLFLT_COMPAT_OLD_H
#define INVOLFLT_COMPAT_OLD_H

#include <linux/blkdev.h>
#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include "probed.h"

#if defined(INV_HAVE_SCHED_MM)
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#else
#include <linux/sched.h>
#define mmgrab(mm)	atomic_inc(&(mm)->mm_count)
#endif

#ifndef SECTOR_SHIFT
#define SECTOR_SHIFT	9
#endif

#ifndef u64_to_user_ptr
#define u64_to_user_ptr(address)	((void __user *)(uintptr_t)(address))
#endif

/* Operations were flags. */
#if !defined(INV_HAVE_BIO_OP)
enum {
	REQ_OP_READ,
	REQ_OP_WRITE,
	REQ_OP_FLUSH,
	REQ_OP_DISCARD,
	REQ_OP_SECURE_ERASE,
	REQ_OP_WRITE_SAME,
	REQ_OP_WRITE_ZEROES,
	REQ_OP_ZONE_RESET,
};

static inline unsigned int inv_op_of(u64 flags)
{
	if (!(flags & REQ_WRITE))
		return REQ_OP_READ;
	if (flags & REQ_DISCARD)
		return flags & REQ_SECURE ? REQ_OP_SECURE_ERASE : REQ_OP_DISCARD;
	return flags & REQ_WRITE_SAME ? REQ_OP_WRITE_SAME : REQ_OP_WRITE;
}

#define INV_HAVE_WRITE_SAME
#define bio_op(bio)	inv_op_of((bio)->bi_rw)
#define req_op(rq)	inv_op_of((rq)->cmd_flags)
#define op_is_write(op)	((op) != REQ_OP_READ)
#endif

#if !defined(INV_HAVE_RQ_IS_PASSTHROUGH)
#define blk_rq_is_passthrough(rq)	((rq)->cmd_type != REQ_TYPE_FS)
#endif

#if defined(INV_HAVE_BLK_STATUS)
#define inv_bio_failed(bio)	((bio)->bi_status != BLK_STS_OK)
#else
typedef int blk_status_t;
#define BLK_STS_OK		BLK_MQ_RQ_QUEUE_OK
#define inv_bio_failed(bio)	((bio)->bi_error != 0)
#endif

/* A quiesced queue was a stopped one; a frozen one has nothing that its driver may have stopped it for. */
#if defined(INV_HAVE_UNQUIESCE)
#define inv_quiesce(q)		blk_mq_quiesce_queue(q)
#define inv_unquiesce(q)	blk_mq_unquiesce_queue(q)
#else
#define inv_quiesce(q)		blk_mq_stop_hw_queues(q)
#define inv_unquiesce(q)	blk_mq_start_stopped_hw_queues(q, true)
#endif

#if !defined(INV_HAVE_FREEZE_START)
#define blk_freeze_queue_start(q)	blk_mq_freeze_queue_start(q)
#endif

#if !defined(INV_HAVE_KVZALLOC)
static inline void *kvzalloc(size_t bytes, gfp_t gfp)
{
	return bytes > PAGE_SIZE ? vzalloc(bytes) : kzalloc(bytes, gfp);
}
#endif

#if defined(INV_HAVE_KERNEL_READ_POS)
#define inv_kernel_read(file, to, bytes, at)	kernel_read(file, to, bytes, at)
#define inv_kernel_write(file, from, bytes, at)	kernel_write(file, from, bytes, at)
#else
static inline ssize_t inv_kernel_read(struct file *file, void *to, size_t bytes, loff_t *at)
{
	ssize_t got = kernel_read(file, *at, to, bytes);

	if (got > 0)
		*at += got;
	return got;
}

static inline ssize_t inv_kernel_write(struct file *file, const void *from, size_t bytes,
				       loff_t *at)
{
	ssize_t put = kernel_write(file, from, bytes, *at);

	if (put > 0)
		*at += put;
	return put;
}
#endif

#endif
