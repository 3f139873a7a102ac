// SPDX-License-Identifier: GPL-2.0-only
/* What a consistency point needs: frozen file systems, held writes, and an alarm. */
#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "glue.h"
#include "point.h"

struct inv_frozen {
	inv_bdev_handle handle;
	struct super_block *super;
};

int inv_frozen_new(const char *path, struct inv_frozen **out)
{
	struct inv_frozen *frozen = kzalloc(sizeof(*frozen), GFP_KERNEL);
	int err;

	if (!frozen)
		return -ENOMEM;
	frozen->handle = inv_bdev_open(path);
	if (IS_ERR(frozen->handle)) {
		err = PTR_ERR(frozen->handle);
		goto free;
	}
	err = inv_freeze_fs(inv_bdev(frozen->handle), &frozen->super);
	if (err)
		goto close;
	*out = frozen;
	return 0;
close:
	inv_bdev_close(frozen->handle);
free:
	kfree(frozen);
	return err;
}

void inv_frozen_free(struct inv_frozen *frozen)
{
	inv_thaw_fs(inv_bdev(frozen->handle), frozen->super);
	inv_bdev_close(frozen->handle);
	kfree(frozen);
}

/* All attached disks, and whether they are held. */
static DEFINE_MUTEX(inv_holdable_lock);
static LIST_HEAD(inv_holdable);
static bool inv_held;

void inv_holdable_add(struct inv_holdable *disk, struct request_queue *queue)
{
	disk->queue = queue;
	mutex_lock(&inv_holdable_lock);
	list_add_tail(&disk->entry, &inv_holdable);
	if (inv_held)
		inv_hold_queue(queue);
	mutex_unlock(&inv_holdable_lock);
}

void inv_holdable_del(struct inv_holdable *disk)
{
	if (!disk->queue)
		return;
	mutex_lock(&inv_holdable_lock);
	list_del(&disk->entry);
	if (inv_held)
		inv_release_queue(disk->queue);
	mutex_unlock(&inv_holdable_lock);
	disk->queue = NULL;
}

void inv_hold(void)
{
	struct inv_holdable *disk;

	mutex_lock(&inv_holdable_lock);
	if (!inv_held)
		list_for_each_entry(disk, &inv_holdable, entry)
			inv_hold_queue(disk->queue);
	inv_held = true;
	mutex_unlock(&inv_holdable_lock);
}

void inv_let_go(void)
{
	struct inv_holdable *disk;

	mutex_lock(&inv_holdable_lock);
	if (inv_held)
		list_for_each_entry(disk, &inv_holdable, entry)
			inv_release_queue(disk->queue);
	inv_held = false;
	mutex_unlock(&inv_holdable_lock);
}

static void inv_alarm_rings(struct work_struct *work)
{
	inv_rs_alarm();
}

static DECLARE_DELAYED_WORK(inv_alarm_work, inv_alarm_rings);

void inv_alarm(u32 milliseconds)
{
	mod_delayed_work(system_highpri_wq, &inv_alarm_work, msecs_to_jiffies(milliseconds));
}

void inv_alarm_stop(void)
{
	cancel_delayed_work_sync(&inv_alarm_work);
}

u64 inv_uptime(void)
{
	return ktime_to_ms(ktime_get());
}
