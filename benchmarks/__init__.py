"""One script a claim. Each prints a Markdown table; docs/results/ keeps what was seen, with command and machine."""
