/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef VFIOU_CAPS_H
#define VFIOU_CAPS_H

/**
 * @file
 *
 * Capabilities: the JSON text that client and server tell each other with VFIOU_VERSION.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vfiou_caps {
	uint64_t max_msg_fds;
	uint64_t max_data_xfer_size;
	uint64_t max_dma_maps;
	uint64_t pgsizes;
	uint64_t migration_pgsize;
	bool write_multiple;
	bool twin_socket;
};

/**
 * Read capabilities; those that the text does not name get the protocol's defaults.
 *
 * @param text
 *   size bytes, the last of which has to be NUL; size 0: no text.
 * @return 0; -EINVAL: the text is no JSON, or a capability has a value that it cannot have.
 */
int vfiou_caps_parse(const char *text, size_t size, struct vfiou_caps *caps);

/**
 * Write capabilities. The twin socket is the first file of the message.
 *
 * @return bytes written, the NUL included; 0: there is not enough room.
 */
size_t vfiou_caps_format(const struct vfiou_caps *caps, char *text, size_t size);

#endif /* VFIOU_CAPS_H */
