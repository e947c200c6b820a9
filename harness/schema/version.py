"""The version of what is written to disk, and what came to it without a new one."""

from __future__ import annotations

SCHEMA_VERSION = 3
# Versions whose files are read.
READABLE_VERSIONS = (2, 3)
# Of a field that came after the first stored runs: files may lack it, and fingerprints leave out its default.
ADDED = {"added": True}
