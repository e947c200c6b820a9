"""Studies over the variants: which trainings answer which claim, and how they are made."""
