"""The tiny Florence-2 that is shipped: its architecture, and how it was schooled."""
