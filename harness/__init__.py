"""What is evaluated, how it runs, how it is scored.

The harness knows no model, no challenge file and no HTML: those reach it through entry points
(see :mod:`gi_bench.harness.registry`).
"""

if __name__ != "gi_bench.harness":  # Under a second name every module would exist twice.
    raise ImportError(f"{__name__} is a part of gi-bench: import gi_bench.harness")
