"""What a person sees of a run that goes on, and what the optional loggers get."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.training.made_run import BEGAN, info, step
from training import loggers
from training.loggers import FIELDS, forward
from training.metrics import End, Event, Sample, Start, Validation
from training.progress import LINE_SECONDS, Progress
from training.runs import Hardware


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Heard:
    """A logger that remembers."""

    def __init__(self, *_: object) -> None:
        self.values: list[tuple[int, dict[str, float]]] = []
        self.texts: list[tuple[int, str, str]] = []
        self.closed = False

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.values.append((step, values))

    def text(self, step: int, name: str, text: str) -> None:
        self.texts.append((step, name, text))

    def close(self) -> None:
        self.closed = True


def shown(*, terminal: bool, hardware: Hardware | None = None, loggers: tuple[Heard, ...] = ()) -> str:
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, force_terminal=terminal, width=120, legacy_windows=False)
    with Progress("align pocket", 400, hardware or info().hardware, loggers, console=console, clock=clock) as progress:
        progress(Start(step=100, time=BEGAN, resumed_from=100))
        for number in range(101, 111):
            clock.now += LINE_SECONDS / 4
            progress(step(number))
        progress(Validation(step=110, loss=2.5))
        progress(Event(step=110, time=BEGAN, text="the [b]disk[/b] is nearly full"))
        progress(Sample(step=110, prompt="What?", expected="a bus", answer="a cat"))
        progress(End(step=110, time=BEGAN + 60, reason="interrupted"))
    return stream.getvalue()


def test_lines_where_there_is_no_terminal() -> None:
    lines = shown(terminal=False).splitlines()
    assert "312 TFLOP/s (dense bf16, its data sheet)" in lines[0]
    assert lines[1] == "resumed from the checkpoint of step 100"
    steps = [line for line in lines if line.startswith("step 1") and "loss" in line and "validation" not in line]
    assert [line.split(":")[0] for line in steps] == [
        "step 104 of 400 (26 %)",
        "step 108 of 400 (27 %)",
        "step 110 of 400 (27 %)",
    ]
    for expected in ("learning rate", "tokens/s", "examples/s", "waiting for data", "GiB at most", "MFU", "left"):
        assert expected in steps[0]
    assert "step 110: the [b]disk[/b] is nearly full" in lines
    assert lines[-1] == "step 110: interrupted"
    assert "\x1b" not in "".join(lines)


def test_display_on_a_terminal() -> None:
    screen = shown(terminal=True)
    for expected in ("110/400", "loss ", "validation 2.5000 at 110", "tokens/s", "MFU", "left"):
        assert expected in screen


def test_no_mfu_without_a_peak() -> None:
    screen = shown(terminal=False, hardware=Hardware(name="some CPU"))
    assert "its peak is not known, so MFU is not shown" in screen


def test_loggers_hear_what_they_understand_and_are_closed() -> None:
    heard = Heard()
    shown(terminal=False, loggers=(heard,))
    number, values = heard.values[0]
    assert number == 101
    assert set(values) == {f"train/{field}" for field in FIELDS}
    assert heard.values[-1] == (110, {"validation/loss": 2.5})
    assert "a cat" in heard.texts[0][2]
    assert heard.closed


def test_values_by_bucket_are_told_apart() -> None:
    heard = Heard()
    forward(Validation(step=7, loss=2.0, by_bucket={"up to 40 tokens": 3.0}), [heard])
    assert heard.values == [(7, {"validation/loss": 2.0, "validation/loss up to 40 tokens": 3.0})]


def test_logger_that_is_not_installed_is_told_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "trackio" else object())
    (told,) = loggers.missing_loggers(["tensorboard", "trackio"])
    assert told == "loggers: trackio is not installed: run `pip install trackio`, or leave it out."


def test_a_run_that_goes_on_shows_the_loss_of_one_that_never_stopped() -> None:
    def last_loss(before: int) -> str:
        stream, clock = io.StringIO(), Clock()
        console = Console(file=stream, force_terminal=False, width=120)
        losses = [step(number).loss for number in range(1, before + 1)]
        with Progress("align", 400, info().hardware, console=console, clock=clock, done=before, losses=losses) as progress:
            for number in range(before + 1, 31):
                clock.now += LINE_SECONDS
                progress(step(number))
        return next(word for word in reversed(stream.getvalue().splitlines()) if "loss" in word).partition("loss ")[2][:6]

    assert last_loss(0) == last_loss(20)
