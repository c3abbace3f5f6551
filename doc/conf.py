# SPDX-License-Identifier: BSD-3-Clause
# sphinx-build -W doc build/doc

project = "copyengine"
author = "the copyengine authors"
copyright = "2026, the copyengine authors"
extensions = []
html_theme = "alabaster"
highlight_language = "none"
man_pages = [
    ("dma-shell", "dma-shell", "look at DMA devices, measure them, break them", "", 1),
    ("dma-deviced", "dma-deviced", "serve models of DMA copy engines as PCI functions over vfio-user", "", 8),
]
