"""Tools that know nothing of the desk: standard library only."""
