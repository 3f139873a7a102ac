// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interception: a per-disk copy of the disk's operations table, with the one
 * function that writes pass through replaced, put in place while the queue is
 * frozen. The copy is part of the disk's context, so that the context is found
 * from the table's address, without a lock or a search.
 */
#include <linux/bio.h>
#include <linux/hash.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <scsi/scsi_device.h>
#include "bio_hook.h"
#include "compat.h"
#include "data.h"
#include "glue.h"
#include "intent.h"
#include "passthrough.h"
#include "point.h"
#include "sight.h"

/* How long new bios of a bio-based disk wait for those in flight when it is detached. */
#define INV_QUIET		(HZ / 2)

/* Bios that can be tracked at once when the slab allocator gives nothing. */
#define INV_RESERVED_BIOS	256

/* log2 of the bios that can be tracked at once without asking it. */
#define INV_SLOT_BITS		8
#define INV_SLOTS		(1 << INV_SLOT_BITS)

/* A disk's queues, if it is blk-mq: one, but for the paths of an NVMe multipath head. */
#define INV_MAX_QUEUES		16

struct inv_queue {
	struct inv_device *dev;
	struct gendisk *disk;
	struct request_queue *queue;
	const struct blk_mq_ops *ops;
	struct blk_mq_ops copy;
	struct inv_nvme nvme;
	struct rcu_head rcu;
};

struct inv_device {
	struct gendisk *disk;
	struct request_queue *queue;
	struct module *driver;
	void *tracker;
	bool attached;
	bool bio_based;		/* it has no queues, and an NVMe head may come to have none */
	bool scsi;
	/* whether the queue's pages were stable before it was filtered */
	bool stable;
	struct inv_holdable holdable;

	/* the disk, and the medium in it */
	u64 number;
	/* what was written to it when its table was put in place or taken back last */
	struct inv_sight sight;

	/* blk-mq disks */
	struct inv_intent intent;
	struct inv_queue *queues[INV_MAX_QUEUES];
	unsigned int nr_queues;

	/* bio-based disks */
	struct inv_bio_hook bio_hook;

	/* bios whose completion will be told */
	struct inv_bio *slots;
	mempool_t *bios;
	atomic_t in_flight;
	wait_queue_head_t idle;

	struct rcu_head rcu;
};

/* A bio, from its submission to its completion. */
struct inv_bio {
	struct inv_device *dev;	/* NULL in a slot that is free */
	bio_end_io_t *end_io;
	void *private;
	sector_t sector;
	sector_t sectors;
	/* where its data begins: it has been read to its end at its completion, or not, and the driver may have split it */
	struct bvec_iter iter;
	u32 op;
};

/*
 * The range that an operation may change. Where in its zone an append lands
 * is known only to the disk, so the whole zone counts; 0 sectors means none.
 */
struct inv_range {
	u32 op;
	sector_t sector;
	sector_t sectors;
	bool whole_disk;
	bool unknown;
};

static struct inv_range inv_decode(struct request_queue *q, unsigned int op,
				   sector_t sector, sector_t sectors)
{
	struct inv_range range = { .sector = sector, .sectors = sectors };

	switch (op) {
	case REQ_OP_WRITE:
		range.op = INV_OP_WRITE;
		break;
	case REQ_OP_DISCARD:
		range.op = INV_OP_DISCARD;
		break;
	case REQ_OP_SECURE_ERASE:
		range.op = INV_OP_SECURE_ERASE;
		break;
	case REQ_OP_WRITE_ZEROES:
		range.op = INV_OP_WRITE_ZEROES;
		break;
#if defined(INV_HAVE_WRITE_SAME)
	case REQ_OP_WRITE_SAME:
		range.op = INV_OP_WRITE_SAME;
		break;
#endif
#if defined(INV_HAVE_ZONE_APPEND)
	case REQ_OP_ZONE_APPEND:
#endif
#if defined(INV_HAVE_ZONE_FINISH)
	case REQ_OP_ZONE_FINISH:
#endif
	case REQ_OP_ZONE_RESET:
		range.op = INV_OP_ZONE;
		range.sectors = q->limits.chunk_sectors;
		break;
#if defined(INV_HAVE_ZONE_RESET_ALL)
	case REQ_OP_ZONE_RESET_ALL:
		range.op = INV_OP_ZONE;
		range.whole_disk = true;
		break;
#endif
#if defined(INV_HAVE_ZONE_FINISH)
	case REQ_OP_ZONE_OPEN:
	case REQ_OP_ZONE_CLOSE:
#endif
	case REQ_OP_FLUSH:
		range.sectors = 0;
		break;
	default:
		range.sectors = 0;
		range.unknown = op_is_write(op);
	}
	return range;
}

static void inv_mark(struct inv_device *dev, const struct inv_range *range)
{
	if (range->unknown)
		inv_rs_hole(dev->tracker, INV_HOLE_UNKNOWN_OP);
	else if (range->whole_disk)
		inv_rs_mark_all(dev->tracker);
	else if (range->sectors)
		inv_rs_mark(dev->tracker, range->sector, range->sectors);
}

static void inv_bio_put(struct inv_device *dev)
{
	if (atomic_dec_and_test(&dev->in_flight))
		wake_up(&dev->idle);
}

/*
 * A bio's address is its own while it is in flight, so most find their slot
 * free. Never waits for memory: a bio that waits here may be what memory waits
 * for.
 */
static struct inv_bio *inv_bio_get(struct inv_device *dev, struct bio *bio)
{
	struct inv_bio *slot = &dev->slots[hash_ptr(bio, INV_SLOT_BITS)];

	if (!READ_ONCE(slot->dev) && !cmpxchg(&slot->dev, NULL, dev))
		return slot;
	return mempool_alloc(dev->bios, GFP_NOWAIT | __GFP_NOWARN);
}

static void inv_bio_free(struct inv_device *dev, struct inv_bio *tracked)
{
	if (tracked >= dev->slots && tracked < dev->slots + INV_SLOTS)
		smp_store_release(&tracked->dev, NULL);
	else
		mempool_free(tracked, dev->bios);
}

/* A failed or partial write counts whole, without its data: nobody knows what reached the disk. */
static void inv_tell_completion(struct inv_bio *tracked, struct bio *bio)
{
	const void *tracker = tracked->dev->tracker;

	if (tracked->op == INV_OP_WRITE && !inv_bio_failed(bio)) {
		struct inv_payload payload = { .bio = bio, .iter = tracked->iter };

		inv_rs_written(tracker, tracked->sector, tracked->sectors, &payload);
	} else {
		inv_rs_complete(tracker, tracked->sector, tracked->sectors, inv_bio_failed(bio));
	}
}

static void inv_end_io(struct bio *bio)
{
	struct inv_bio *tracked = bio->bi_private;
	struct inv_device *dev = tracked->dev;

	inv_tell_completion(tracked, bio);
	if (dev->bio_based)
		inv_rs_count(dev->tracker, tracked->op,
			     (u64)tracked->sectors << SECTOR_SHIFT);
	bio->bi_end_io = tracked->end_io;
	bio->bi_private = tracked->private;
	inv_bio_free(dev, tracked);
	/* Not bi_end_io() itself: that of a chained bio must not be called. */
	bio_endio(bio);
	inv_bio_put(dev);
}

static bool inv_is_tracked(struct inv_device *dev, struct bio *bio)
{
	return bio->bi_end_io == inv_end_io &&
	       ((struct inv_bio *)bio->bi_private)->dev == dev;
}

/* False where there is no memory. */
static bool inv_track_bio(struct inv_device *dev, struct bio *bio,
			  const struct inv_range *range)
{
	struct inv_bio *tracked = inv_bio_get(dev, bio);

	if (!tracked)
		return false;
	tracked->dev = dev;
	tracked->end_io = bio->bi_end_io;
	tracked->private = bio->bi_private;
	tracked->sector = range->whole_disk ? 0 : range->sector;
	tracked->sectors = range->whole_disk ? get_capacity(dev->disk) : range->sectors;
	tracked->iter = bio->bi_iter;
	tracked->op = range->op;
	atomic_inc(&dev->in_flight);
	bio->bi_end_io = inv_end_io;
	bio->bi_private = tracked;
	return true;
}

static struct inv_range inv_decode_bio(struct request_queue *q, struct bio *bio)
{
	return inv_decode(q, bio_op(bio), bio->bi_iter.bi_sector, bio_sectors(bio));
}

/*
 * A request's bios, one by one: a merged discard holds ranges that do not touch.
 * A request that comes again has bios that are tracked already.
 */
static void inv_track_request(struct inv_device *dev, struct request *rq)
{
	bool track = inv_rs_wants_completion(dev->tracker);
	struct bio *bio;

	__rq_for_each_bio(bio, rq) {
		struct inv_range range;

		if (inv_is_tracked(dev, bio))
			continue;
		range = inv_decode_bio(rq->q, bio);
		if (track && range.sectors) {
			if (inv_track_bio(dev, bio, &range))
				continue;
			inv_rs_no_memory(dev->tracker);
		}
		inv_mark(dev, &range);
	}
}

/* Any of its bios: a merged discard holds ranges that do not touch. */
static bool inv_must_wait(struct inv_device *dev, struct request *rq)
{
	bool wait = false;
	struct bio *bio;

	__rq_for_each_bio(bio, rq) {
		struct inv_range range = inv_decode_bio(rq->q, bio);

		if (range.unknown)
			wait |= inv_rs_must_wait(dev->tracker, 0, U64_MAX);
		else if (range.whole_disk)
			wait |= inv_rs_must_wait(dev->tracker, 0, get_capacity(dev->disk));
		else if (range.sectors)
			wait |= inv_rs_must_wait(dev->tracker, range.sector, range.sectors);
	}
	return wait;
}

/*
 * A write's completion is told, or bits are set before the driver gets the
 * request: afterwards it may be gone. A drain that takes such bits waits for
 * what is in flight (inv_device_settle) before it answers.
 */
static blk_status_t inv_queue_rq(struct blk_mq_hw_ctx *hctx,
				 const struct blk_mq_queue_data *bd)
{
	struct inv_queue *hooked = container_of(READ_ONCE(hctx->queue->mq_ops),
						struct inv_queue, copy);
	struct inv_device *dev = hooked->dev;
	struct request *rq = bd->rq;
	struct inv_range range;
	unsigned int bytes;
	blk_status_t status;
	bool counts;

	/* Not every one of them that changes something sends data. */
	if (blk_rq_is_passthrough(rq)) {
		if (!inv_passthrough(dev->tracker, rq, dev->scsi, &hooked->nvme))
			return hooked->ops->queue_rq(hctx, bd);
		if (dev->scsi)
			return inv_intent_wait_scsi(&dev->intent, hooked->ops, hctx, rq);
		return inv_intent_wait(&dev->intent, hooked->ops, hctx, rq);
	}
	if (unlikely(READ_ONCE(hooked->nvme.state) == INV_NVME_LEARNING))
		inv_nvme_learn(&hooked->nvme, rq);
	if (!op_is_write(req_op(rq)))
		return hooked->ops->queue_rq(hctx, bd);
	if (unlikely(smp_load_acquire(&dev->intent.on)) && inv_must_wait(dev, rq))
		return inv_intent_wait(&dev->intent, hooked->ops, hctx, rq);

	bytes = blk_rq_bytes(rq);
	range = inv_decode(hctx->queue, req_op(rq), blk_rq_pos(rq), blk_rq_sectors(rq));
	inv_track_request(dev, rq);
	counts = range.sectors || range.whole_disk;
	if (counts)
		inv_rs_count(dev->tracker, range.op, bytes);
	status = hooked->ops->queue_rq(hctx, bd);
	if (status != BLK_STS_OK && counts)
		inv_rs_uncount(dev->tracker, range.op, bytes);
	return status;
}

static void inv_submit_write(struct inv_device *dev, struct bio *bio)
{
	struct inv_range range = inv_decode_bio(dev->queue, bio);
	bool changes = range.sectors || range.whole_disk;

	if (changes && inv_track_bio(dev, bio, &range))
		return;
	if (changes)
		inv_rs_hole(dev->tracker, INV_HOLE_NO_MEMORY);
	inv_mark(dev, &range);
}

void inv_bio_submitted(struct inv_bio_hook *hook, struct bio *bio)
{
	struct inv_device *dev = container_of(hook, struct inv_device, bio_hook);

	/* The rest of a bio that the driver split comes by again. */
	if (op_is_write(bio_op(bio)) && !inv_is_tracked(dev, bio))
		inv_submit_write(dev, bio);
}

#if defined(INV_HAVE_PREP_RQ)
void inv_request_prepared(struct inv_bio_hook *hook, struct request *rq)
{
	struct inv_device *dev = container_of(hook, struct inv_device, bio_hook);
	static const struct inv_nvme none;

	if (blk_rq_is_passthrough(rq))
		inv_passthrough(dev->tracker, rq, dev->scsi, &none);
}
#endif

/*
 * scsi_device_from_queue() knows a SCSI queue by the address of its table, and
 * the device handlers of multipath paths depend on it.
 */
static bool inv_is_multipath_path(struct gendisk *disk)
{
	return inv_is_scsi(disk) && to_scsi_device(disk_to_dev(disk)->parent)->handler;
}

/*
 * An NVMe multipath head is bio-based and known by the address of its
 * operations, so it is filtered at the queues of its paths: hidden disks named
 * nvme<subsystem>c<controller>n<head>.
 */
static bool inv_is_nvme_head(struct gendisk *disk)
{
	return !disk->queue->mq_ops && strstarts(disk->disk_name, "nvme");
}

static bool inv_is_path_of(struct gendisk *disk, struct gendisk *head)
{
	int subsystem, controller, instance, head_subsystem, head_instance;

	return sscanf(head->disk_name, "nvme%dn%d", &head_subsystem, &head_instance) == 2 &&
	       sscanf(disk->disk_name, "nvme%dc%dn%d", &subsystem, &controller, &instance) == 3 &&
	       subsystem == head_subsystem && instance == head_instance &&
	       disk->queue->mq_ops;
}

static int inv_check_disk(struct block_device *bdev)
{
	struct gendisk *disk = bdev->bd_disk;

	if (inv_is_partition(bdev)) {
		pr_err("involflt: %s: a partition; filter the whole disk\n", disk->disk_name);
		return -EINVAL;
	}
	if (inv_is_multipath_path(disk)) {
		pr_err("involflt: %s: a multipath path; filter the multipath device\n",
		       disk->disk_name);
		return -EOPNOTSUPP;
	}
	if (!disk->queue->mq_ops && !inv_takes_bios(disk)) {
		pr_err("involflt: %s: neither blk-mq nor bio-based\n", disk->disk_name);
		return -EOPNOTSUPP;
	}
	return 0;
}

static bool inv_has_queue(struct inv_device *dev, struct gendisk *disk)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++)
		if (dev->queues[i]->disk == disk)
			return true;
	return false;
}

static int inv_queue_add(struct inv_device *dev, struct gendisk *disk)
{
	struct inv_queue *hooked;

	if (dev->nr_queues == INV_MAX_QUEUES)
		return -E2BIG;
	hooked = kzalloc(sizeof(*hooked), GFP_KERNEL);
	if (!hooked)
		return -ENOMEM;
	hooked->dev = dev;
	hooked->disk = disk;
	hooked->queue = disk->queue;
	hooked->ops = disk->queue->mq_ops;
	hooked->copy = *hooked->ops;
	hooked->copy.queue_rq = inv_queue_rq;
	if (strstarts(disk->disk_name, "nvme"))
		hooked->nvme.state = INV_NVME_LEARNING;
#if defined(INV_HAVE_QUEUE_RQS)
	/* Plugged batches would go past queue_rq. */
	hooked->copy.queue_rqs = NULL;
#endif
	get_device(disk_to_dev(disk));
	dev->queues[dev->nr_queues++] = hooked;
	return 0;
}

/* Adds the paths that are not known yet. */
static int inv_find_paths(struct inv_device *dev)
{
	struct device *head = disk_to_dev(dev->disk);
	struct class_dev_iter iter;
	struct device *device;
	int err = 0;

	class_dev_iter_init(&iter, head->class, NULL, head->type);
	while (!err && (device = class_dev_iter_next(&iter))) {
		struct gendisk *disk = dev_to_disk(device);

		if (inv_is_path_of(disk, dev->disk) && !inv_has_queue(dev, disk))
			err = inv_queue_add(dev, disk);
	}
	class_dev_iter_exit(&iter);
	return err;
}

static int inv_find_queues(struct inv_device *dev)
{
	int err = 0;

	if (dev->queue->mq_ops)
		return inv_queue_add(dev, dev->disk);
	if (inv_is_nvme_head(dev->disk)) {
		err = inv_find_paths(dev);
		if (!err && !dev->nr_queues)
			err = -ENODEV;
	}
	return err;
}

static struct inv_device *inv_device_new(struct gendisk *disk)
{
	struct inv_device *dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	int err;

	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->driver = disk->fops->owner;
	if (!try_module_get(dev->driver)) {
		kfree(dev);
		return ERR_PTR(-ENODEV);
	}
	dev->disk = disk;
	dev->queue = disk->queue;
	dev->bio_based = !disk->queue->mq_ops && !inv_is_nvme_head(disk);
	dev->scsi = inv_is_scsi(disk);
	dev->number = inv_disk_number(disk);
	inv_bio_hook_init(&dev->bio_hook, disk);
	init_waitqueue_head(&dev->idle);
	get_device(disk_to_dev(disk));
	err = inv_find_queues(dev);
	if (err) {
		inv_device_close(dev);
		return ERR_PTR(err);
	}
	return dev;
}

/*
 * The disk is not kept open: that would keep its user from taking it away. Its
 * memory and its driver's are kept.
 */
int inv_device_open(const char *path, struct inv_device **out,
		    struct inv_geometry *geometry)
{
	inv_bdev_handle handle = inv_bdev_open(path);
	struct inv_device *dev;
	int err;

	if (IS_ERR(handle))
		return PTR_ERR(handle);
	err = inv_check_disk(inv_bdev(handle));
	if (err)
		goto close;
	dev = inv_device_new(inv_bdev(handle)->bd_disk);
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto close;
	}
	geometry->sectors = get_capacity(dev->disk);
	geometry->identity = (uintptr_t)dev->disk;
	*out = dev;
close:
	inv_bdev_close(handle);
	return err;
}

/*
 * Lets go of a quiesced queue, and runs it; but the memory of one that is going
 * may be gone. It is kept for a grace period after it was said to go.
 */
static void inv_unquiesce_live(struct request_queue *queue)
{
	rcu_read_lock();
	if (!blk_queue_dying(queue))
		inv_unquiesce(queue);
	rcu_read_unlock();
}

static void inv_swap_mq_ops(struct inv_queue *hooked, const struct blk_mq_ops *ops)
{
	struct request_queue *queue = hooked->queue;
	unsigned int memflags = inv_freeze(queue);

	/*
	 * No request is in flight, but an idle run of the queue may read the
	 * table. For one that is going the driver's memory by which that is waited
	 * for may be gone.
	 */
	if (!blk_queue_dying(queue))
		inv_quiesce(queue);
	WRITE_ONCE(queue->mq_ops, ops);
	inv_sight_add(&hooked->dev->sight, hooked->disk);
	inv_unquiesce_live(queue);
	inv_unfreeze(queue, memflags);
}

/*
 * A bio may be in flight while the queue is frozen, so it is waited for: not for
 * long, since a suspended dm device sends it on only through the open queue.
 */
static void inv_swap_bio_hook(struct inv_device *dev, bool hooked)
{
	unsigned int memflags = inv_freeze(dev->queue);

	wait_event_timeout(dev->idle, !atomic_read(&dev->in_flight), INV_QUIET);
	if (hooked)
		inv_bio_hook_set(&dev->bio_hook, dev->disk);
	else
		inv_bio_hook_clear(&dev->bio_hook, dev->disk);
	memset(&dev->sight, 0, sizeof(dev->sight));
	inv_sight_add(&dev->sight, dev->disk);
	inv_unfreeze(dev->queue, memflags);
}

static void inv_hook_queues(struct inv_device *dev, unsigned int first)
{
	unsigned int i;

	if (!first)
		memset(&dev->sight, 0, sizeof(dev->sight));
	for (i = first; i < dev->nr_queues; i++)
		inv_swap_mq_ops(dev->queues[i], &dev->queues[i]->copy);
}

static void inv_unhook_queues(struct inv_device *dev)
{
	unsigned int i;

	memset(&dev->sight, 0, sizeof(dev->sight));
	for (i = 0; i < dev->nr_queues; i++)
		inv_swap_mq_ops(dev->queues[i], dev->queues[i]->ops);
}

int inv_device_attach(struct inv_device *dev, void *tracker)
{
	dev->bios = mempool_create_kmalloc_pool(INV_RESERVED_BIOS, sizeof(struct inv_bio));
	dev->slots = kvzalloc(INV_SLOTS * sizeof(*dev->slots), GFP_KERNEL);
	if (!dev->bios || !dev->slots)
		return -ENOMEM;
	dev->tracker = tracker;
	dev->stable = inv_is_stable(dev->queue);
	inv_set_stable(dev->queue, true);
	if (dev->bio_based)
		inv_swap_bio_hook(dev, true);
	else
		inv_hook_queues(dev, 0);
	inv_holdable_add(&dev->holdable, dev->queue);
	dev->attached = true;
	__module_get(THIS_MODULE);
	return 0;
}

static void inv_queue_free(struct rcu_head *rcu)
{
	kfree(container_of(rcu, struct inv_queue, rcu));
}

/* Paths that are gone do not come back: the next one has another disk. */
static void inv_forget_gone_paths(struct inv_device *dev)
{
	unsigned int i, kept = 0;

	for (i = 0; i < dev->nr_queues; i++) {
		struct inv_queue *hooked = dev->queues[i];

		if (device_is_registered(disk_to_dev(hooked->disk))) {
			dev->queues[kept++] = hooked;
			continue;
		}
		inv_swap_mq_ops(hooked, hooked->ops);
		put_device(disk_to_dev(hooked->disk));
		inv_call_rcu(&hooked->rcu, inv_queue_free);
	}
	dev->nr_queues = kept;
}

/* A path that came by itself has taken writes that nobody saw. */
static void inv_hook_new_paths(struct inv_device *dev)
{
	unsigned int known;

	inv_forget_gone_paths(dev);
	known = dev->nr_queues;
	if (inv_find_paths(dev) || dev->nr_queues != known)
		inv_rs_hole(dev->tracker, INV_HOLE_NEW_PATH);
	inv_hook_queues(dev, known);
}

/*
 * Returns when every write that set a bit before this call has completed. Bits
 * of bio-based disks are set at completion, so there is nothing to wait for.
 */
void inv_device_settle(struct inv_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++)
		inv_unfreeze(dev->queues[i]->queue, inv_freeze(dev->queues[i]->queue));
}

/* What waits is of the medium that was there before. */
static void inv_look_for_medium(struct inv_device *dev)
{
#if defined(INV_HAVE_DISKSEQ)
	u64 number = inv_disk_number(dev->disk);

	if (number != dev->number)
		inv_rs_hole(dev->tracker, INV_HOLE_MEDIUM);
	dev->number = number;
#endif
}

#if defined(INV_CAN_HOLD)
int inv_device_flush(struct inv_device *dev)
{
	struct bio *bio;
	int err;

#if defined(INV_HAVE_BIO_ALLOC_BDEV)
	bio = bio_alloc(inv_part0(dev->disk), 0, REQ_OP_WRITE | REQ_PREFLUSH, GFP_NOIO);
#else
	bio = bio_alloc(GFP_NOIO, 0);
	inv_bio_set_disk(bio, dev->disk);
	bio->bi_opf = REQ_OP_WRITE | REQ_PREFLUSH;
#endif
	err = submit_bio_wait(bio);
	bio_put(bio);
	return err;
}

/*
 * A path to a bio-based disk, or another medium, may come unseen; and writes to
 * a zone come in their order.
 */
int inv_device_hold_writes(struct inv_device *dev, const struct inv_pinned *file)
{
	if (!dev->queue->mq_ops || dev->disk->flags & GENHD_FL_REMOVABLE ||
	    blk_queue_is_zoned(dev->queue))
		return -EOPNOTSUPP;
	if (inv_pinned_disk(file) == dev->disk)
		return -EDEADLK;
	return inv_intent_begin(&dev->intent, dev->tracker, dev->disk->disk_name, file);
}
#else
int inv_device_flush(struct inv_device *dev)
{
	return -EOPNOTSUPP;
}

int inv_device_hold_writes(struct inv_device *dev, const struct inv_pinned *file)
{
	return -EOPNOTSUPP;
}
#endif

void inv_device_release_writes(struct inv_device *dev)
{
	inv_intent_end(&dev->intent);
}

u64 inv_device_refresh(struct inv_device *dev)
{
	inv_look_for_medium(dev);
	if (inv_is_nvme_head(dev->disk))
		inv_hook_new_paths(dev);
	return get_capacity(dev->disk);
}

/*
 * Bios hold the context until they complete, which a suspended dm device or a
 * multipath head without a path delays.
 */
static int inv_wait_for_bios(struct inv_device *dev, int killable)
{
	if (killable)
		return wait_event_killable(dev->idle, !atomic_read(&dev->in_flight));
	wait_event(dev->idle, !atomic_read(&dev->in_flight));
	return 0;
}

static void inv_unhook(struct inv_device *dev)
{
	if (dev->bio_based)
		inv_swap_bio_hook(dev, false);
	else
		inv_unhook_queues(dev);
}

static void inv_rehook(struct inv_device *dev)
{
	if (dev->bio_based)
		inv_swap_bio_hook(dev, true);
	else
		inv_hook_queues(dev, 0);
	inv_rs_hole(dev->tracker, INV_HOLE_UNHOOKED);
}

int inv_device_detach(struct inv_device *dev, int killable)
{
	if (!dev->attached)
		return 0;
	inv_unhook(dev);
	if (inv_wait_for_bios(dev, killable)) {
		inv_rehook(dev);
		return -EINTR;
	}
	inv_intent_stop(&dev->intent);
	dev->attached = false;
	inv_set_stable(dev->queue, dev->stable);
	inv_holdable_del(&dev->holdable);
	/* The last end_io may still be on its way out of its last lines. */
	synchronize_rcu();
	module_put(THIS_MODULE);
	return 0;
}

void inv_device_seen(const struct inv_device *dev, struct inv_sighting *out)
{
	out->device = dev->number;
	out->written = dev->sight.writing ? 0 : dev->sight.written;
	out->sure = !dev->sight.unsure;
	out->untouched = !dev->sight.unsure && !dev->sight.touched;
}

static void inv_device_free(struct rcu_head *rcu)
{
	struct inv_device *dev = container_of(rcu, struct inv_device, rcu);
	unsigned int i;

	for (i = 0; i < dev->nr_queues; i++)
		kfree(dev->queues[i]);
	kvfree(dev->slots);
	kfree(dev);
}

/* A reader may hold the address of the copied table, so its memory goes later. */
void inv_device_close(struct inv_device *dev)
{
	unsigned int i;

	mempool_destroy(dev->bios);
	for (i = 0; i < dev->nr_queues; i++)
		put_device(disk_to_dev(dev->queues[i]->disk));
	put_device(disk_to_dev(dev->disk));
	module_put(dev->driver);
	inv_call_rcu(&dev->rcu, inv_device_free);
}

void inv_device_drain_frees(void)
{
	inv_rcu_wait();
	inv_rcu_barrier();
}
