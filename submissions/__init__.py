"""Challenge files out of stored runs, and the checks they must pass."""
