"""Out: what is to be told becomes bytes, and bytes are handed over."""
