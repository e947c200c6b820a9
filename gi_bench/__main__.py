"""The ``gi-bench`` script, and ``python -m gi_bench``."""

from __future__ import annotations

import sys

from gi_bench.links import problem


def main() -> None:
    """Run the command line; a checkout that cannot work is told in one line first."""
    line = problem()
    if line is not None:
        print(f"error: {line}", file=sys.stderr)
        sys.exit(2)
    from gi_bench.harness.cli import main as run

    run()


if __name__ == "__main__":
    main()
