/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the copyengine authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_spinlock.h>
#include <rte_telemetry.h>
#include <rte_version.h>

#include "cei_telemetry.h"

#if RTE_VERSION < RTE_VERSION_NUM(23, 3, 0, 0)
#define rte_tel_data_add_dict_uint rte_tel_data_add_dict_u64
#endif

/* All handles: telemetry has a thread of its own. */
static LIST_HEAD(, ce_adapter) handles = LIST_HEAD_INITIALIZER(handles);
static rte_spinlock_t lock = RTE_SPINLOCK_INITIALIZER;

void
cei_telemetry_add(struct ce_adapter *adapter)
{
	static uint32_t next;

	rte_spinlock_lock(&lock);
	adapter->id = ++next;
	LIST_INSERT_HEAD(&handles, adapter, link);
	rte_spinlock_unlock(&lock);
}

void
cei_telemetry_remove(struct ce_adapter *adapter)
{
	rte_spinlock_lock(&lock);
	/* One that could not be made has none. */
	if (adapter->id != 0)
		LIST_REMOVE(adapter, link);
	rte_spinlock_unlock(&lock);
}

void
ce_adapter_info_get(const struct ce_adapter *adapter, struct ce_adapter_info *info)
{
	const struct ce_queue *q = adapter->nb_queues > 0 ? adapter->queues[0] : NULL;

	memset(info, 0, sizeof(*info));
	info->dev_id = q != NULL ? q->dev_id : CE_CPU;
	info->vchan = q != NULL ? q->vchan : 0;
	info->ring_size = q != NULL ? q->dev->ring_size : adapter->conf.ring_size;
	info->channels = adapter->nb_queues;
	info->socket = adapter->context.socket;
	info->sg = adapter->context.max_sges > 1;
	info->sva = adapter->context.memory.identity;
	info->fill = adapter->context.fill;
	info->max_sges = adapter->context.max_sges;
	info->map_registers = adapter->map_registers;
	info->max_segment = adapter->context.max_segment;
	info->break_even = adapter->context.break_even;
	info->id = adapter->id;
}

#define READ(counter) __atomic_load_n(&(counter), __ATOMIC_RELAXED)

/* Nanoseconds within which a share of the transfers, in thousandths, finished. */
static uint64_t
percentile(const struct ce_counters *counters, unsigned int share)
{
	const double ns = 1E9 / rte_get_tsc_hz();
	uint64_t total = 0, sum = 0;
	unsigned int i;

	for (i = 0; i < CE_LATENCY_BUCKETS; i++)
		total += READ(counters->latency[i]);
	for (i = 0; i < CE_LATENCY_BUCKETS && total > 0; i++) {
		sum += READ(counters->latency[i]);
		if (sum * 1000 >= total * share)
			break;
	}
	/* Where the bucket ends: it is a quarter of a power of two. */
	return total == 0 ? 0 : (RTE_BIT64(i / 4 - 2) * (i % 4 + 5)) * ns;
}

void
ce_adapter_stats_get(const struct ce_adapter *adapter, struct ce_adapter_stats *stats)
{
	const struct ce_counters *counters = &adapter->context.counters;

	const struct ce_stream *s = &adapter->streams[0];
	/* Started by the fast path, and not booked yet. */
	const uint32_t fast = adapter->nb_queues == 0 ? 0 : READ(s->head) - READ(s->fast.booked);

	memset(stats, 0, sizeof(*stats));
	stats->transfers = READ(counters->transfers);
	stats->failed = READ(counters->failed);
	stats->operations = READ(counters->operations) + fast;
	stats->engine_bytes = READ(counters->engine_bytes);
	stats->cpu_bytes = READ(counters->cpu_bytes);
	stats->bytes = stats->engine_bytes + stats->cpu_bytes;
	stats->bounced = READ(counters->bounced);
	stats->waits = READ(counters->waits);
	stats->common_bytes = READ(counters->common_bytes);
	stats->common_bytes_max = READ(counters->common_bytes_max);
	stats->common_failed = READ(counters->common_failed);
	stats->sg_blocks = READ(counters->sg_blocks);
	stats->map_registers = adapter->controller != NULL ?
				       READ(counters->map_registers) :
				       adapter->map_registers - READ(adapter->budget) + fast;
	stats->latency_p50_ns = percentile(counters, 500);
	stats->latency_p99_ns = percentile(counters, 990);
	stats->latency_max_ns = percentile(counters, 1000);
}

static int
list_handles(const char *cmd, const char *params, struct rte_tel_data *data)
{
	const struct ce_adapter *adapter;

	RTE_SET_USED(cmd);
	RTE_SET_USED(params);
	rte_tel_data_start_array(data, RTE_TEL_INT_VAL);
	rte_spinlock_lock(&lock);
	LIST_FOREACH(adapter, &handles, link)
		rte_tel_data_add_array_int(data, adapter->id);
	rte_spinlock_unlock(&lock);
	return 0;
}

static void
add_stats(struct rte_tel_data *data, const struct ce_adapter *adapter)
{
	struct ce_adapter_stats stats;
	struct ce_adapter_info info;

	ce_adapter_stats_get(adapter, &stats);
	ce_adapter_info_get(adapter, &info);
	rte_tel_data_add_dict_int(data, "dev_id", info.dev_id == CE_CPU ? -1 : info.dev_id);
	rte_tel_data_add_dict_int(data, "vchan", info.vchan);
	rte_tel_data_add_dict_int(data, "channels", info.channels);
	rte_tel_data_add_dict_uint(data, "break_even", info.break_even);
#define ADD(name) rte_tel_data_add_dict_uint(data, #name, stats.name)
	ADD(transfers);
	ADD(failed);
	ADD(bytes);
	ADD(operations);
	ADD(engine_bytes);
	ADD(cpu_bytes);
	ADD(bounced);
	ADD(waits);
	ADD(common_bytes);
	ADD(common_bytes_max);
	ADD(common_failed);
	ADD(sg_blocks);
	ADD(map_registers);
	ADD(latency_p50_ns);
	ADD(latency_p99_ns);
	ADD(latency_max_ns);
#undef ADD
}

static int
show_handle(const char *cmd, const char *params, struct rte_tel_data *data)
{
	const struct ce_adapter *adapter;
	unsigned long id;
	char *end;

	RTE_SET_USED(cmd);
	if (params == NULL || *params == '\0')
		return -EINVAL;
	id = strtoul(params, &end, 0);
	if (*end != '\0')
		return -EINVAL;
	rte_tel_data_start_dict(data);
	rte_spinlock_lock(&lock);
	LIST_FOREACH(adapter, &handles, link)
		if (adapter->id == id)
			break;
	if (adapter != NULL)
		add_stats(data, adapter);
	rte_spinlock_unlock(&lock);
	return adapter == NULL ? -ENOENT : 0;
}

RTE_INIT(ce_telemetry_init)
{
	rte_telemetry_register_cmd(
		"/copyengine/handles", list_handles, "Lists the handles in use. No parameters");
	rte_telemetry_register_cmd("/copyengine/handle", show_handle,
		"Shows the counters of a handle. Parameters: int id");
}
