"""Captions: CIDEr-D and BLEU-4 by libraries, and how many name what the picture shows.

Two libraries, and neither is needed for anything else: pycocoevalcap 1.2, the code behind the published CIDEr figures
(BSD-2-Clause; 104 MB because its wheel carries the data of METEOR), and sacrebleu (Apache-2.0) for BLEU, because
pycocoevalcap's own BLEU file says that it is not for commercial use. With `tokenize="none"` and no smoothing both give the same
BLEU-4. Without them the other figures are there all the same.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from training.errors import TrainingError
from training.evaluate.measures import Measure, Measures, share
from training.evaluate.nouns import head_noun, names
from training.evaluate.questions import Question

PACKAGES = ("pycocoevalcap", "sacrebleu")
JAR = "tokenizer/stanford-corenlp-3.4.1.jar"
PTB_PUNCTUATION = ("''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";")
"""Tokens that the leaderboard's code drops (pycocoevalcap/tokenizer/ptbtokenizer.py)."""
LEAST_PICTURES = 2
"""CIDEr weighs a word by how few pictures' captions have it; one picture says nothing about that."""

_CLITIC = re.compile(r"(?<=[a-z])(n't|'(?:s|re|ve|ll|d|m))\b")
_TOKEN = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+(?:[-.,'/][^\W_]+)*")


def missing_packages() -> list[str]:
    """Of PACKAGES, those that are not installed."""
    return [package for package in PACKAGES if importlib.util.find_spec(package) is None]


def tokeniser() -> str:
    """Which one `tokenise` uses, for the results."""
    if _java() is not None:
        return "the PTB tokenizer of COCO's leaderboard (Stanford CoreNLP 3.4.1, by Java)"
    return (
        "a regular expression, because there is no Java: the figures come near those of COCO's leaderboard but are not the same"
    )


def noun_match(answer: str, captions: Sequence[str]) -> float:
    """1 if the answer names the head noun of one of the captions, else 0."""
    return float(names(answer, [head_noun(caption) for caption in captions]))


def measures(questions: Sequence[Question], answers: Sequence[str]) -> Measures:
    """`noun match`, and where the packages are there CIDEr-D (x 100, as tables give it) and BLEU-4 (0 to 100)."""
    named = [noun_match(answer, question.answers) for question, answer in zip(questions, answers, strict=True)]
    scores = [] if missing_packages() or len(questions) < LEAST_PICTURES else _library_scores(questions, answers)
    return {"noun match": share(named), **{name: Measure(score, len(questions)) for name, score in scores}}


def _library_scores(questions: Sequence[Question], answers: Sequence[str]) -> list[tuple[str, float]]:
    tokens = iter(tokenise([*answers, *(caption for question in questions for caption in question.answers)]))
    written = [next(tokens) for _ in answers]
    references = [[next(tokens) for _ in question.answers] for question in questions]
    return [("CIDEr-D", cider_d(written, references)), ("BLEU-4", bleu_4(written, references))]


def cider_d(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr-D x 100 (https://arxiv.org/abs/1411.5726) of texts whose tokens stand between spaces."""
    from pycocoevalcap.cider.cider import Cider

    right = {at: list(texts) for at, texts in enumerate(references)}
    mean, _ = Cider().compute_score(right, {at: [text] for at, text in enumerate(written)})
    return 100 * float(mean)


def bleu_4(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4, 0 to 100 (https://aclanthology.org/P02-1040), unsmoothed, against the reference of the closest length."""
    from sacrebleu import BLEU

    most = max(len(texts) for texts in references)
    columns = [[texts[at] if at < len(texts) else None for texts in references] for at in range(most)]
    scorer = BLEU(tokenize="none", smooth_method="none", force=True)
    return float(scorer.corpus_score(list(written), columns).score)  # type: ignore[arg-type,unused-ignore]


def tokenise(texts: Sequence[str]) -> list[str]:
    """Lower case, no punctuation, spaces between tokens."""
    lines = [" ".join(text.split()) for text in texts]
    java = _java()
    return [_by_pattern(line) for line in lines] if java is None else _by_java(java, lines)


def _java() -> tuple[str, Path] | None:
    """Java, and the jar with the tokenizer."""
    java, package = shutil.which("java"), importlib.util.find_spec("pycocoevalcap")
    jars = [Path(root, JAR) for root in (package.submodule_search_locations or [])] if package else []
    return next(((java, jar) for jar in jars if jar.is_file()), None) if java else None


def _by_pattern(text: str) -> str:
    """Words and numbers, with inner hyphens, points and commas; 's, n't and their like are tokens of their own, as in PTB."""
    return " ".join(_TOKEN.findall(_CLITIC.sub(r" \1", text.lower().replace("’", "'"))))


def _by_java(java: tuple[str, Path], lines: Sequence[str]) -> list[str]:
    """Not through pycocoevalcap's class: that one writes into its own folder."""
    program, jar = java
    command = [program, "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase"]
    done = subprocess.run(  # noqa: S603 - a program of the path and a jar of an installed package
        command, input="\n".join(lines) + "\n", capture_output=True, text=True, encoding="utf-8", check=False
    )
    found = done.stdout.split("\n")[: len(lines)]
    if done.returncode or len(found) != len(lines):
        raise TrainingError(f"The PTB tokenizer ({program}, {jar}) failed: repair Java, or take it off the PATH.")
    return [" ".join(token for token in line.split() if token not in PTB_PUNCTUATION) for line in found]
