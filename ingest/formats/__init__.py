"""One small file a format, found by name: a receipt's bytes become signals, and nothing else happens."""
