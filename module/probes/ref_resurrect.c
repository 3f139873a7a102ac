// SPDX-License-Identifier: GPL-2.0-only
/* A queue that begins to be frozen can be let go before its requests have ended (4.20 and later). */
/* Decided by linux/percpu-refcount.h: percpu_ref_resurrect */
#include <linux/percpu-refcount.h>
void probe(struct percpu_ref *ref);
void probe(struct percpu_ref *ref)
{
	percpu_ref_resurrect(ref);
}
