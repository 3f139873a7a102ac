#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# A task of the array that `cargo xtask build-matrix --executor slurm` submits: one shard.
# Arguments: the directory of all shards' results, and the command.
shards=$1
shift
exec "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --dist "$shards/$SLURM_ARRAY_TASK_ID"
