// SPDX-License-Identifier: GPL-2.0-only
/* What threads of the Rust driver take turns at and wait for. */
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include "compat.h"
#include "glue.h"

struct inv_mutex {
	struct mutex lock;
};

struct inv_event {
	wait_queue_head_t queue;
	atomic_t count;
};

struct inv_mutex *inv_mutex_new(void)
{
	struct inv_mutex *mutex = kmalloc(sizeof(*mutex), GFP_KERNEL);

	if (mutex)
		mutex_init(&mutex->lock);
	return mutex;
}

void inv_mutex_free(struct inv_mutex *mutex)
{
	kfree(mutex);
}

int inv_mutex_lock(struct inv_mutex *mutex, int killable)
{
	if (killable)
		return mutex_lock_killable(&mutex->lock);
	mutex_lock(&mutex->lock);
	return 0;
}

/* 1: it was free, and is the caller's. */
int inv_mutex_try(struct inv_mutex *mutex)
{
	return mutex_trylock(&mutex->lock);
}

void inv_mutex_unlock(struct inv_mutex *mutex)
{
	mutex_unlock(&mutex->lock);
}

struct inv_event *inv_event_new(void)
{
	struct inv_event *event = kzalloc(sizeof(*event), GFP_KERNEL);

	if (event)
		init_waitqueue_head(&event->queue);
	return event;
}

void inv_event_free(struct inv_event *event)
{
	kfree(event);
}

u32 inv_event_count(struct inv_event *event)
{
	return atomic_read(&event->count);
}

void inv_event_happen(struct inv_event *event)
{
	atomic_inc(&event->count);
	wake_up_all(&event->queue);
}

int inv_event_wait(struct inv_event *event, u32 seen, u32 milliseconds)
{
	long left = wait_event_interruptible_timeout(event->queue,
						     inv_event_count(event) != seen,
						     msecs_to_jiffies(milliseconds));

	if (left > 0)
		return 0;
	return left ? -EINTR : -ETIMEDOUT;
}
