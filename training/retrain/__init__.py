"""A new adapter out of what people taught: the data, the recipe, the run, and whether it is better."""
