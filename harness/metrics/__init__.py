"""Metrics as pure functions on arrays: sufficient statistics per row first, the value second."""
