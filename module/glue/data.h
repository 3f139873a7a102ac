/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INVOLFLT_DATA_H
#define INVOLFLT_DATA_H

#include <linux/bio.h>

/* The data of a bio that has completed: its vectors, and how far they were read. */
struct inv_payload {
	struct bio *bio;
	struct bvec_iter iter;
};

#endif
