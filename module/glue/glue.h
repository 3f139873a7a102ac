/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The boundary between the C glue and the Rust driver, both directions.
 *
 * The glue sees kernel structs and nothing of change tracking; Rust sees opaque
 * handles and fixed-width integers. src/platform/bindings.rs declares the same
 * to Rust; a test holds the two together.
 */
#ifndef INVOLFLT_GLUE_H
#define INVOLFLT_GLUE_H

#include <linux/types.h>

/* What a request does to the disk. */
enum inv_op {
	INV_OP_WRITE = 0,
	INV_OP_DISCARD = 1,
	INV_OP_SECURE_ERASE = 2,
	INV_OP_WRITE_ZEROES = 3,
	INV_OP_WRITE_SAME = 4,
	INV_OP_ZONE = 5,
};

/* Why a change could not be tracked. */
enum inv_hole {
	INV_HOLE_NO_MEMORY = 0,
	INV_HOLE_PASSTHROUGH = 1,
	INV_HOLE_UNKNOWN_OP = 2,
	INV_HOLE_NEW_PATH = 3,
	INV_HOLE_UNHOOKED = 4,
	INV_HOLE_MEDIUM = 13,
};

/* What a poll finds. */
enum inv_ready {
	INV_READY_NOT = 0,
	INV_READY_CHANGES = 1,
	INV_READY_GONE = 2,
};

/* How a file is opened: one that is there, or an empty one. */
enum inv_mode {
	INV_MODE_READ = 0,
	INV_MODE_WRITE = 1,
	INV_MODE_NEW = 2,
};

/* A disk as it was when its writes began or ceased to be told. */
struct inv_sighting {
	__u64 device;		/* no other disk has this number until the next boot */
	__u64 written;		/* grows with each write, if its driver counts; 0: not known */
	__u64 sure;		/* its driver counts */
	__u64 untouched;	/* it has counted nothing since the disk appeared */
};

/* Facts about an opened disk. */
struct inv_geometry {
	__u64 sectors;		/* capacity in 512-byte sectors */
	__u64 identity;		/* the same for every path to one disk */
};

/* A SCSI or NVMe command that came past the block layer's own operations. */
struct inv_command {
	__u64 bytes;		/* that it sends or fetches */
	const __u8 *command;
	const __u8 *data;	/* a list of blocks that it sends, or NULL */
	__u32 command_bytes;
	__u32 data_bytes;
	__u32 block_sectors;	/* 512-byte sectors in a logical block */
	__u32 sends;
};

/* An open file of the driver, zero at first. What it holds belongs to Rust. */
struct inv_file {
	__u64 disk;
	__u64 roles;
};

struct inv_device;
struct inv_spin;
struct inv_mutex;
struct inv_event;
struct inv_frozen;
struct inv_stored;
struct inv_payload;
struct inv_mapping;
struct inv_pinned;

/* Rust to glue: disks (hook.c). All may sleep. Errors are negative errno. */
int inv_device_open(const char *path, struct inv_device **out,
		    struct inv_geometry *geometry);
int inv_device_attach(struct inv_device *dev, void *tracker);
/*
 * Looks for what has come to the disk since: a hole, if it took writes unseen.
 * Gives the capacity in 512-byte sectors.
 */
__u64 inv_device_refresh(struct inv_device *dev);
void inv_device_settle(struct inv_device *dev);
/* Returns when all that was written to the disk outlives a power cut. */
int inv_device_flush(struct inv_device *dev);
/*
 * From now on each write asks inv_rs_must_wait(), and is held while it must; what
 * it waits for is done by inv_rs_mark_intent(). The file is the one that writes.
 * Fails where the disk's writes cannot be held, or the file is on it.
 */
int inv_device_hold_writes(struct inv_device *dev, const struct inv_pinned *file);
void inv_device_release_writes(struct inv_device *dev);
int inv_device_detach(struct inv_device *dev, int killable);
void inv_device_seen(const struct inv_device *dev, struct inv_sighting *out);
void inv_device_close(struct inv_device *dev);

/* Rust to glue: locks that interrupts may take (spin.c). The flags are unlock's. */
struct inv_spin *inv_spin_new(void);
void inv_spin_free(struct inv_spin *spin);
__u64 inv_spin_lock(struct inv_spin *spin);
void inv_spin_unlock(struct inv_spin *spin, __u64 flags);

/*
 * Rust to glue: what threads take turns at and wait for (wait.c). A lock that is
 * killable, and a wait, may end with -EINTR; a wait also with -ETIMEDOUT, and
 * with 0 once the event has happened more often than was seen.
 */
struct inv_mutex *inv_mutex_new(void);
void inv_mutex_free(struct inv_mutex *mutex);
int inv_mutex_lock(struct inv_mutex *mutex, int killable);
int inv_mutex_try(struct inv_mutex *mutex);
void inv_mutex_unlock(struct inv_mutex *mutex);
struct inv_event *inv_event_new(void);
void inv_event_free(struct inv_event *event);
__u32 inv_event_count(struct inv_event *event);
void inv_event_happen(struct inv_event *event);
int inv_event_wait(struct inv_event *event, __u32 seen, __u32 milliseconds);

/*
 * Rust to glue: consistency points (point.c). A frozen file system stays so
 * until its freezing is freed; held disks take no new request, and those in
 * flight complete. inv_rs_alarm() is called in so many milliseconds, once; a
 * later alarm takes the place of an earlier one. Uptime is in milliseconds.
 */
int inv_frozen_new(const char *path, struct inv_frozen **out);
void inv_frozen_free(struct inv_frozen *frozen);
void inv_hold(void);
void inv_let_go(void);
void inv_alarm(__u32 milliseconds);
/* Returns when no alarm rings or will. */
void inv_alarm_stop(void);
__u64 inv_uptime(void);

/*
 * Rust to glue: regular files (file.c). All may sleep. Errors are negative errno;
 * what is read or written is so whole, or it is an error.
 */
int inv_stored_open(const char *path, __u32 mode, struct inv_stored **out);
void inv_stored_close(struct inv_stored *file);
__u64 inv_stored_bytes(const struct inv_stored *file);
int inv_stored_read(struct inv_stored *file, __u64 at, void *to, size_t bytes);
int inv_stored_write(struct inv_stored *file, __u64 at, const void *from, size_t bytes);
int inv_stored_flush(struct inv_stored *file);
int inv_make_directory(const char *path);
void inv_random(void *to, size_t bytes);
/* Whether the module was loaded with in_initrd=yes: there are no files yet that outlive the boot. */
int inv_is_before_root(void);

/*
 * Rust to glue: blocks of a file that can be written past its file system
 * (pin.c). While a file is pinned nobody can change it by way of the file system.
 * All may sleep. Errors are negative errno; -EOPNOTSUPP where the file system
 * does not promise to leave the blocks where they are.
 */
int inv_pin(const char *path, struct inv_pinned **out);
void inv_unpin(struct inv_pinned *pinned);
__u64 inv_pinned_blocks(const struct inv_pinned *pinned);
int inv_pinned_read(struct inv_pinned *pinned, __u64 index, void *to);
int inv_pinned_write(struct inv_pinned *pinned, __u64 index, const void *from);
int inv_pinned_flush(struct inv_pinned *pinned);
/* How often the file system was mounted writable and when it was checked, as one; whether it is writable. */
int inv_pinned_mounts(struct inv_pinned *pinned, __u64 *mounts, int *writable);
/*
 * inv_rs_machine_stops() is called when the machine is about to be halted, switched off or started
 * again, and inv_rs_machine_woke() when it goes on after its memory was written to a disk.
 */
int inv_watch_stop(void);
void inv_unwatch_stop(void);

/*
 * Rust to glue: other devices (query.c). 1 for blk-mq, 0 for another one; fails
 * as opening it does.
 */
int inv_is_blk_mq(const char *path);

/*
 * Rust to glue: captured data (data.c). A payload is the data of a write that
 * has completed; each copy goes on where the last one ended. A mapping is memory
 * of the process that it was made for, and is taken back when that process frees
 * it. Memory, a machine's or a process's, is in bytes.
 */
__u64 inv_memory(void);
void *inv_slab_new(size_t bytes);
void inv_slab_free(void *slab);
void inv_payload_copy(struct inv_payload *payload, void *to, size_t bytes);
int inv_tell(__u64 to, const void *from, size_t bytes);
int inv_mapping_new(size_t bytes, struct inv_mapping **out);
__u64 inv_mapping_address(const struct inv_mapping *mapping);
int inv_mapping_is_here(const struct inv_mapping *mapping);
void inv_mapping_free(struct inv_mapping *mapping);
/* inv_rs_work() is called soon, where it may sleep. From any context. */
void inv_soon(void);
/* Returns when it is not called any more, nor running. */
void inv_soon_stop(void);
/* Sleeps for less than a millisecond. */
void inv_pause(void);

/* Rust to glue: kernel services for the platform without a kernel crate (services.c). */
void *inv_alloc_zeroed(size_t bytes);
void inv_free(void *memory);
__u64 inv_unix_time(void);
int inv_copy_from_user(void *to, __u64 from, size_t bytes);
int inv_copy_to_user(__u64 to, const void *from, size_t bytes);
void inv_panic(void) __attribute__((noreturn));

/* The character device (chardev.c), for whoever has the module's entry point. */
int inv_chardev_add(void);
void inv_chardev_del(void);
/* Whoever polls the device asks inv_rs_poll() again (chardev.c). From any context. */
void inv_wake_pollers(void);
/* Waits until no code or memory of a detached disk is in use (hook.c). */
void inv_device_drain_frees(void);

/*
 * Glue to Rust. What has a tracker is called from any context and never sleeps.
 * A write's completion is told where that is wanted when the disk's driver gets
 * it; otherwise, or if it cannot be, the write is marked before the driver gets it.
 */
int inv_rs_wants_completion(const void *tracker);
void inv_rs_complete(const void *tracker, __u64 sector, __u64 sectors, int failed);
/* The write has succeeded, and its data can be had until this returns. */
void inv_rs_written(const void *tracker, __u64 sector, __u64 sectors,
		    struct inv_payload *payload);
void inv_rs_no_memory(const void *tracker);
void inv_rs_mark(const void *tracker, __u64 sector, __u64 sectors);
void inv_rs_count(const void *tracker, __u32 op, __u64 bytes);
void inv_rs_uncount(const void *tracker, __u32 op, __u64 bytes);
void inv_rs_mark_all(const void *tracker);
void inv_rs_hole(const void *tracker, __u32 hole);
/* Whether the command must wait as a write must; then nothing is marked. */
int inv_rs_scsi(const void *tracker, const struct inv_command *command);
int inv_rs_nvme(const void *tracker, const struct inv_command *command);
enum inv_late {
	INV_LATE_WAITS = 0,
	INV_LATE_GOES_ON = 1,	/* no longer, though the file is not written */
	INV_LATE_OVER = 2,	/* there is nothing to wait for */
};

/* Whether a write must wait, by no means for long. Past the end: until writes are released. */
int inv_rs_must_wait(const void *tracker, __u64 sector, __u64 sectors);
/* Does what writes wait for. Not 0: it is to be called again. May sleep. */
int inv_rs_mark_intent(const void *tracker);
/* They have waited for so many seconds: whether they still do, as the inv_late below. */
int inv_rs_late(const void *tracker, __u32 seconds);
int inv_rs_nvme_is_write(const struct inv_command *command, __u64 sector, __u64 sectors);
/* May sleep. */
long inv_rs_ioctl(struct inv_file *file, __u32 request, __u64 argument);
void inv_rs_release(struct inv_file *file);
void inv_rs_alarm(void);
void inv_rs_work(void);
void inv_rs_machine_stops(void);
void inv_rs_machine_woke(void);
/* Whether the open file's disk is ready, gone, or neither: enum inv_ready. */
int inv_rs_poll(struct inv_file *file);
/* Called with no file open and nothing attached that the module reference would hold. */
int inv_rs_init(void);
void inv_rs_exit(void);

#endif
