// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of a file that its file system neither moves nor frees, so that they
 * can be written when the file itself cannot be any more: the machine stops, and
 * its file systems are read-only. The caller proves that a block is its own, by
 * reading it, before it writes one.
 */
#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include "compat.h"
#include "glue.h"
#include "intent.h"

#if defined(INV_HAVE_BMAP_INT)

/* Bytes of a block of the caller's, and of the file system's. */
#define INV_BLOCK	4096
#define INV_SECTORS	(INV_BLOCK >> SECTOR_SHIFT)

/* Where an ext4 superblock is; in it the count of its writable mounts, and when it was checked. */
#define INV_EXT4_SUPER		1024
#define INV_EXT4_MOUNTS		0x34
#define INV_EXT4_CHECKED	0x40

struct inv_pinned {
	struct file *file;
	struct page *page;	/* what is read and written: memory may wait for a write */
	u64 count;
	u64 sectors[];
};

/* ext4 leaves a swap file's blocks where they are: it is not truncated, defragmented, shared, or given holes. */
static bool __cold inv_can_pin(struct inode *inode)
{
	struct super_block *super = inode->i_sb;

	return S_ISREG(inode->i_mode) && super->s_magic == EXT4_SUPER_MAGIC &&
	       !strcmp(super->s_type->name, "ext4") && super->s_bdev &&
	       i_blocksize(inode) == INV_BLOCK && PAGE_SIZE == INV_BLOCK;
}

static int __cold inv_map(struct inv_pinned *pinned, struct inode *inode)
{
	u64 index;

	for (index = 0; index < pinned->count; index++) {
		sector_t block = index;
		int err = bmap(inode, &block);

		if (err)
			return err;
		if (!block)
			return -EOPNOTSUPP;
		pinned->sectors[index] = block * INV_SECTORS;
	}
	return 0;
}

/* False where it is one already, of somebody else. */
static bool __cold inv_set_swapfile(struct inode *inode)
{
	bool was;

	inode_lock(inode);
	was = IS_SWAPFILE(inode);
	inode->i_flags |= S_SWAPFILE;
	inode_unlock(inode);
	return !was;
}

static void __cold inv_clear_swapfile(struct inode *inode)
{
	inode_lock(inode);
	inode->i_flags &= ~S_SWAPFILE;
	inode_unlock(inode);
}

int __cold inv_pin(const char *path, struct inv_pinned **out)
{
	struct file *file = filp_open(path, O_RDONLY | O_LARGEFILE, 0);
	struct inv_pinned *pinned;
	struct inode *inode;
	u64 count;
	int err = -EOPNOTSUPP;

	if (IS_ERR(file))
		return PTR_ERR(file);
	inode = file_inode(file);
	if (!inv_can_pin(inode))
		goto close;
	count = i_size_read(inode) / INV_BLOCK;
	err = -ENOMEM;
	pinned = kvzalloc(sizeof(*pinned) + count * sizeof(pinned->sectors[0]),
			  GFP_KERNEL);
	if (!pinned)
		goto close;
	pinned->page = alloc_page(GFP_KERNEL);
	if (!pinned->page)
		goto free;
	pinned->file = file;
	pinned->count = count;
	err = -EBUSY;
	if (!inv_set_swapfile(inode))
		goto free;
	err = inv_map(pinned, inode);
	if (err)
		goto clear;
	*out = pinned;
	return 0;
clear:
	inv_clear_swapfile(inode);
free:
	if (pinned->page)
		__free_page(pinned->page);
	kvfree(pinned);
close:
	filp_close(file, NULL);
	return err;
}

void __cold inv_unpin(struct inv_pinned *pinned)
{
	/* What the file system has read of it before is not what was written past it. */
	invalidate_inode_pages2(file_inode(pinned->file)->i_mapping);
	inv_clear_swapfile(file_inode(pinned->file));
	filp_close(pinned->file, NULL);
	__free_page(pinned->page);
	kvfree(pinned);
}

u64 inv_pinned_blocks(const struct inv_pinned *pinned)
{
	return pinned->count;
}

struct gendisk *inv_pinned_disk(const struct inv_pinned *pinned)
{
	return file_inode(pinned->file)->i_sb->s_bdev->bd_disk;
}

void inv_pinned_print(const struct inv_pinned *pinned, char *to, size_t bytes)
{
	snprintf(to, bytes, "%s on %s", file_dentry(pinned->file)->d_name.name,
		 inv_pinned_disk(pinned)->disk_name);
}

/* A bio with room for one page. */
static inline struct bio *inv_bio_new(struct block_device *bdev, unsigned int op)
{
#if defined(INV_HAVE_BIO_ALLOC_BDEV)
	return bio_alloc(bdev, 1, op, GFP_NOIO);
#else
	struct bio *bio = bio_alloc(GFP_NOIO, 1);

	bio_set_dev(bio, bdev);
	bio->bi_opf = op;
	return bio;
#endif
}

/* Past the file system and its cache. No page: nothing but a flush. */
static int inv_io(struct inv_pinned *pinned, u64 sector, struct page *page, unsigned int op)
{
	struct bio *bio = inv_bio_new(file_inode(pinned->file)->i_sb->s_bdev, op);
	int err;

	bio->bi_iter.bi_sector = sector;
	if (page && bio_add_page(bio, page, INV_BLOCK, 0) != INV_BLOCK) {
		bio_put(bio);
		return -EIO;
	}
	err = submit_bio_wait(bio);
	bio_put(bio);
	return err;
}

static int inv_read_at(struct inv_pinned *pinned, u64 sector, void *to)
{
	int err = inv_io(pinned, sector, pinned->page, REQ_OP_READ);

	if (!err)
		memcpy(to, page_address(pinned->page), INV_BLOCK);
	return err;
}

int inv_pinned_read(struct inv_pinned *pinned, u64 index, void *to)
{
	if (index >= pinned->count)
		return -EINVAL;
	return inv_read_at(pinned, pinned->sectors[index], to);
}

int inv_pinned_write(struct inv_pinned *pinned, u64 index, const void *from)
{
	if (index >= pinned->count)
		return -EINVAL;
	memcpy(page_address(pinned->page), from, INV_BLOCK);
	return inv_io(pinned, pinned->sectors[index], pinned->page, REQ_OP_WRITE | REQ_SYNC);
}

int inv_pinned_flush(struct inv_pinned *pinned)
{
	return inv_io(pinned, 0, NULL, REQ_OP_WRITE | REQ_PREFLUSH);
}

/*
 * What the disk has of the superblock: ext4 counts each writable mount there, in 16 bits. A check
 * begins that count anew, and notes its time, here in the 32 bits above.
 */
int inv_pinned_mounts(struct inv_pinned *pinned, u64 *mounts, int *writable)
{
	u8 *block = kmalloc(INV_BLOCK, GFP_KERNEL);
	u8 *super;
	int err;

	if (!block)
		return -ENOMEM;
	super = block + INV_EXT4_SUPER;
	*writable = !sb_rdonly(file_inode(pinned->file)->i_sb);
	err = inv_read_at(pinned, 0, block);
	if (!err)
		*mounts = le16_to_cpup((__le16 *)(super + INV_EXT4_MOUNTS)) |
			(u64)le32_to_cpup((__le32 *)(super + INV_EXT4_CHECKED)) << 16;
	kfree(block);
	return err;
}

#else /* Before that a block that is not there looks like an error: nothing is pinned. */

int inv_pin(const char *path, struct inv_pinned **out)
{
	return -EOPNOTSUPP;
}

void inv_unpin(struct inv_pinned *pinned)
{
}

u64 inv_pinned_blocks(const struct inv_pinned *pinned)
{
	return 0;
}

struct gendisk *inv_pinned_disk(const struct inv_pinned *pinned)
{
	return NULL;
}

void inv_pinned_print(const struct inv_pinned *pinned, char *to, size_t bytes)
{
}

int inv_pinned_read(struct inv_pinned *pinned, u64 index, void *to)
{
	return -EOPNOTSUPP;
}

int inv_pinned_write(struct inv_pinned *pinned, u64 index, const void *from)
{
	return -EOPNOTSUPP;
}

int inv_pinned_flush(struct inv_pinned *pinned)
{
	return -EOPNOTSUPP;
}

int inv_pinned_mounts(struct inv_pinned *pinned, u64 *mounts, int *writable)
{
	return -EOPNOTSUPP;
}
#endif

static int inv_machine_stops(struct notifier_block *block, unsigned long event, void *data)
{
	inv_rs_machine_stops();
	return NOTIFY_DONE;
}

static struct notifier_block inv_stop_block = {
	.notifier_call = inv_machine_stops,
};

/* Writes since memory was copied for the image, those of the image among them, are in no memory. */
static int inv_machine_sleeps(struct notifier_block *block, unsigned long event, void *data)
{
	if (event == PM_POST_HIBERNATION)
		inv_rs_machine_woke();
	return NOTIFY_DONE;
}

static struct notifier_block inv_sleep_block = {
	.notifier_call = inv_machine_sleeps,
};

int inv_watch_stop(void)
{
	int err = register_reboot_notifier(&inv_stop_block);

	if (err)
		return err;
	err = register_pm_notifier(&inv_sleep_block);
	if (err)
		unregister_reboot_notifier(&inv_stop_block);
	return err;
}

void inv_unwatch_stop(void)
{
	unregister_pm_notifier(&inv_sleep_block);
	unregister_reboot_notifier(&inv_stop_block);
}
