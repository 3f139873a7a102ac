// SPDX-License-Identifier: GPL-2.0-only
/* bmap() gives an error beside the block (5.6 and later). */
/* Decided by linux/fs.h: int bmap(struct inode */
#include <linux/fs.h>
int probe(struct inode *inode, sector_t *block);
int probe(struct inode *inode, sector_t *block)
{
	return bmap(inode, block);
}
