"""What the stages learn from: one file per format."""
