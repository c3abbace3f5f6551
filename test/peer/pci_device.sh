# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# A PCI device that there is not, for DPDK's drivers. To be sourced, after test/setup.sh.

# make_pci_device ADDRESS BUILD: a folder like those in /sys/bus/pci/devices, of a CBDMA channel as Ice
# Lake has it. Sets PEER, the library to preload that has the model in its BAR (peer_device.c).
make_pci_device()
{
	local device

	make_run_dir
	device=$RUN_DIR/devices/$1
	mkdir -p "$device" "$RUN_DIR/no_driver"
	echo 0x8086 >"$device/vendor"
	echo 0x0b00 >"$device/device"
	echo 0x8086 >"$device/subsystem_vendor"
	echo 0x0000 >"$device/subsystem_device"
	echo 0x088000 >"$device/class"
	echo 0 >"$device/numa_node"
	{
		echo 0x00000000fb000000 0x00000000fb003fff 0x0000000000040200
		for _ in 1 2 3 4 5; do
			echo 0x0000000000000000 0x0000000000000000 0x0000000000000000
		done
	} >"$device/resource"
	ln -s "$RUN_DIR/no_driver" "$device/driver" # a driver it must have
	export SYSFS_PCI_DEVICES=$RUN_DIR/devices

	PEER=$RUN_DIR/libpeer_device.so
	cp "$2/test/peer/libpeer_device.so" "$PEER"
}
