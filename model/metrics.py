"""What Prometheus is told at `/metrics`: how much is asked for, how long people wait, how fast answers grow."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

FIRST_TOKEN_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80)
TOKENS_PER_SECOND = (1, 2, 5, 10, 15, 20, 30, 50, 80, 120, 200, 400, 800)


class Metrics:
    """One registry a worker, so that two workers in one process (tests) do not share numbers."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "jnana_requests", "Requests answered, by route and HTTP status.", ("route", "status"), registry=self.registry
        )
        self.cancelled = Counter("jnana_requests_cancelled", "Requests whose client went away.", registry=self.registry)
        self.prompt_tokens = Counter("jnana_prompt_tokens", "Tokens read.", registry=self.registry)
        self.answer_tokens = Counter("jnana_answer_tokens", "Tokens written.", registry=self.registry)
        self.speech_seconds = Counter("jnana_speech_seconds", "Seconds of sound written down.", registry=self.registry)
        self.first_token = Histogram(
            "jnana_time_to_first_token_seconds",
            "From the request to the first token, waiting included.",
            buckets=FIRST_TOKEN_SECONDS,
            registry=self.registry,
        )
        self.tokens_per_second = Histogram(
            "jnana_tokens_per_second",
            "Speed of one answer after its first token.",
            buckets=TOKENS_PER_SECOND,
            registry=self.registry,
        )

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """A gauge that is read when Prometheus asks."""
        Gauge(f"jnana_{name}", what, registry=self.registry).set_function(value)

    def answered(self, *, tokens: int, waited: float, decode: float) -> None:
        """One answer: how many tokens, seconds until the first, seconds for the others."""
        self.answer_tokens.inc(tokens)
        if tokens:
            self.first_token.observe(waited)
        if tokens > 1 and decode > 0:
            self.tokens_per_second.observe((tokens - 1) / decode)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
