"""In: listeners that take bytes, and formats that make signals of them."""
