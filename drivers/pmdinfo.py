#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make the PMD_INFO_STRING= records that dpdk-pmdinfo.py looks for in a driver.

usage: pmdinfo.py AR ARCHIVE OUTPUT.c

DPDK's RTE_PMD_REGISTER_* macros leave static symbols in the driver's objects: this_pmd_nameN (a
name), and for that name __NAME_pci_tbl_export (the name of its table of PCI ids),
__NAME_kmod_dep_export and __NAME_param_string_export. DPDK's build turns them into one JSON record
a driver; so does this, for a driver that is built outside of DPDK's tree.
"""

import io
import json
import re
import struct
import subprocess
import sys

from elftools.elf.elffile import ELFFile

PCI_ID = struct.Struct("=IHHHH")  # struct rte_pci_id: class, vendor, device, subsystem's both


def symbols(data):
    """The objects (not functions) that an ELF file defines: name -> bytes."""
    elf = ELFFile(io.BytesIO(data))
    table = elf.get_section_by_name(".symtab")
    found = {}
    for symbol in table.iter_symbols() if table else []:
        if symbol["st_info"]["type"] != "STT_OBJECT" or not isinstance(symbol["st_shndx"], int):
            continue
        section = elf.get_section(symbol["st_shndx"])
        if section["sh_type"] != "SHT_NOBITS":
            start = symbol["st_value"]
            found[symbol.name] = section.data()[start : start + symbol["st_size"]]
    return found


def text(data):
    return data.split(b"\0", 1)[0].decode()


def pci_ids(table):
    ids = [PCI_ID.unpack_from(table, at) for at in range(0, len(table), PCI_ID.size)]
    return [list(pci_id[1:]) for pci_id in ids if pci_id[1] != 0]


def records(objects):
    for symbol, value in sorted(objects.items()):
        if not re.fullmatch(r"this_pmd_name\d+", symbol):
            continue
        name = text(value)
        record = {"name": name}
        for key, suffix in (("params", "param_string"), ("kmod", "kmod_dep")):
            if (exported := objects.get(f"__{name}_{suffix}_export")) is not None:
                record[key] = text(exported)
        table = objects.get(f"__{name}_pci_tbl_export")
        record["pci_ids"] = pci_ids(objects[text(table)]) if table is not None else []
        yield record


def main():
    ar, archive, output = sys.argv[1:]
    members = subprocess.check_output([ar, "t", archive], text=True).split()
    with open(output, "w", encoding="ascii") as out:
        for member in members:
            data = subprocess.check_output([ar, "p", archive, member])
            for record in records(symbols(data)):
                name = record["name"]
                string = json.dumps("PMD_INFO_STRING= " + json.dumps(record))
                out.write(f"extern const char {name}_pmd_info[];\n")
                out.write(f"const char {name}_pmd_info[] __attribute__((used)) = {string};\n")


if __name__ == "__main__":
    main()
