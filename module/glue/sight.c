// SPDX-License-Identifier: GPL-2.0-only
/* Whether a disk was written to since somebody looked: the kernel counts. */
#include "compat.h"
#if defined(INV_HAVE_PART_STAT)
#include <linux/part_stat.h>
#endif
#include "sight.h"

/* A bio-based driver counts a write when it begins or when it has ended. */
#if defined(INV_HAVE_PART_STAT_LOCAL)
static bool inv_is_writing(struct gendisk *disk)
{
	long writing = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		writing += part_stat_local_read_cpu(inv_part0(disk), in_flight[1], cpu);
	return writing != 0;
}
#else
static bool inv_is_writing(struct gendisk *disk)
{
	return atomic_read(&inv_part0(disk)->in_flight[WRITE]) != 0;
}
#endif

#if defined(INV_HAVE_STAT_DISCARD)
static u64 inv_written(struct gendisk *disk)
{
	return part_stat_read(inv_part0(disk), ios[STAT_WRITE]) +
	       part_stat_read(inv_part0(disk), sectors[STAT_WRITE]) +
	       part_stat_read(inv_part0(disk), ios[STAT_DISCARD]) +
	       part_stat_read(inv_part0(disk), sectors[STAT_DISCARD]);
}
#else
static u64 inv_written(struct gendisk *disk)
{
	return part_stat_read(inv_part0(disk), ios[WRITE]) +
	       part_stat_read(inv_part0(disk), sectors[WRITE]);
}
#endif

/*
 * blk-mq counts for its drivers, unless it was told not to. A bio-based driver
 * may not count, or count whatever it was told.
 */
void inv_sight_add(struct inv_sight *sight, struct gendisk *disk)
{
	u64 written = inv_written(disk);

	sight->written += written + 1;
	if (written)
		sight->touched = true;
	if (!disk->queue->mq_ops || !blk_queue_io_stat(disk->queue))
		sight->unsure = true;
	if (!disk->queue->mq_ops && inv_is_writing(disk))
		sight->writing = true;
}
