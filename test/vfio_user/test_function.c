/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The function that is served: configuration space, BARs, work, interrupts, memory. */

#include <fcntl.h>

#include "server_fixture.h"

/* Configuration space as a PCI core walks it. */
static void
test_config(void **state)
{
	unsigned int at, seen = 0;
	uint8_t all[4096];
	int fd = raw_client(&rig);

	(void)state;
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 4), 0x0b008086);
	assert_int_equal(raw_get(fd, CONFIG, PCI_CLASS_REVISION, 4) >> 8, 0x088000);
	assert_int_equal(raw_get(fd, CONFIG, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(raw_get(fd, CONFIG, PCI_INTERRUPT_PIN, 1), 1);
	/* BAR 0: 16 KB, 64 bit. */
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(raw_get(fd, CONFIG, PCI_BASE_ADDRESS_0, 8), 0xffffffffffffc004);
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_2, 4, UINT32_MAX);
	assert_int_equal(raw_get(fd, CONFIG, PCI_BASE_ADDRESS_2, 4), 0);
	raw_set(fd, CONFIG, PCI_BASE_ADDRESS_0, 8, 0x380fffff8000);
	assert_int_equal(raw_get(fd, CONFIG, PCI_BASE_ADDRESS_0, 8), 0x380fffff8004);
	raw_set(fd, CONFIG, PCI_VENDOR_ID, 4, 0);
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 4), 0x0b008086);
	raw_set(fd, CONFIG, PCI_COMMAND, 2, 0xffff);
	assert_int_equal(raw_get(fd, CONFIG, PCI_COMMAND, 2), 0x546);

	assert_true(raw_get(fd, CONFIG, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (at = raw_get(fd, CONFIG, PCI_CAPABILITY_LIST, 1); at != 0;
			at = raw_get(fd, CONFIG, at + 1, 1)) {
		uint8_t id = raw_get(fd, CONFIG, at, 1);

		assert_true(at >= 0x40 && at % 4 == 0);
		assert_false(seen & 1u << id);
		seen |= 1u << id;
	}
	assert_int_equal(seen,
		1u << PCI_CAP_ID_MSIX | 1u << PCI_CAP_ID_EXP | 1u << PCI_CAP_ID_PM);
	assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2), 1);
	assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_TABLE, 4), 0x2000);
	assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_PBA, 4), 0x3000);
	/* The device's own registers in extended space; the rest of it is empty. */
	raw_set(fd, CONFIG, 0x184, 4, 0x3e07);
	assert_int_equal(raw_get(fd, CONFIG, 0x184, 4), 0x3e07);
	raw_set(fd, CONFIG, 0x185, 1, 0);
	assert_int_equal(raw_get(fd, CONFIG, 0x184, 4), 0x07);
	raw_set(fd, CONFIG, 0x200, 4, UINT32_MAX);
	assert_int_equal(raw_get(fd, CONFIG, 0x200, 4), 0);
	assert_int_equal(raw_read(fd, CONFIG, 0, all, sizeof(all)), 0);
	assert_int_equal(all[0x184], 7);
	assert_int_equal(all[1], 0x80);
	raw_close(&rig, fd);
}

/* Who does not enable memory gets all ones; a reset takes all back. */
static void
test_memory_enable_and_reset(void **state)
{
	int fd = raw_client(&rig), round;

	(void)state;
	for (round = 0; round < 3; round++) {
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CBVER, 1), 0xff);
		raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x1000);
		raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CBVER, 1), 0x34);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8), 0);
		raw_set(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8, 0x1000);
		/* D3hot and back: no access in between, nothing lost. */
		raw_set(fd, CONFIG, 0xe0 + PCI_PM_CTRL, 2, 3);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CBVER, 1), 0xff);
		raw_set(fd, CONFIG, 0xe0 + PCI_PM_CTRL, 2, 0);
		assert_int_equal(raw_get(fd, BAR0, CBDMA_CHANNEL(0) + CBDMA_CHANCMP, 8), 0x1000);
		enable_msix(fd);
		if (round == 0)
			assert_int_equal(raw_command(fd, VFIOU_DEVICE_RESET, NULL, 0, NULL, 0,
						 &reply), 0);
		else if (round == 1)
			raw_set(fd, CONFIG, 0x90 + PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR);
		else {
			raw_close(&rig, fd); /* the next one finds it as new */
			fd = raw_client(&rig);
		}
		assert_int_equal(raw_get(fd, CONFIG, PCI_COMMAND, 2), 0);
		assert_int_equal(raw_get(fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2), 1);
	}
	raw_close(&rig, fd);
}

/* Registers in accesses of any size and place; the MSI-X table is memory, with no effect. */
static void
test_bar(void **state)
{
	uint8_t all[0x1000];
	uint32_t table[8], i;
	int fd = raw_client(&rig);

	(void)state;
	raw_set(fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(raw_read(fd, BAR0, 0, all, 0x100), 0);
	assert_int_equal(all[CBDMA_CBVER], 0x34);
	assert_int_equal(all[CBDMA_CHANCNT], 2);
	assert_int_equal(raw_read(fd, BAR0, 3, all, 13), 0);
	assert_int_equal(all[CBDMA_CBVER - 3], 0x34);
	assert_int_equal(raw_read(fd, BAR0, 0x2000, table, sizeof(table)), 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(table[i], i % 4 == 3 ? 1 : 0);
	for (i = 0; i < 8; i++)
		table[i] = i + 100;
	assert_int_equal(raw_write(fd, BAR0, 0x2000, table, sizeof(table)), 0);
	assert_int_equal(raw_get(fd, BAR0, 0x2014, 4), 105);
	/* Across all the borders. */
	assert_int_equal(raw_read(fd, BAR0, 0x1ff4, all, 0x100), 0);
	assert_int_equal(all[12], 100);
	assert_int_equal(all[12 + 31], 0);
	assert_int_equal(all[12 + 32], 0);
	assert_int_equal(raw_read(fd, BAR0, 0x2ffc, all, 16), 0);
	assert_int_equal(raw_write(fd, BAR0, 0x2ffc, all, 16), 0);
	raw_close(&rig, fd);
}

/* A device that really moves data, by memory of the client's, with an interrupt. */
struct work {
	int fd;
	int file;
	uint8_t *mem;
	int event;
};

#define WORK_IOVA 0x100000ull
#define WORK_SIZE 0x10000u
#define CH0	  CBDMA_CHANNEL(0)

static void
work_start(struct work *w)
{
	struct cbdma_desc *desc;

	w->fd = raw_client(&rig);
	w->file = raw_memory(WORK_SIZE);
	w->mem = mmap(NULL, WORK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, w->file, 0);
	assert_true(w->mem != MAP_FAILED);
	w->event = eventfd(0, EFD_NONBLOCK);
	assert_int_equal(raw_map(w->fd, WORK_IOVA, WORK_SIZE, 0, 3, w->file), 0);
	raw_set(w->fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	enable_msix(w->fd);
	assert_int_equal(set_irqs(w->fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, &w->event, 1), 0);

	desc = (void *)w->mem;
	desc->size = 0x1000;
	desc->control = CBDMA_DESC_COMPLETION | CBDMA_DESC_INT_EN;
	desc->src = WORK_IOVA + 0x2000;
	desc->dst = WORK_IOVA + 0x3000;
	desc->next = WORK_IOVA;
	memset(w->mem + 0x2000, 0xa5, 0x1000);
	raw_set(w->fd, BAR0, CBDMA_INTRCTRL, 1, CBDMA_INTRCTRL_MASTER_INT_EN);
	raw_set(w->fd, BAR0, CH0 + CBDMA_CHANCMP, 8, WORK_IOVA + 0x1000);
	raw_set(w->fd, BAR0, CH0 + CBDMA_CHAINADDR, 8, WORK_IOVA);
}

static void
work_end(struct work *w)
{
	raw_close(&rig, w->fd);
	assert_int_equal(raw_count_maps(), 1);
	munmap(w->mem, WORK_SIZE);
	close(w->file);
	close(w->event);
}

static void
test_work(void **state)
{
	struct work w;

	(void)state;
	work_start(&w);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(w.mem[0x3fff], 0xa5);
	assert_int_equal(*(uint64_t *)(w.mem + 0x1000), WORK_IOVA | CBDMA_CHANSTS_IDLE);
	assert_int_equal(events(w.event), 1);
	work_end(&w);
}

/* Without Bus Master Enable nothing moves, and nothing is lost. */
static void
test_bus_master(void **state)
{
	struct work w;

	(void)state;
	work_start(&w);
	raw_set(w.fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_false(dm_device_pending(rig.dev));
	assert_int_equal(dm_device_run(rig.dev, 10), 0);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_CHANSTS, 8), CBDMA_CHANSTS_ACTIVE);
	assert_int_equal(w.mem[0x3000], 0);
	raw_set(w.fd, CONFIG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(w.mem[0x3000], 0xa5);
	work_end(&w);
}

/* The pin: a level that is told once, and again after it has been unmasked. */
static void
test_pin(void **state)
{
	struct work w;
	int pin = eventfd(0, EFD_NONBLOCK);

	(void)state;
	work_start(&w);
	raw_set(w.fd, CONFIG, 0x80 + PCI_MSIX_FLAGS, 2, 0);
	assert_int_equal(set_irqs(w.fd, DATA_EVENT | TRIGGER, PIN, 0, 1, &pin, 1), 0);
	assert_int_equal(events(pin), 0);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	assert_int_equal(events(pin), 1);
	assert_int_equal(events(w.event), 0);
	assert_true(raw_get(w.fd, CONFIG, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(set_irqs(w.fd, DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, PIN, 0, 1, NULL, 0),
		0);
	assert_int_equal(events(pin), 1);
	/* Reading INTRCTRL takes it back. */
	raw_get(w.fd, BAR0, CBDMA_INTRCTRL, 1);
	assert_false(raw_get(w.fd, CONFIG, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	assert_int_equal(set_irqs(w.fd, DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK, PIN, 0, 1, NULL, 0),
		0);
	assert_int_equal(events(pin), 0);
	close(pin);
	work_end(&w);
}

/* Memory that is unmapped is not written to, not even by the completion word of a late error. */
static void
test_unmapped_is_unmapped(void **state)
{
	struct work w;

	(void)state;
	work_start(&w);
	raw_set(w.fd, BAR0, CH0 + CBDMA_CHANCTRL, 2, CBDMA_CHANCTRL_ERR_COMPLETION_EN);
	raw_set(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2, 1);
	assert_int_equal(dm_device_run(rig.dev, 10), 1);
	*(uint64_t *)(w.mem + 0x1000) = 0x77;
	assert_int_equal(raw_unmap(w.fd, WORK_IOVA, WORK_SIZE, 0), 0);
	raw_set(w.fd, BAR0, CH0 + CBDMA_CHANCMD, 1, CBDMA_CHANCMD_RESET | CBDMA_CHANCMD_SUSPEND);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_CHANERR, 4),
		CBDMA_CHANERR_CCMDERR | CBDMA_CHANERR_CMPADDERR);
	assert_int_equal(raw_get(w.fd, CONFIG, CBDMA_PCI_CHANERR_INT, 4), CBDMA_CHANERR_CCMDERR);
	raw_set(w.fd, CONFIG, CBDMA_PCI_CHANERR_INT, 4, CBDMA_CHANERR_CCMDERR);
	assert_int_equal(raw_get(w.fd, CONFIG, CBDMA_PCI_CHANERR_INT, 4), 0);
	assert_int_equal(*(uint64_t *)(w.mem + 0x1000), 0x77);
	work_end(&w);
}

/* The doorbell BAR: mapped by the client, run by an engine. */
static void
test_doorbell_bar(void **state)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = 2};
	struct work w;
	uint16_t *doorbell;
	unsigned int i;

	(void)state;
	work_start(&w);
	assert_int_equal(raw_command(w.fd, VFIOU_DEVICE_GET_REGION_INFO, &info, 32, NULL, 0,
				 &reply), 0);
	memcpy(&info, reply.data, sizeof(info));
	assert_int_equal(info.size, DM_CBDMA_DOORBELL_SIZE);
	assert_int_equal(info.flags, 7);
	assert_true(reply.fd >= 0);
	assert_int_not_equal(ftruncate(reply.fd, 0), 0); /* sealed */
	doorbell = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, reply.fd, info.offset);
	assert_true(doorbell != MAP_FAILED);
	close(reply.fd);
	__atomic_store_n(doorbell, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 5000 && events(w.event) == 0; i++)
		usleep(1000);
	assert_int_equal(w.mem[0x3fff], 0xa5);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_DMACOUNT, 2), 1);
	/* By message, too. */
	assert_int_equal(raw_get(w.fd, 2, 0, 4), 1);
	raw_set(w.fd, 2, 0, 2, 2);
	assert_int_equal(*doorbell, 2);
	munmap(doorbell, info.size);
	work_end(&w);
}

/* An event that blocks whoever writes to it: it does not, and the others come. */
static void
test_event_full(void **state)
{
	int full = eventfd(0, 0), fd = raw_client(&rig), i;

	(void)state;
	assert_int_equal(eventfd_write(full, UINT64_MAX - 1), 0);
	enable_msix(fd);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, &full, 1), 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 1, NULL, 0), 0);
	assert_int_equal(raw_get(fd, CONFIG, PCI_VENDOR_ID, 2), 0x8086);
	raw_close(&rig, fd);
	close(full);
}

/* The same while somebody fills it all the time, in the midst of a look and a write. */
static void *
keep_full(void *opaque)
{
	const int *fd = opaque;
	eventfd_t count;

	while (__atomic_load_n(&fd[1], __ATOMIC_RELAXED) != 0) {
		eventfd_read(fd[0], &count);
		eventfd_write(fd[0], UINT64_MAX - 1);
	}
	return NULL;
}

static void
test_event_race(void **state)
{
	int full[2] = {eventfd(0, EFD_NONBLOCK), 1}, fd = raw_client(&rig), i;
	pthread_t thread;

	(void)state;
	enable_msix(fd);
	assert_int_equal(set_irqs(fd, DATA_EVENT | TRIGGER, MSIX, 0, 1, full, 1), 0);
	assert_int_equal(fcntl(full[0], F_SETFL, 0), 0); /* from now on it blocks */
	assert_int_equal(eventfd_write(full[0], 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, keep_full, full), 0);
	for (i = 0; i < 3000; i++)
		assert_int_equal(set_irqs(fd, DATA_NONE | TRIGGER, MSIX, 0, 1, NULL, 0), 0);
	__atomic_store_n(&full[1], 0, __ATOMIC_RELAXED);
	fcntl(full[0], F_SETFL, O_NONBLOCK);
	/* Whatever it waits for: room, or something to read; for as long as it takes to wake up. */
	for (i = 0; i < 5000 && pthread_tryjoin_np(thread, NULL) != 0; i++) {
		eventfd_t count;

		eventfd_read(full[0], &count);
		usleep(1000);
		eventfd_write(full[0], 1);
		usleep(100);
	}
	assert_in_range(i, 0, 4999);
	raw_close(&rig, fd);
	close(full[0]);
}

/* A client that makes its file shorter while the device works on it. */
static void
test_memory_taken_away(void **state)
{
	struct work w;
	unsigned int i;

	(void)state;
	dm_guard_enable();
	work_start(&w);
	assert_int_equal(ftruncate(w.file, 0x2000), 0);
	raw_set(w.fd, 2, 0, 2, 1);
	for (i = 0; i < 5000 && raw_get(w.fd, BAR0, CH0 + CBDMA_CHANERR, 4) == 0; i++)
		usleep(1000);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_CHANERR, 4), CBDMA_CHANERR_RDERR);
	assert_int_equal(raw_get(w.fd, BAR0, CH0 + CBDMA_CHANSTS, 8), CBDMA_CHANSTS_HALTED);
	assert_true(raw_logged(&rig, "was gone when the device came for it"));
	raw_close(&rig, w.fd);
	munmap(w.mem, WORK_SIZE);
	close(w.file);
	close(w.event);
	assert_alive();
	dm_guard_disable();
}

/* Clients under load that leave without a word, over and over: nothing is left behind. */
static void
test_no_leaks(void **state)
{
	const unsigned int fds_before = raw_count_fds();
	struct work w;
	unsigned int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		work_start(&w);
		raw_set(w.fd, 2, 0, 2, 0xffff); /* goes round in circles: lots of work */
		usleep(i * 100);
		work_end(&w);
	}
	assert_int_equal(raw_count_fds(), fds_before);
	assert_int_equal(raw_count_maps(), 0);
}

int
main(void)
{
#define WITH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define WITH_DOORBELL(f) cmocka_unit_test_setup_teardown(f, setup_doorbell, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_config),
		WITH(test_memory_enable_and_reset),
		WITH(test_bar),
		WITH(test_work),
		WITH(test_bus_master),
		WITH(test_pin),
		WITH(test_unmapped_is_unmapped),
		WITH_DOORBELL(test_doorbell_bar),
		WITH(test_event_full),
		WITH(test_event_race),
		WITH_DOORBELL(test_memory_taken_away),
		WITH_DOORBELL(test_no_leaks),
	};

	return cmocka_run_group_tests_name("vfiou_function", tests, NULL, NULL);
}
