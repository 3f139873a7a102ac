// SPDX-License-Identifier: GPL-2.0-only
/* Locks for the Rust driver that interrupts may take. */
#include <linux/slab.h>
#include <linux/spinlock.h>
#include "glue.h"

struct inv_spin {
	spinlock_t lock;
};

struct inv_spin *inv_spin_new(void)
{
	struct inv_spin *spin = kmalloc(sizeof(*spin), GFP_KERNEL);

	if (spin)
		spin_lock_init(&spin->lock);
	return spin;
}

void inv_spin_free(struct inv_spin *spin)
{
	kfree(spin);
}

u64 inv_spin_lock(struct inv_spin *spin)
{
	unsigned long flags;

	spin_lock_irqsave(&spin->lock, flags);
	return flags;
}

void inv_spin_unlock(struct inv_spin *spin, u64 flags)
{
	spin_unlock_irqrestore(&spin->lock, flags);
}
