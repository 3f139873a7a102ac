// SPDX-License-Identifier: GPL-2.0-only
/* Each processor counts what is in flight on a disk (5.0 and later). */
/* Decided by linux/part_stat.h: part_stat_local_read_cpu */
/* Decided by linux/genhd.h: part_stat_local_read_cpu */
#include <linux/blkdev.h>
#if __has_include(<linux/part_stat.h>)
#include <linux/part_stat.h>
#endif
#ifndef part_stat_local_read_cpu
#error there is no such count
#endif
