"""Finished runs in the formats of other tools, out of stored files alone.

What a format has no place for (n, intervals, notes, the suite's fingerprint) goes into its metadata, so that a number
is nowhere without what belongs to it. Dates are those of the run: the same run gives the same bytes.
"""
