"""Scripts that make data which is shipped."""
