"""The model variants, and how their weights and training data are made. A plugin like anybody else's."""

if __name__ != "gi_bench.baselines":  # Under a second name every module would exist twice.
    raise ImportError(f"{__name__} is a part of gi-bench: import gi_bench.baselines")
