"""``triagectl audit``: the timeline's proof."""
