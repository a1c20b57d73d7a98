"""``triagectl incident``: incidents and service requests."""
