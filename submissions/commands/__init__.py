"""The sub-commands of ``gi-bench submit``."""
