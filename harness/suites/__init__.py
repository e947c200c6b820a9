"""Suites: fixed lists of questions and phrases with their images, reference regions and a fingerprint."""
