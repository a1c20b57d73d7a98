"""``triagectl signal``: what came in, and what became of it."""
