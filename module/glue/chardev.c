// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/involflt. Not a misc device: an agent finds the major number in
 * /proc/devices under the driver's own name and makes the node itself.
 */
#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/compat.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include "compat.h"
#include "glue.h"

#define INV_NAME	"involflt"

static dev_t inv_devt;
static struct cdev inv_cdev;
static struct class *inv_class;

static int inv_open(struct inode *inode, struct file *file)
{
	struct inv_file *state;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	state = kzalloc(sizeof(*state), GFP_KERNEL);
	if (!state)
		return -ENOMEM;
	file->private_data = state;
	return nonseekable_open(inode, file);
}

static int inv_release(struct inode *inode, struct file *file)
{
	inv_rs_release(file->private_data);
	kfree(file->private_data);
	return 0;
}

static long inv_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return inv_rs_ioctl(file->private_data, request, argument);
}

#ifdef CONFIG_COMPAT
/* The words and structures are the same, pointers in them have 64 bits: only the argument is another. */
static long inv_compat_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	return inv_ioctl(file, request, (unsigned long)compat_ptr(argument));
}
#endif

/* One queue for all files: an epoll may know it longer than a disk is filtered. */
static DECLARE_WAIT_QUEUE_HEAD(inv_pollers);

void inv_wake_pollers(void)
{
	wake_up_all(&inv_pollers);
}

static __poll_t inv_poll(struct file *file, struct poll_table_struct *table)
{
	poll_wait(file, &inv_pollers, table);
	switch (inv_rs_poll(file->private_data)) {
	case INV_READY_CHANGES:
		return EPOLLIN | EPOLLRDNORM;
	case INV_READY_GONE:
		return EPOLLERR | EPOLLHUP;
	}
	return 0;
}

static const struct file_operations inv_file_ops = {
	.owner = THIS_MODULE,
	.open = inv_open,
	.release = inv_release,
	.unlocked_ioctl = inv_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl = inv_compat_ioctl,
#endif
	.poll = inv_poll,
};

static struct class *inv_class_new(void)
{
#if defined(INV_HAVE_CLASS_CREATE_1)
	return class_create(INV_NAME);
#else
	return class_create(THIS_MODULE, INV_NAME);
#endif
}

static int inv_node_add(void)
{
	struct device *node;

	inv_class = inv_class_new();
	if (IS_ERR(inv_class))
		return PTR_ERR(inv_class);
	node = device_create(inv_class, NULL, inv_devt, NULL, INV_NAME);
	if (IS_ERR(node)) {
		class_destroy(inv_class);
		return PTR_ERR(node);
	}
	return 0;
}

int inv_chardev_add(void)
{
	int err = alloc_chrdev_region(&inv_devt, 0, 1, INV_NAME);

	if (err)
		return err;
	cdev_init(&inv_cdev, &inv_file_ops);
	inv_cdev.owner = THIS_MODULE;
	err = cdev_add(&inv_cdev, inv_devt, 1);
	if (err)
		goto unregister;
	err = inv_node_add();
	if (err)
		goto del;
	return 0;
del:
	cdev_del(&inv_cdev);
unregister:
	unregister_chrdev_region(inv_devt, 1);
	return err;
}

void inv_chardev_del(void)
{
	device_destroy(inv_class, inv_devt);
	class_destroy(inv_class);
	cdev_del(&inv_cdev);
	unregister_chrdev_region(inv_devt, 1);
}

/* modinfo -F platform: rfl or cglue. */
MODULE_INFO(platform, __stringify(INV_PLATFORM));

/* modinfo -F telemetry: yes or no. */
#if defined(INV_TELEMETRY)
MODULE_INFO(telemetry, "yes");
#else
MODULE_INFO(telemetry, "no");
#endif
