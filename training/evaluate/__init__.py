"""How good a mind is, in figures that others can compare with: each beside what can be had without looking."""
