"""Challenge files out of stored runs, and the checks they must pass."""

if __name__ != "gi_bench.submissions":  # Under a second name every module would exist twice.
    raise ImportError(f"{__name__} is a part of gi-bench: import gi_bench.submissions")
