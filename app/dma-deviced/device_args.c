/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cbdma_hw.h"
#include "device_args.h"
#include "dm_cbdma.h"

#define MAX_TEXT 256

const char device_help[] =
	"cbdma[,KEY=VALUE]...  Intel QuickData 3.x (CBDMA, I/OAT)\n"
	"    version=3.0 ... 3.4    CBVER; default 3.4\n"
	"    channels=1 ... 4       default 1, as on all real parts\n"
	"    xfercap=12 ... 31      logarithm of the longest transfer; default 20 (1 MB)\n"
	"    id=0xNNNN              PCI device id; default that of a part with this version:\n"
	"                           0x3430 (3.0, 3.1), 0x6f20 (3.2), 0x6f50 (3.3), 0x0b00 (3.4)\n"
	"    doorbell-bar=on|off    offer the doorbells on BAR 2 as memory to be mapped, for\n"
	"                           dma_cbdma's socket=; default off: no real part has it\n"
	"    reorder=on|off         run descriptors that no fence keeps apart last to first\n"
	"    quiet-errors=on|off    errors show in registers only, not in the completion word\n";

static int
parse_number(const char *value, unsigned long min, unsigned long max, unsigned long *number)
{
	char *end;

	if (!isdigit((unsigned char)value[0]))
		return -EINVAL;
	errno = 0;
	*number = strtoul(value, &end, 0);
	return errno != 0 || *end != '\0' || *number < min || *number > max ? -EINVAL : 0;
}

static int
parse_switch(const char *value, bool *on)
{
	*on = strcmp(value, "on") == 0;
	return *on || strcmp(value, "off") == 0 ? 0 : -EINVAL;
}

/* @return NULL, or what the key takes. */
static const char *
parse_cbdma(const char *key, const char *value, struct dm_cbdma_config *config)
{
	unsigned long number = 0;

	if (strcmp(key, "version") == 0) {
		if (strlen(value) != 3 || strncmp(value, "3.", 2) != 0 || value[2] < '0' ||
				value[2] > '4')
			return "3.0 to 3.4";
		config->version = CBDMA_VER_3_0 + (value[2] - '0');
	} else if (strcmp(key, "channels") == 0) {
		if (parse_number(value, 1, DM_CBDMA_MAX_CHANNELS, &number) != 0)
			return "1 to 4";
		config->channels = number;
	} else if (strcmp(key, "xfercap") == 0) {
		if (parse_number(value, CBDMA_XFERCAP_MIN, 31, &number) != 0)
			return "12 (4 KB) to 31 (2 GB)";
		config->xfercap = number;
	} else if (strcmp(key, "id") == 0) {
		if (parse_number(value, 1, 0xfffe, &number) != 0)
			return "a number of 16 bits";
		config->device_id = number;
	} else if (strcmp(key, "doorbell-bar") == 0) {
		if (parse_switch(value, &config->doorbell_bar) != 0)
			return "on or off";
	} else if (strcmp(key, "reorder") == 0) {
		if (parse_switch(value, &config->reorder) != 0)
			return "on or off";
	} else if (strcmp(key, "quiet-errors") == 0) {
		if (parse_switch(value, &config->quiet_errors) != 0)
			return "on or off";
	} else {
		return "nothing: there is no such key. There are version, channels, xfercap, id, "
		       "doorbell-bar, reorder and quiet-errors";
	}
	return NULL;
}

struct dm_device *
device_create(const char *text, char *error, size_t error_size)
{
	struct dm_cbdma_config config = {0};
	char copy[MAX_TEXT], *save = NULL, *item;
	struct dm_device *dev;
	const char *why;

	if (strlen(text) >= sizeof(copy)) {
		snprintf(error, error_size, "it is longer than %d characters", MAX_TEXT - 1);
		return NULL;
	}
	strcpy(copy, text);
	item = strtok_r(copy, ",", &save);
	if (item == NULL || strcmp(item, "cbdma") != 0) {
		snprintf(error, error_size, "there is no device \"%s\"; there is cbdma",
			item == NULL ? "" : item);
		return NULL;
	}
	while ((item = strtok_r(NULL, ",", &save)) != NULL) {
		char *value = strchr(item, '=');

		if (value != NULL)
			*value++ = '\0';
		why = parse_cbdma(item, value == NULL ? "" : value, &config);
		if (why != NULL) {
			snprintf(error, error_size, "%s takes %s", item, why);
			return NULL;
		}
	}
	dev = dm_cbdma_create(&config, &why);
	if (dev == NULL)
		snprintf(error, error_size, "%s", why);
	return dev;
}

int
device_inject(struct dm_device *dev, const char *text, char *error, size_t error_size)
{
	struct dm_cbdma_fault fault;
	unsigned int channel = 0;
	const char *why;

	if (isdigit((unsigned char)text[0]) && text[1] == ':') {
		channel = text[0] - '0';
		text += 2;
	}
	if (dm_cbdma_fault_parse(text, &fault, &why) != 0) {
		snprintf(error, error_size, "%s", why);
		return -EINVAL;
	}
	if (dm_cbdma_inject(dev, channel, &fault) != 0) {
		snprintf(error, error_size, "there is no channel %u", channel);
		return -EINVAL;
	}
	return 0;
}
