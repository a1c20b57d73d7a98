"""A year in a minute: the composed desk lives a seeded story under a made-up clock, and is checked at each step."""
