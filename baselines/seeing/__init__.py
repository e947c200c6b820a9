"""Format apart from seeing: what a network shows of a place in words, in regions, and in its features alone."""
