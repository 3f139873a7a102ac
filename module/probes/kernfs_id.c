// SPDX-License-Identifier: GPL-2.0-only
/* An entry of sysfs has a number that no other gets until the next boot (4.14 to 5.4). */
/* Decided by linux/kernfs.h: union kernfs_node_id { */
#include <linux/kernfs.h>
u64 probe(struct kernfs_node *node);
u64 probe(struct kernfs_node *node)
{
	return node->id.id;
}
