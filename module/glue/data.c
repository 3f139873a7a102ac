// SPDX-License-Identifier: GPL-2.0-only
/* What captured data needs: memory, the data itself, and a place for it in a process. */
#include <linux/bio.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "data.h"
#include "glue.h"

u64 inv_memory(void)
{
	struct sysinfo info;

	si_meminfo(&info);
	return (u64)info.totalram * info.mem_unit;
}

/* Of the machine's memory so much stays for others, as /proc/meminfo has it. */
#define INV_SPARED 16

/* Never at the cost of somebody else's memory: without it, less is captured. */
void *inv_slab_new(size_t bytes)
{
	if (si_mem_available() < (long)(inv_memory() / INV_SPARED >> PAGE_SHIFT))
		return NULL;
	return inv_vmalloc(bytes, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
}

void inv_slab_free(void *slab)
{
	vfree(slab);
}

/* x86-64 has every page of a bio mapped. */
void inv_payload_copy(struct inv_payload *payload, void *to, size_t bytes)
{
	while (bytes && payload->iter.bi_size) {
		struct bio_vec vec = inv_bvec(payload->bio, payload->iter);
		unsigned int length = min_t(size_t, vec.bv_len, bytes);

		memcpy(to, page_address(vec.bv_page) + vec.bv_offset, length);
		bio_advance_iter(payload->bio, &payload->iter, length);
		to += length;
		bytes -= length;
	}
}

int inv_tell(u64 to, const void *from, size_t bytes)
{
	return copy_to_user(u64_to_user_ptr(to), from, bytes) ? -EFAULT : 0;
}

/* The address space is known by its own memory, which is kept: another one never has that address. */
struct inv_mapping {
	struct mm_struct *mm;
	unsigned long address;
	size_t bytes;
};

int inv_mapping_new(size_t bytes, struct inv_mapping **out)
{
	struct inv_mapping *mapping = kzalloc(sizeof(*mapping), GFP_KERNEL);

	if (!mapping)
		return -ENOMEM;
	mapping->address = vm_mmap(NULL, 0, bytes, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(mapping->address)) {
		kfree(mapping);
		return -ENOMEM;
	}
	mapping->bytes = bytes;
	mapping->mm = current->mm;
	mmgrab(mapping->mm);
	*out = mapping;
	return 0;
}

u64 inv_mapping_address(const struct inv_mapping *mapping)
{
	return mapping->address;
}

int inv_mapping_is_here(const struct inv_mapping *mapping)
{
	return mapping->mm == current->mm;
}

void inv_mapping_free(struct inv_mapping *mapping)
{
	if (inv_mapping_is_here(mapping))
		vm_munmap(mapping->address, mapping->bytes);
	mmdrop(mapping->mm);
	kfree(mapping);
}

static void inv_works(struct work_struct *work)
{
	inv_rs_work();
}

static DECLARE_WORK(inv_work, inv_works);

void inv_soon(void)
{
	schedule_work(&inv_work);
}

void inv_soon_stop(void)
{
	cancel_work_sync(&inv_work);
}

void inv_pause(void)
{
	usleep_range(20, 100);
}
