"""The embedded suite of rendered scenes: always there, with exact references.

``scene`` says what a picture holds, ``shapes`` where it is, ``facts`` what is true of it, ``language`` how to
ask and answer, ``render`` paints it, ``suite`` puts the splits together.
"""

from __future__ import annotations

from typing import Any


def suites() -> list[Any]:
    """Entries of the three splits, for the registry."""
    from gi_bench.harness.suites.phantom.suite import suites as entries

    return entries()
