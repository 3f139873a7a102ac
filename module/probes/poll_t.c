// SPDX-License-Identifier: GPL-2.0-only
/* What a poll gives has a type of its own (4.16 and later). */
/* Decided by linux/poll.h: __poll_t */
#include <linux/poll.h>
__poll_t probe(void);
__poll_t probe(void)
{
	return EPOLLIN;
}
