"""A plan for people: a table of memory, a table of work and time, and a sentence on whether it fits."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from training.plan import UTILISATION, Plan, roomy
from training.words import flops

GB = 1e9


def tables(plan: Plan, price: float | None = None) -> tuple[Table, Table]:
    """`price`: of one GPU for an hour, in whatever currency."""
    memory = Table()
    memory.add_column(f"memory of {_each(plan)}, at the longest micro-batch")
    memory.add_column("GB", justify="right")
    for item in plan.items:
        memory.add_row(item.what, f"{item.bytes / GB:.2f}")
    memory.add_section()
    memory.add_row("together", f"{plan.memory / GB:.2f}")
    memory.add_row(f"of the {plan.gpu.name}", f"{plan.gpu.memory / GB:.2f}")
    work = Table(show_header=False)
    work.add_column(no_wrap=True)
    work.add_column()
    for row in _work(plan, price):
        work.add_row(*row)
    return memory, work


def verdict(plan: Plan) -> str:
    """Fits or not, and the changes that make it fit."""
    needed = f"{plan.memory / GB:.1f} GB"
    if not plan.changes and plan.changes is not None:
        return f"It fits: {needed} of {plan.gpu.memory / GB:.1f} GB."
    lacking = f"It does not fit: {needed} are needed and the {plan.gpu.name} has {plan.gpu.memory / GB:.1f} GB"
    if plan.changes:
        return f"{lacking}. It would with {' '.join(f'--set {change}' for change in plan.changes)}"
    return f"{lacking}, and no setting changes that. As it is, it fits on: {roomy(plan.items)}."


def _each(plan: Plan) -> str:
    return plan.gpu.name if plan.gpus == 1 else f"each of {plan.gpus} × {plan.gpu.name}"


def _work(plan: Plan, price: float | None) -> Iterator[tuple[str, str]]:
    amount, work = plan.volume, plan.work
    yield "parameters that learn", f"{plan.trained:,}"
    yield "steps", f"{amount.steps:,} of {plan.run.batch.size} examples"
    yield "tokens", f"{amount.all_tokens / 1e6:,.2f} M{', those of pictures included' if amount.pictures else ''}"
    yield "FLOPs", f"{work.model:.3g}"
    if work.hardware != work.model:
        yield "with recomputation", f"{work.hardware:.3g} (gradient checkpointing; not in the MFU)"
    yield "peak of each GPU", f"{flops(plan.gpu.peak)} ({plan.gpu.peak_source})"
    told = "as given" if plan.measured else f"ASSUMPTION: {UTILISATION:.0%} of the peak, recomputation included (--mfu)"
    yield "MFU", f"{plan.mfu:.1%} ({told})"
    yield "time", duration(plan.seconds)
    if plan.volume.pictures:
        yield "vision features on disk", f"{plan.cache_bytes / GB:.2f} GB, {plan.volume.pictures:,} pictures looked at once"
    if price is not None:
        yield "price", f"{price * plan.gpus * plan.seconds / 3600:,.2f} at {price:,.2f} a GPU and hour"
    for note in plan.notes:
        yield "note", note


def duration(seconds: float) -> str:
    """To two digits or so: it is an estimate."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:,.1f} days"
