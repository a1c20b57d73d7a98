"""The doors: they take bytes, have them committed, and answer."""
