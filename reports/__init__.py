"""Pages for people out of stored runs: files in, one HTML file out."""

if __name__ != "gi_bench.reports":  # Under a second name every module would exist twice.
    raise ImportError(f"{__name__} is a part of gi-bench: import gi_bench.reports")
