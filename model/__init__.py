"""The mind: tensors and tokens behind an OpenAI-compatible HTTP API. Never imports bot/."""
