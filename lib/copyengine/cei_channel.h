/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#ifndef CEI_CHANNEL_H
#define CEI_CHANNEL_H

/* Arbitration, as the calls on a handle and cyclic transfers need it. */

#include "cei_handle.h"

int cei_controller_get(struct ce_controller *controller, const struct ce_adapter_conf *given,
	struct ce_adapter_conf *conf, struct ce_queue **queues, unsigned int *nb_queues);
void cei_controller_put(struct ce_controller *controller);
void cei_channel_poll(struct ce_adapter *adapter);
void cei_channel_close(struct ce_adapter *adapter);
struct ce_stream *cei_request_hold(struct ce_adapter *adapter, struct ce_channel_request *request);
void cei_request_unhold(struct ce_channel_request *request, int status);

#endif /* CEI_CHANNEL_H */
