"""Reads free-text answers: which atomic value does a text state for a question class?"""
