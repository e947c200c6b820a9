"""Review sheets: pages on which experts rate explanations or masks, and which send nothing anywhere."""
