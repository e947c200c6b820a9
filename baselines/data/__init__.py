"""Training data that is made: explanations and masks."""
