"""Sphinx settings. `make docs` builds with warnings as errors."""

from importlib.metadata import version

project = "simple-websocket"
author = "The simple-websocket authors"
project_copyright = "The simple-websocket authors"
release = version = version("simple-websocket")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]

# The docstrings name code in single backticks.
default_role = "code"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Some signatures have 15 parameters: one per line.
maximum_signature_line_length = 90

html_theme = "furo"
html_title = f"simple-websocket {release}"
html_copy_source = False
