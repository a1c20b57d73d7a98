"""Reading for people: lists in pages, and everything about one thing. Nothing here writes."""
