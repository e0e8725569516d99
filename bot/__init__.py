"""What people touch: platforms, people, memory. Never imports torch, transformers or model/ (see docs/decisions.md)."""
