/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/* The PCI bus's side of the driver, on a configuration space of the test's own. */

#include <bus_pci_driver.h>
#include <rte_eal.h>

#include "test_driver.h"

#define CAP	0x40 /* the PCI Express capability is here */
#define DEVCTL	(CAP + CBDMA_PCI_EXP_DEVCTL)
#define CONTROL 0x2950 /* of it, with relaxed ordering on */

static struct {
	uint16_t control;
	bool has_cap, fails_read, fails_write;
	enum rte_proc_type_t process;
	unsigned int writes;
	unsigned int created;
	uint16_t control_when_created;
} fake;

static off_t
fake_find_capability(const struct rte_pci_device *pci, uint8_t id)
{
	(void)pci;
	assert_int_equal(id, RTE_PCI_CAP_ID_EXP);
	return fake.has_cap ? CAP : 0;
}

static int
fake_read_config(const struct rte_pci_device *pci, void *value, size_t len, off_t offset)
{
	(void)pci;
	assert_int_equal(offset, DEVCTL);
	assert_int_equal(len, sizeof(fake.control));
	if (fake.fails_read)
		return -1;
	memcpy(value, &fake.control, len);
	return len;
}

static int
fake_write_config(const struct rte_pci_device *pci, const void *value, size_t len, off_t offset)
{
	(void)pci;
	assert_int_equal(offset, DEVCTL);
	assert_int_equal(len, sizeof(fake.control));
	fake.writes++;
	if (fake.fails_write)
		return -1;
	memcpy(&fake.control, value, len);
	return len;
}

static enum rte_proc_type_t
fake_process_type(void)
{
	return fake.process;
}

static int
fake_create(const char *name, struct rte_device *device, const struct cbdma_bus *bus,
		__rte_atomic uint16_t *doorbell, const struct cbdma_args *args)
{
	(void)device, (void)bus, (void)doorbell;
	assert_string_equal(name, "0000:00:04.0");
	assert_false(args->no_silent);
	fake.created++;
	fake.control_when_created = fake.control;
	return 0;
}

/* The file under test, with what is behind it replaced. */
#undef rte_pci_find_capability
#define rte_pci_find_capability fake_find_capability
#define rte_pci_read_config	fake_read_config
#define rte_pci_write_config	fake_write_config
#define rte_eal_process_type	fake_process_type
#define cbdma_create		fake_create
#include "cbdma_pci.c"

static void
probe(void)
{
	static uint8_t bar[CBDMA_CHANNEL(2)];
	struct rte_pci_device pci = {.addr = {.devid = 4}};

	pci.mem_resource[0].addr = bar;
	pci.mem_resource[0].len = sizeof(bar);
	fake.writes = fake.created = 0;
	assert_int_equal(cbdma_pci_probe(&cbdma_pci_driver, &pci), 0);
	assert_int_equal(fake.created, 1);
}

/* Off before the driver has anything to do with the device, and nothing else is changed. */
static void
test_relaxed_ordering(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.control = CONTROL;
	fake.has_cap = true;
	assert_true(CONTROL & CBDMA_PCI_EXP_DEVCTL_RELAX_EN);
	probe();
	assert_int_equal(fake.writes, 1);
	assert_int_equal(fake.control_when_created, CONTROL & ~CBDMA_PCI_EXP_DEVCTL_RELAX_EN);

	/* It is off: nothing to write. */
	probe();
	assert_int_equal(fake.writes, 0);

	/* It is the primary process's business. */
	fake.control = CONTROL;
	fake.process = RTE_PROC_SECONDARY;
	probe();
	assert_int_equal(fake.writes, 0);
	assert_int_equal(fake.control, CONTROL);
}

static void
test_relaxed_ordering_stays(void **state)
{
	char *log;

	(void)state;
	memset(&fake, 0, sizeof(fake));
	fake.control = CONTROL;
	probe(); /* no such capability */
	assert_int_equal(fake.writes, 0);

	fake.has_cap = true;
	fake.fails_read = true;
	probe();
	assert_int_equal(fake.writes, 0);

	fake.fails_read = false;
	fake.fails_write = true;
	drv_log_begin();
	probe();
	log = drv_log_end();
	assert_int_equal(fake.writes, 1);
	assert_non_null(strstr(log, "0000:00:04.0: cannot turn relaxed ordering off"));
	free(log);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relaxed_ordering),
		cmocka_unit_test(test_relaxed_ordering_stays),
	};

	return cmocka_run_group_tests_name("driver_pci", tests, drv_group_setup,
		drv_group_teardown);
}
