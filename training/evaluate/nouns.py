"""Whether an answer names what a caption is about."""

from __future__ import annotations

import re
from collections.abc import Sequence


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


DETERMINERS = _set(
    "a an the this that these those some any his her its their our my your one two three four five six seven eight nine ten"
    " several many few"
)
AFTER_THE_NOUN = _set(
    "of in on at with without by for from to into onto over under near behind before after beside between above below inside"
    " outside through around against along across as like and or but while that which who whose where when is are was were has"
    " have had being made holding"
)
"""Words that end the first noun phrase of a caption."""
PORTIONS = _set(
    "bowl box bunch bottle can close-up couple cup drawing glass group herd image kind lot lump number pack pair photo picture"
    " piece pile plate portrait row set slice stack type view"
)
"""Before `of` they say how much or in what form: the thing comes after."""
NOT_PARTICIPLES = _set(
    "awning building ceiling clothing cutting duckling dumpling earring evening gosling herring icing king lightning morning"
    " painting ping pudding ring sibling sling spring starling string swing thing viking wedding wing"
)

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*|[.,;:!?()]")


def head_noun(caption: str) -> str:
    """The head of a caption's first noun phrase: its last word before a preposition, a verb or punctuation.

    'A pink flamingo.' -> 'flamingo'; 'A spider playing soccer.' -> 'spider'; 'A slice of pizza' -> 'pizza'. A rule, not a
    parser: verbs are known by -ing or by the determiner behind them. Empty for a caption without a word.
    """
    words = [word.lower() for word in _WORD.findall(caption)]
    while len(words) > 1 and words[0] in DETERMINERS and words[1][0].isalnum():  # 'Nine.' is about nine
        words = words[1:]
    phrase: list[str] = []
    for at, word in enumerate(words):
        if word in AFTER_THE_NOUN or not word[0].isalnum():
            if phrase and word == "of" and _singular(phrase[-1]) in PORTIONS and words[at + 1 :]:
                return head_noun(" ".join(words[at + 1 :]))
            break
        if phrase and word in DETERMINERS:  # 'a stethoscope lets your doctor listen'
            phrase = phrase[:-1] or phrase
            break
        if phrase and word.endswith("ing") and word not in NOT_PARTICIPLES:
            break
        phrase.append(word)
    if len(phrase) > 1 and len(phrase[-1]) == 1:  # 'the letter s': letters are found in any text
        phrase.pop()
    return "".join(phrase[-1:])


def names(answer: str, words: Sequence[str]) -> bool:
    """True if the answer holds one of the words, whole, in singular or plural."""
    forms = {form for word in words if word for form in _forms(word.lower())}
    return any(re.search(rf"(?<![\w'’]){re.escape(form)}\b", answer.lower()) for form in forms)


def _forms(word: str) -> set[str]:
    single = _singular(word)
    plurals = {f"{single}s", f"{single}es"} | ({f"{single[:-1]}ies"} if single.endswith("y") else set())
    return {word, single, *plurals}


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > len("pies"):
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
