"""``triagectl outbox``: what is to be told."""
