"""What a retraining says: how far it is, how it was judged, and what can be decided."""

from __future__ import annotations

from bot.chat.place import Button, Place
from bot.retraining.trainer import Compared, Measured, Progress, Verdict
from bot.store.records import StoredRun
from bot.teaching import Said
from bot.texts import say

NAMES = {
    "what was taught and held out": "measure-held-out",
    "shapes": "measure-shapes",
    "drawings": "measure-drawings",
    "plain chat": "measure-chat",
}
"""Keys of the catalogue, by a measure's name (training/retrain/judge.py)."""

SHOWN = 3
"""Answers side by side: what fits one message of the platform that has the shortest."""
LONGEST = 200
"""Characters of one of them."""
BAR = 10
"""Characters of the bar that fills."""


def queued(run: StoredRun, examples: int) -> str:
    return say(run.language, "retrain-queued", number=run.run_id, examples=examples)


def preparing(run: StoredRun, examples: int) -> str:
    return say(run.language, "retrain-preparing", number=run.run_id, examples=examples)


def cancel_button(run: StoredRun) -> tuple[Button, ...]:
    return _buttons(run, run.language, "retrain-cancel")


def progress(run: StoredRun, now: Progress) -> str:
    """Once the last step is done it is judged, which takes minutes."""
    if now.total and now.step >= now.total:
        return say(run.language, "retrain-judging", number=run.run_id)
    part = now.step / now.total if now.total else 0.0
    filled = round(part * BAR)
    bar = "▰" * filled + "▱" * (BAR - filled)
    minutes = -1 if now.seconds_left is None else max(1, round(now.seconds_left / 60))
    loss = "–" if now.loss is None else f"{now.loss:.2f}"
    return say(
        run.language, "retrain-progress", number=run.run_id, bar=bar, percent=round(part * 100), loss=loss, minutes=minutes
    )


def verdict(run: StoredRun, judged: Verdict, place: Place) -> Said:
    """Offered, the two are shown side by side first, as many as one message holds, without telling which is which."""
    if not judged.offered:
        head = say(run.language, "retrain-not-offered", number=run.run_id)
        return Said("\n".join([head, *_measures(judged, run.language)]))
    compared = [_compared(one, _sides(run)) for one in judged.answers[:SHOWN]]
    for count in range(len(compared), 0, -1):
        shown = "\n\n".join([say(run.language, "retrain-blind", number=run.run_id), *compared[:count]])
        if place.length(shown) <= place.limit:
            picks = ("a", "b", "same")
            return Said(shown, _buttons(run, run.language, *(f"retrain-blind-{pick}" for pick in picks)))
    return revealed(run, judged, "", run.language)


def revealed(run: StoredRun, judged: Verdict, pick: str, language: str) -> Said:
    """How it was judged, and the buttons that decide; first of all which is which, if one was picked (a, b or same)."""
    new = "A" if _sides(run)[0] == "after" else "B"
    liked = "same" if pick == "same" else "new" if pick.upper() == new else "old"
    head = say(language, "retrain-better", number=run.run_id)
    if pick:
        head = say(language, "retrain-revealed", new=new, liked=liked)
    return Said("\n".join([head, *_measures(judged, language)]), _buttons(run, language, "retrain-use", "retrain-drop"))


def _buttons(run: StoredRun, language: str, *verbs: str) -> tuple[Button, ...]:
    return tuple(Button(f"{verb}:{run.run_id}", say(language, f"button-{verb}")) for verb in verbs)


def _sides(run: StoredRun) -> tuple[str, str]:
    """Which answer is A and which is B: as good as drawn, and the same when a button is pressed later."""
    return ("after", "before") if (run.run_id * 2654435761 >> 7) & 1 else ("before", "after")


def _compared(one: Compared, sides: tuple[str, str]) -> str:
    answers = {"before": one.before, "after": one.after}
    lines = [
        f"> {_cut(one.question)}",
        *(f"**{label}:** {_cut(answers[side])}" for label, side in zip("AB", sides, strict=True)),
    ]
    return "\n".join(lines)


def _measures(judged: Verdict, language: str) -> list[str]:
    return [_measure(one, language) for one in judged.measures]


def _measure(one: Measured, language: str) -> str:
    form = "{:.2f}" if one.is_loss else "{:.0%}"
    name = say(language, NAMES[one.name]) if one.name in NAMES else one.name
    return f"{'✗' if one.worse else '✓'} {name}: {form.format(one.before)} → {form.format(one.after)}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
