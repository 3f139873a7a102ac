// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of the machine's file systems. Only a process or a worker may use them:
 * all of it sleeps.
 */
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kmod.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "glue.h"

static struct file *inv_file_of(const struct inv_stored *stored)
{
	return (struct file *)stored;
}

struct inv_opening {
	struct work_struct work;
	const char *path;
	int flags;
	struct file *file;
};

static void inv_open_works(struct work_struct *work)
{
	struct inv_opening *opening = container_of(work, struct inv_opening, work);

	opening->file = filp_open(opening->path, opening->flags, 0600);
}

/*
 * A process that ends, and closes its agent's file, has no root any more to find
 * a path from: a worker does it then.
 */
static struct file *inv_open_file(const char *path, int flags)
{
	struct inv_opening opening = { .path = path, .flags = flags };

	if (current->fs)
		return filp_open(path, flags, 0600);
	INIT_WORK_ONSTACK(&opening.work, inv_open_works);
	schedule_work(&opening.work);
	flush_work(&opening.work);
	destroy_work_on_stack(&opening.work);
	return opening.file;
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
	file = inv_open_file(path, flags[mode] | O_LARGEFILE);
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

/*
 * What a file system needs of a stack is more than an ioctl has left, so a
 * worker's is used. Files are opened by the caller: a worker need not see them.
 */
struct inv_job {
	struct work_struct work;
	struct file *file;
	void *to;
	const void *from;
	size_t bytes;
	loff_t at;
	int result;
};

static void inv_read(struct work_struct *work)
{
	struct inv_job *job = container_of(work, struct inv_job, work);

	while (job->bytes) {
		ssize_t got = inv_kernel_read(job->file, job->to, job->bytes, &job->at);

		if (got <= 0) {
			job->result = got ? got : -EIO;
			return;
		}
		job->to += got;
		job->bytes -= got;
	}
}

static void inv_write(struct work_struct *work)
{
	struct inv_job *job = container_of(work, struct inv_job, work);

	while (job->bytes) {
		ssize_t put = inv_kernel_write(job->file, job->from, job->bytes, &job->at);

		if (put <= 0) {
			job->result = put ? put : -EIO;
			return;
		}
		job->from += put;
		job->bytes -= put;
	}
}

static void inv_flush(struct work_struct *work)
{
	struct inv_job *job = container_of(work, struct inv_job, work);

	job->result = vfs_fsync(job->file, 0);
}

static int inv_run(struct inv_job *job, work_func_t run)
{
	INIT_WORK_ONSTACK(&job->work, run);
	queue_work(system_long_wq, &job->work);
	flush_work(&job->work);
	destroy_work_on_stack(&job->work);
	return job->result;
}

int inv_stored_read(struct inv_stored *stored, u64 at, void *to, size_t bytes)
{
	struct inv_job job = { .file = inv_file_of(stored), .to = to, .bytes = bytes, .at = at };

	return inv_run(&job, inv_read);
}

int inv_stored_write(struct inv_stored *stored, u64 at, const void *from, size_t bytes)
{
	struct inv_job job = { .file = inv_file_of(stored), .from = from, .bytes = bytes, .at = at };

	return inv_run(&job, inv_write);
}

int inv_stored_flush(struct inv_stored *stored)
{
	struct inv_job job = { .file = inv_file_of(stored) };

	return inv_run(&job, inv_flush);
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

static char *inv_in_initrd;
module_param_named(in_initrd, inv_in_initrd, charp, 0);
MODULE_PARM_DESC(in_initrd, "yes: the root file system is not there yet");

int inv_is_before_root(void)
{
	return inv_in_initrd && !strcasecmp(inv_in_initrd, "yes");
}

void inv_random(void *to, size_t bytes)
{
	get_random_bytes(to, bytes);
}
