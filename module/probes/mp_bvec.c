// SPDX-License-Identifier: GPL-2.0-only
/* A vector of a bio can be of more than a page (5.1 and later). */
/* Decided by linux/bvec.h: mp_bvec_iter_bvec */
#include <linux/bvec.h>
#ifndef mp_bvec_iter_bvec
#error a vector is of a page at most
#endif
