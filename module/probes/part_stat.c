// SPDX-License-Identifier: GPL-2.0-only
/* What is counted of a disk has a header of its own (5.7 and later). */
/* Decided by linux/part_stat.h: part_stat_read */
#include <linux/part_stat.h>
u64 probe(struct gendisk *disk);
u64 probe(struct gendisk *disk)
{
	return disk != NULL;
}
