"""Everything right of the run store: scores, comparisons, bounds and studies out of files."""
