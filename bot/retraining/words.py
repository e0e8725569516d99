"""What a retraining says: how far it is, how it was judged, and what can be decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time

from bot.chat.place import Button, Place
from bot.memory import PICTURE_QUESTION
from bot.retraining.choices import TRIED_PERCENT, shown_thumbs, where
from bot.retraining.trainer import Compared, Measured, Progress, Verdict
from bot.store.records import StoredExample, StoredRun, Thumbs
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What two adapters say to a question, and what somebody wants to be said."""

    question: str
    wanted: str
    answers: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two adapters say to what people taught, and how they are liked. `counted`: where the thumbs were."""

    names: tuple[str, str]
    thumbs: tuple[Thumbs, Thumbs]
    counted: str
    answers: tuple[tuple[StoredExample, tuple[str, str]], ...]


def queued(run: StoredRun, others: int) -> str:
    """`others`: how many of its examples other communities share; the owner may not want to learn what they do."""
    return _of(run, "retrain-queued", examples=len(run.examples), others=others)


def preparing(run: StoredRun, others: int) -> str:
    """As `queued`, of one that begins now."""
    return _of(run, "retrain-preparing", examples=len(run.examples), others=others)


def cancel_button(run: StoredRun) -> tuple[Button, ...]:
    return _buttons(run, run.language, "retrain-cancel")


def progress(run: StoredRun, now: Progress) -> str:
    """Once the last step is done it is judged, which takes minutes."""
    if now.total and now.step >= now.total:
        return _of(run, "retrain-judging")
    part = now.step / now.total if now.total else 0.0
    filled = round(part * BAR)
    bar = "▰" * filled + "▱" * (BAR - filled)
    minutes = -1 if now.seconds_left is None else max(1, round(now.seconds_left / 60))
    loss = "–" if now.loss is None else f"{now.loss:.2f}"
    return _of(run, "retrain-progress", bar=bar, percent=round(part * 100), loss=loss, minutes=minutes)


def waiting(run: StoredRun, begin: time) -> str:
    return _of(run, "retrain-waiting", time=f"{begin:%H:%M}")


def failed(run: StoredRun, reason: str, *, again: bool = True) -> Said:
    """`again`: with a button that tries it once more, from its last checkpoint on."""
    buttons = _buttons(run, run.language, "retrain-again") if again else ()
    return Said(_of(run, "retrain-failed", reason=reason), buttons)


def verdict(run: StoredRun, judged: Verdict, place: Place, thumbs: Thumbs | None = None) -> Said:
    """Offered, the two are shown side by side first, as many as one message holds, without telling which is which. `thumbs`:
    what the one in use has, shown beside what was measured."""
    if not judged.offered:
        head = _of(run, "retrain-not-offered")
        return Said("\n".join([head, *_measures(judged, run.language), *_thumbs(run, thumbs, run.language)]))
    compared = [_compared(one, _sides(run), run.language) for one in judged.answers[:SHOWN]]
    shown = _fitting(_of(run, "retrain-blind"), compared, place)
    if not shown:
        return revealed(run, judged, "", run.language, thumbs)
    picks = ("a", "b", "same")
    return Said(shown, _buttons(run, run.language, *(f"retrain-blind-{pick}" for pick in picks)))


def revealed(run: StoredRun, judged: Verdict, pick: str, language: str, thumbs: Thumbs | None = None) -> Said:
    """How it was judged, and the buttons that decide; first of all which is which, if one was picked (a, b or same)."""
    new = "A" if _sides(run)[0] == "after" else "B"
    liked = "same" if pick == "same" else "new" if pick.upper() == new else "old"
    head = say(language, "retrain-better", number=run.run_id)
    if pick:
        head = say(language, "retrain-revealed", new=new, liked=liked)
    verbs = ("retrain-here", "retrain-use", "retrain-try", "retrain-drop")
    lines = [head, *_measures(judged, language), *_thumbs(run, thumbs, language)]
    return Said("\n".join(lines), _buttons(run, language, *verbs))


def side_by_side(found: Comparison, place: Place, language: str) -> str:
    """As many questions as one message holds."""
    head = compared(found, language)
    parts = [
        _answered(Asked(question_of(example), example.answer, answers), found.names, language)
        for example, answers in found.answers
    ]
    return _fitting(head, parts, place) or head


def compared(found: Comparison, language: str) -> str:
    """Which two, and how they are liked."""
    first, second = (f"**{name}** {shown_thumbs(liked)}" for name, liked in zip(found.names, found.thumbs, strict=True))
    head = say(language, "compare-head", first=first, second=second)
    return f"{head}\n{say(language, 'adapters-counted', where=where(found.counted))}"


def question_of(example: StoredExample) -> str:
    return example.question.strip() or PICTURE_QUESTION


def _of(run: StoredRun, key: str, **said: str | float) -> str:
    """A text about a run, and below it the note that it was asked for with."""
    words = say(run.language, key, number=run.run_id, **said).rstrip()
    return f"{words}\n“{_cut(run.note)}”" if run.note else words


def _answered(one: Asked, names: tuple[str, str], language: str) -> str:
    labelled = zip((say(language, "compare-wanted"), *names), (one.wanted, *one.answers), strict=True)
    return "\n".join([f"> {_cut(one.question)}", *(f"**{label}:** {_cut(said) or '–'}" for label, said in labelled)])


def _fitting(head: str, parts: Sequence[str], place: Place) -> str:
    """With as many of its parts as one message holds; "" where not even one fits."""
    for count in range(len(parts), 0, -1):
        shown = "\n\n".join([head, *parts[:count]])
        if place.length(shown) <= place.limit:
            return shown
    return ""


def _thumbs(run: StoredRun, thumbs: Thumbs | None, language: str) -> list[str]:
    if thumbs is None:
        return []
    return [say(language, "retrain-thumbs", name=run.start, up=thumbs.up, down=thumbs.down)]


def _buttons(run: StoredRun, language: str, *verbs: str) -> tuple[Button, ...]:
    return tuple(Button(f"{verb}:{run.run_id}", say(language, f"button-{verb}", percent=TRIED_PERCENT)) for verb in verbs)


def _sides(run: StoredRun) -> tuple[str, str]:
    """Which answer is A and which is B: as good as drawn, and the same when a button is pressed later."""
    return ("after", "before") if (run.run_id * 2654435761 >> 7) & 1 else ("before", "after")


def _compared(one: Compared, sides: tuple[str, str], language: str) -> str:
    """What is wanted stands above both: else nobody can tell which of two names or days is right."""
    answers = {"before": one.before, "after": one.after}
    first, second = sides
    return _answered(Asked(one.question, one.wanted, (answers[first], answers[second])), ("A", "B"), language)


def _measures(judged: Verdict, language: str) -> list[str]:
    return [_measure(one, language) for one in judged.measures]


def _measure(one: Measured, language: str) -> str:
    form = "{:.2f}" if one.is_loss else "{:.0%}"
    name = say(language, NAMES[one.name]) if one.name in NAMES else one.name
    return f"{'✗' if one.worse else '✓'} {name}: {form.format(one.before)} → {form.format(one.after)}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
