/* SPDX-License-Identifier: GPL-2.0-only */
/* Attached disks, whose new requests can be held together. */
#ifndef INVOLFLT_POINT_H
#define INVOLFLT_POINT_H

#include <linux/blkdev.h>
#include <linux/list.h>

struct inv_holdable {
	struct list_head entry;
	struct request_queue *queue;
};

/* One that comes while the others are held is held too. */
void inv_holdable_add(struct inv_holdable *disk, struct request_queue *queue);
/* Does nothing to one that was not added. */
void inv_holdable_del(struct inv_holdable *disk);

#endif
