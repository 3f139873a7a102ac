/* SPDX-License-Identifier: GPL-2.0-only */
/* Whether a disk was written to since somebody looked (sight.c). */
#ifndef INVOLFLT_SIGHT_H
#define INVOLFLT_SIGHT_H

#include <linux/blkdev.h>

/* What was seen of all disks that a device's writes go through. */
struct inv_sight {
	u64 written;
	bool unsure;		/* whether the driver counts all of it */
	bool touched;		/* it has counted something */
	bool writing;		/* something is in flight, and may or may not be counted */
};

/*
 * Adds a disk, whose queue is frozen: the kernel's own statistics of it, which
 * grow with each write whether or not the disk is filtered.
 */
void inv_sight_add(struct inv_sight *sight, struct gendisk *disk);

#endif
