"""Everything about the build stands in pyproject.toml; this refuses to build from a checkout without links."""

import runpy
import sys
from pathlib import Path

from setuptools import setup

# A build would not fail, but make a package without its rooms.
problem = runpy.run_path(str(Path(__file__).parent / "gi_bench" / "links.py"))["problem"]()
if problem is not None:
    sys.exit(f"error: {problem}")
setup()
