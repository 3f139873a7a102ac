// SPDX-License-Identifier: GPL-2.0-only
/* The module's entry and exit, where there is no kernel crate. */
#include <linux/module.h>
#include "glue.h"

static int __init involflt_init(void)
{
	int err = inv_rs_init();

	if (err)
		return err;
	err = inv_chardev_add();
	if (err)
		inv_rs_exit();
	return err;
}

static void __exit involflt_exit(void)
{
	inv_chardev_del();
	inv_alarm_stop();
	inv_soon_stop();
	inv_rs_exit();
	inv_device_drain_frees();
}

module_init(involflt_init);
module_exit(involflt_exit);
MODULE_LICENSE("GPL v2");
MODULE_AUTHOR("The involflt authors");
MODULE_DESCRIPTION("Tracks every change made to a disk");
