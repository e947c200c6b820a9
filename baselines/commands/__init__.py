"""Sub-commands of gi-bench that make, cost and study variants, one file each."""
