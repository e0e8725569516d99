"""What the bot counts, by platform, in Prometheus' format: served on METRICS_PORT when that is set."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram, start_http_server

turns = Counter("jnana_bot_turns", "Turns begun.", ["platform"])
refused = Counter("jnana_bot_refused", "Messages refused, by the error's code.", ["platform", "code"])
waited = Histogram("jnana_bot_waited_seconds", "From a message until it was its turn.", ["platform"])
first_words = Histogram("jnana_bot_first_words_seconds", "From a message to the first words of its answer.", ["platform"])
final_edit = Histogram(
    "jnana_bot_final_seconds",
    "From the end of a turn until the platform shows it.",
    ["platform"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
edits = Counter("jnana_bot_edits", "Messages edited while answers grew and when they ended.", ["platform"])
floods = Counter("jnana_bot_floods", "Times that a platform's flood control said no.", ["platform"])
reconnects = Counter("jnana_bot_reconnects", "Connections to a platform that were made anew.", ["platform"])
connected = Gauge("jnana_bot_connected", "1 while the connection to a platform is up.", ["platform"])


def serve(host: str, port: int) -> None:
    """In a thread of its own, until the process ends. Raises OSError when the port is taken."""
    start_http_server(port, addr=host)
