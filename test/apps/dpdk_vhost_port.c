/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

/*
 * DPDK's examples/vhost starts with a port that has VMDq only, which network cards have and none of DPDK's
 * devices in software: linked in with ld's --wrap, this says that any port has two pools of a queue each.
 */

#include <rte_ethdev.h>

int __real_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info);
int __wrap_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info);
int __real_rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx,
	struct rte_eth_conf *conf);
int __wrap_rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx,
	struct rte_eth_conf *conf);

int
__wrap_rte_eth_dev_info_get(uint16_t port, struct rte_eth_dev_info *info)
{
	const int ret = __real_rte_eth_dev_info_get(port, info);

	if (ret == 0)
		info->max_rx_queues = info->max_vmdq_pools = info->vmdq_queue_num = 2;
	return ret;
}

/* The example's queues have the port's offloads: of VLANs, which the port has not either. */
int
__wrap_rte_eth_dev_configure(uint16_t port, uint16_t rx, uint16_t tx, struct rte_eth_conf *conf)
{
	conf->rxmode = (struct rte_eth_rxmode){0};
	conf->txmode = (struct rte_eth_txmode){0};
	return __real_rte_eth_dev_configure(port, rx, tx, conf);
}
