"""Numbers for people, the same in the terminal, the report and the model card."""

from __future__ import annotations

NOTHING = "–"


def count(value: float | None) -> str:
    """Whole things: 1,234,567."""
    return NOTHING if value is None else f"{value:,.0f}"


def short_count(value: float) -> str:
    """On axes and where room is scarce: 12k, 3.4M."""
    for size, least, letter in ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e3, 1e4, "k")):
        if abs(value) >= least:
            return f"{value / size:.3g}{letter}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def quantity(value: float | None) -> str:
    """A speed: three digits are enough, but no digit before the point is left out."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def loss(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def percent(value: float | None) -> str:
    """Of a part between 0 and 1."""
    return NOTHING if value is None else f"{100 * value:.3g} %" if value < 1 else "100 %"


def memory(value: float | None) -> str:
    """Of bytes."""
    if value is None:
        return NOTHING
    return f"{value / 2**30:.3g} GiB" if value >= 2**30 else f"{value / 2**20:.3g} MiB"


def flops(value: float | None) -> str:
    """A rate of arithmetic."""
    if value is None:
        return NOTHING
    for size, name in ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:.3g} FLOP/s"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 2 * 3600:
        return f"{whole / 60:.0f} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
