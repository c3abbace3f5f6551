# SPDX-License-Identifier: BSD-3-Clause
# sphinx-build -W doc build/doc

project = "copyengine"
author = "the copyengine authors"
copyright = "2026, the copyengine authors"
extensions = []
html_theme = "alabaster"
highlight_language = "none"
