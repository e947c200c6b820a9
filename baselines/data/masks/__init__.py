"""Masks to train on: from text, from boxes, and refined."""
