"""What is reached with the reference in hand, through a model's own channels."""
