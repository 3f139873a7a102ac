// SPDX-License-Identifier: GPL-2.0-only
/*
 * An agent as somebody writes it who has docs/abi.md and nothing else: no header of any driver. The same file makes the
 * 64-bit and the 32-bit program.
 *
 *   agent DISK [STEP [data]]
 *
 * Each step is told as a line when it is done: opened, registered, started, barrier, waiting, got. At STEP it goes on
 * when a line, or the end of the input, comes. "waiting" and "barrier" are left out unless they are STEP. Then the disk
 * is tagged, drained to the end ("change OFFSET LENGTH", "tag TEXT", "commit") and stopped. With data, the driver captures
 * it, and the blocks that have it ("stream") are read where they are mapped. A request that fails is told as "error NAME
 * ERRNO", and the exit code is 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define PROCESS_START_NOTIFY		0x4004fe02u
#define SERVICE_SHUTDOWN_NOTIFY		0x4004fe03u
#define COMMIT_DIRTY_BLOCKS_TRANS	0x4090fe05u
#define START_FILTERING_DEVICE_V2	0x5120fe1fu
#define STOP_FILTERING_DEVICE		0x4080fe00u
#define IOBARRIER_TAG_VOLUME		0xc048fe34u
#define CREATE_BARRIER_ALL		0xc02cfe35u
#define WAIT_FOR_DB_V2			0x4084fe42u
#define GET_DIRTY_BLOCKS_TRANS_V2	0xdff0fe48u

#define FLAG_TIMESTAMP_ONLY		0x20u
#define FLAG_STREAM			0x10u
#define FLAG_RESYNC_REQUIRED		0x80000000u
#define TAG_USER			5
#define TAG_LONG			1

static const char *step;
static int device;

/* Fields of a structure at their offsets. */
static void put32(char *at, uint32_t value)
{
	memcpy(at, &value, 4);
}

static void put64(char *at, uint64_t value)
{
	memcpy(at, &value, 8);
}

static uint32_t get32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return value;
}

static uint64_t get64(const char *at)
{
	uint64_t value;

	memcpy(&value, at, 8);
	return value;
}

static void put_pointer(char *at, const void *pointer)
{
	put64(at, (uintptr_t)pointer);
}

static void reach(const char *name)
{
	int byte;

	printf("%s\n", name);
	fflush(stdout);
	if (!step || strcmp(step, name) != 0)
		return;
	do {
		byte = getchar();
	} while (byte != '\n' && byte != EOF);
}

static void fail(const char *what, int error)
{
	printf("error %s %d\n", what, error);
	fflush(stdout);
	exit(1);
}

static void request(const char *name, uint32_t word, char *argument)
{
	if (ioctl(device, word, argument) < 0)
		fail(name, errno);
}

static void start(const char *disk)
{
	static char info[4640];

	put32(info, 2);
	strncpy(info + 4, disk, 255);
	put32(info + 4368, 512);
	strcpy(info + 4384, "c-agent");
	request("START_FILTERING_DEVICE_V2", START_FILTERING_DEVICE_V2, info);
}

/* One tag on all disks, none of which is listed as held. */
static void tag(void)
{
	static char input[72], name[258];
	const char text[] = "from C";
	const uint16_t length = sizeof(text) - 1;

	put32(input, 4);
	put32(input + 8, 1);
	put32(input + 12, 1000);
	memset(input + 16, 'c', 36);
	put_pointer(input + 64, name);
	memcpy(name, &length, 2);
	memcpy(name + 2, text, length);
	request("IOBARRIER_TAG_VOLUME", IOBARRIER_TAG_VOLUME, input);
}

static void barrier(void)
{
	static char input[44];

	memset(input, 'b', 36);
	put32(input + 36, 300);
	request("CREATE_BARRIER_ALL", CREATE_BARRIER_ALL, input);
}

static void wait_for(const char *disk)
{
	static char input[132];

	strncpy(input, disk, 127);
	put32(input + 128, 60);
	request("WAIT_FOR_DB_V2", WAIT_FOR_DB_V2, input);
}

static void print_tags(const char *record, const char *end)
{
	while (end - record >= 8) {
		uint16_t kind, length;
		uint32_t whole = (unsigned char)record[3], header = 4;

		memcpy(&kind, record, 2);
		if (kind != TAG_USER)
			return;
		if (record[2] & TAG_LONG) {
			whole = get32(record + 4);
			header = 8;
		}
		memcpy(&length, record + header, 2);
		if (whole < header + 2 + length || whole > (size_t)(end - record))
			fail("tag", 0);
		printf("tag %.*s\n", (int)length, record + header + 2);
		record += whole;
	}
}

static int is(const char *record, const char *name)
{
	return memcmp(record, name, 4) == 0;
}

/* The bytes of a record behind its name, count and flags, without a change's data. */
static uint32_t body(const char *record)
{
	if (is(record, "SVD1"))
		return 128;
	if (is(record, "LODC"))
		return 8;
	if (is(record, "USER"))
		return get32(record + 8);
	if (!is(record, "TFV2") && !is(record, "DDV2") && !is(record, "TLV2"))
		fail("record", record[0]);
	return 20;
}

static void print_stream(const char *at, uint32_t bytes)
{
	const char *end = at + bytes;
	uint32_t size;

	printf("stream\n");
	if (!is(at, "DRTL"))
		fail("stream", at[0]);
	for (at += 4; at < end; at += size) {
		size = 12 + body(at);
		if (is(at, "USER"))
			printf("tag %.*s\n", (int)get32(at + 8), at + 12);
		if (is(at, "DDV2")) {
			printf("change %llu %lu\n", (unsigned long long)get64(at + 16),
			       (unsigned long)get32(at + 12));
			size += get32(at + 12);
		}
	}
	if (at != end)
		fail("stream", (int)(at - end));
}

static void print_block(const char *block)
{
	uint32_t flags = get32(block + 32), changes = get32(block + 16), index;

	if (flags & FLAG_RESYNC_REQUIRED)
		fail("block", (int)(flags & 0xff));
	if (flags & FLAG_STREAM) {
		print_stream((const char *)(uintptr_t)get64(block + 56), get32(block + 48));
		return;
	}
	if (changes > 204)
		fail("block", (int)(flags & 0xff));
	for (index = 0; index < changes; index++)
		printf("change %llu %lu\n", (unsigned long long)get64(block + 4096 + 8 * index),
		       (unsigned long)get32(block + 5728 + 4 * index));
	print_tags(block + 576, block + 4096);
}

static void commit(const char *disk, uint64_t transaction)
{
	static char input[144];

	strncpy(input, disk, 127);
	put64(input + 128, transaction);
	request("COMMIT_DIRTY_BLOCKS_TRANS", COMMIT_DIRTY_BLOCKS_TRANS, input);
	printf("commit\n");
}

static void drain(const char *disk)
{
	static char block[8176];
	uint32_t flags;

	do {
		request("GET_DIRTY_BLOCKS_TRANS_V2", GET_DIRTY_BLOCKS_TRANS_V2, block);
		flags = get32(block + 32);
		print_block(block);
		reach("got");
		commit(disk, get64(block));
	} while (!(flags & FLAG_TIMESTAMP_ONLY));
}

static void stop(const char *disk)
{
	static char name[128];

	strncpy(name, disk, 127);
	request("STOP_FILTERING_DEVICE", STOP_FILTERING_DEVICE, name);
	reach("stopped");
}

int main(int count, char **arguments)
{
	static char flags[4];
	const char *disk;

	if (count < 2)
		return 2;
	disk = arguments[1];
	step = count > 2 ? arguments[2] : NULL;
	device = open("/dev/involflt", O_RDWR | O_CLOEXEC);
	if (device < 0)
		fail("open", errno);
	reach("opened");
	request("PROCESS_START_NOTIFY", PROCESS_START_NOTIFY, flags);
	reach("registered");
	if (count > 3)
		request("SERVICE_SHUTDOWN_NOTIFY", SERVICE_SHUTDOWN_NOTIFY, flags);
	start(disk);
	reach("started");
	if (step && strcmp(step, "barrier") == 0) {
		barrier();
		reach("barrier");
	}
	if (step && strcmp(step, "waiting") == 0) {
		printf("waiting\n");
		fflush(stdout);
		wait_for(disk);
	}
	tag();
	drain(disk);
	stop(disk);
	return 0;
}
