"""The model variants, and how their weights and training data are made. A plugin like anybody else's."""
