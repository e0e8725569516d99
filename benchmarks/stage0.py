"""Stage 0 for real: what two finished runs of the same budget came to, as a table and a picture.

    python -m benchmarks.stage0 runs/original runs/best --picture docs/images/stage0.png > docs/results/stage0.md

The original project's only figures are its anchors: a guess in the beginning, ln(51200) = 10.84 nats, and a mean of 6.67 over
its last ten logged losses after 525 steps of 2,048 tokens (phi-2's size, on RedPajama's sample).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.report import header, table
from training.history import History, read

GUESS = math.log(51_200)
ORIGINAL = 6.67
"""Nats; the original's last-ten mean."""
LAST = 10
SMOOTHED = 15
"""Steps that a smoothed curve averages over."""
WAYS = (("#c2410c", "--"), ("#0f766e", "-"))


def picture(runs: Sequence[History], to: Path) -> None:
    figure = Figure(figsize=(8, 4.2), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for run, (colour, way) in zip(runs, WAYS, strict=True):
        steps, losses = run.column("step"), run.column("loss")
        axes.plot(steps, losses, color=colour, alpha=0.18, linewidth=0.8)
        calm = np.convolve(losses, np.ones(SMOOTHED) / SMOOTHED, "valid")
        axes.plot(steps[SMOOTHED - 1 :], calm, color=colour, linestyle=way, label=f"{run.info.name}, training (smoothed)")
        held = [(one.step, one.loss) for one in run.validations]
        axes.plot(
            *zip(*held, strict=True), color=colour, marker="o", markersize=3, linestyle=":", label=f"{run.info.name}, held out"
        )
    for level, words in ((GUESS, "a guess: ln(51200) = 10.84"), (ORIGINAL, "the original's last ten: 6.67")):
        axes.axhline(level, color="#71717a", linewidth=0.8, linestyle=(0, (2, 2)))
        axes.annotate(words, (runs[0].info.total_steps, level), ha="right", va="bottom", fontsize=8, color="#52525b")
    axes.set(xlabel="step of 2,048 tokens", ylabel="loss, nats a token", ylim=(4, 11.4))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(to)


def row(run: History) -> list[str]:
    losses = run.column("loss")
    held = {one.step: one.loss for one in run.validations}
    last = max(held)
    return [
        run.info.name,
        f"{losses[0]:.2f}",
        f"{losses[-LAST:].mean():.2f}",
        *(f"{held[step]:.2f}" for step in (100, 250, last)),
        f"{run.typical('tokens_per_second') or 0:,.0f}",
        f"{100 * (run.typical('mfu') or 0):.0f} %",
        f"{run.working_seconds / 60:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("original", type=Path)
    parser.add_argument("best", type=Path)
    parser.add_argument("--picture", type=Path, required=True)
    options = parser.parse_args()
    runs = [read(options.original), read(options.best)]
    picture(runs, options.picture)
    print(header("Stage 0 for real: 525 steps of 2,048 tokens", "torch", "transformers"))
    print(f"A phi of {runs[0].info.parameters.all / 1e6:.1f} M parameters with phi-2's 51,200 rows, on two CPU cores.\n")
    head = ["recipe", "first loss", f"last {LAST}", "held out: step 100", "250", "the last", "tokens/s", "MFU", "minutes"]
    print(table(head, [row(run) for run in runs]))
    print(f"\n![Both runs' losses](../images/{options.picture.name})")


if __name__ == "__main__":
    main()
