"""Use cases: the one door through which a record changes."""
