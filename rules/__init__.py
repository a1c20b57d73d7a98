"""Policy: what an organisation decided, as files."""
