"""One small file a way to hand over, found by name."""
