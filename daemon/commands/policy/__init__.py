"""``triagectl policy``: what the organisation decided."""
