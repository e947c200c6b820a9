"""What may be wrong with a suite: images that sets share, near-duplicates, words that tell the answer."""
