// SPDX-License-Identifier: GPL-2.0-only
/* What is about memory has a header apart from the scheduler (4.11 and later). */
/* Decided by linux/sched/mm.h: mmgrab( */
#include <linux/sched/mm.h>
void probe(struct mm_struct *mm);
void probe(struct mm_struct *mm)
{
	mmgrab(mm);
}
