"""Sub-commands of gi-bench, one file each; the command line mounts them by their entry points."""
