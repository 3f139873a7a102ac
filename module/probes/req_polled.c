// SPDX-License-Identifier: GPL-2.0-only
/* A request whose completion is polled for has REQ_POLLED, not REQ_HIPRI (5.16 and later). */
/* Decided by linux/blk_types.h: REQ_POLLED */
#include <linux/blk_types.h>
unsigned int probe(void);
unsigned int probe(void)
{
	return (__force unsigned int)REQ_POLLED;
}
