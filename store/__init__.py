"""Rows: the tables, the one way to write, and what turns rows into values and back."""
