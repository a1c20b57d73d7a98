"""The nouns of the desk: frozen values and the arithmetic on them."""
