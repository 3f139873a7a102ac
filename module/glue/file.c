// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of the machine's file systems. Only a process or a worker may use them:
 * all of it sleeps.
 */
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/random.h>
#include <linux/umh.h>
#include "glue.h"

static struct file *inv_file_of(const struct inv_stored *stored)
{
	return (struct file *)stored;
}

int inv_stored_open(const char *path, u32 mode, struct inv_stored **out)
{
	static const int flags[] = {
		[INV_MODE_READ] = O_RDONLY,
		[INV_MODE_WRITE] = O_RDWR,
		[INV_MODE_NEW] = O_RDWR | O_CREAT | O_TRUNC,
	};
	struct file *file;

	if (mode >= ARRAY_SIZE(flags))
		return -EINVAL;
	file = filp_open(path, flags[mode] | O_LARGEFILE, 0600);
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!S_ISREG(file_inode(file)->i_mode)) {
		filp_close(file, NULL);
		return -EINVAL;
	}
	*out = (struct inv_stored *)file;
	return 0;
}

void inv_stored_close(struct inv_stored *stored)
{
	filp_close(inv_file_of(stored), NULL);
}

u64 inv_stored_bytes(const struct inv_stored *stored)
{
	return i_size_read(file_inode(inv_file_of(stored)));
}

int inv_stored_read(struct inv_stored *stored, u64 at, void *to, size_t bytes)
{
	loff_t position = at;

	while (bytes) {
		ssize_t got = kernel_read(inv_file_of(stored), to, bytes, &position);

		if (got <= 0)
			return got ? got : -EIO;
		to += got;
		bytes -= got;
	}
	return 0;
}

int inv_stored_write(struct inv_stored *stored, u64 at, const void *from, size_t bytes)
{
	loff_t position = at;

	while (bytes) {
		ssize_t put = kernel_write(inv_file_of(stored), from, bytes, &position);

		if (put <= 0)
			return put ? put : -EIO;
		from += put;
		bytes -= put;
	}
	return 0;
}

int inv_stored_flush(struct inv_stored *stored)
{
	return vfs_fsync(inv_file_of(stored), 0);
}

/*
 * By user space's own tool: what a module may call for it, and with what
 * arguments, is another thing in every few kernels.
 */
int inv_make_directory(const char *path)
{
	char *argv[] = { "/bin/mkdir", "-p", (char *)path, NULL };
	static char *envp[] = { "HOME=/", "PATH=/sbin:/bin:/usr/sbin:/usr/bin", NULL };

	return call_usermodehelper(argv[0], argv, envp, UMH_WAIT_PROC) ? -EIO : 0;
}

void inv_random(void *to, size_t bytes)
{
	get_random_bytes(to, bytes);
}
