"""Hints: what a classifier and a reader see in a picture, said in words a small language model can repeat.

The hedge (sure, unsure, nothing) is computed here: a model of 135M parameters does not read percentages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SURE = 0.5
"""Probability from which one label, or one kind of thing, is said without a hedge."""
POSSIBLE = 0.12
"""Probability from which a label is offered as a possibility; below it nothing useful is known."""
KIND_AHEAD = 1.5
"""A kind that is not sure is offered when it is this many times as probable as the best single label."""
SECOND = 0.4
"""A second label is offered when it has at least this part of the first one's probability."""
TEXT_CHARACTERS = 300
"""Longest text of a picture that is quoted, characters."""

Ranges = tuple[tuple[int, int], ...]

IMAGENET_CLASSES = 1000
PERSON = "person"
KINDS: dict[str, Ranges] = {
    "fish": ((0, 1), (389, 397)),
    "shark": ((2, 4),),
    "ray": ((5, 6),),
    "bird": ((7, 24), (80, 100), (127, 146)),
    "salamander": ((25, 29),),
    "frog": ((30, 32),),
    "turtle": ((33, 37),),
    "lizard": ((38, 48),),
    "crocodile": ((49, 50),),
    "snake": ((52, 68),),
    "spider": ((72, 77),),
    "crab": ((118, 121), (125, 125)),
    "lobster": ((122, 124),),
    "whale": ((147, 148),),
    "dog": ((151, 268),),
    "wild dog": ((269, 275),),
    "fox": ((277, 280),),
    "cat": ((281, 285),),
    "big cat": ((286, 293),),
    "bear": ((294, 297),),
    "insect": ((300, 320),),
    "butterfly": ((321, 326),),
    "rabbit": ((330, 332),),
    "pig": ((341, 343),),
    "cow": ((345, 347),),
    "sheep": ((348, 350),),
    "antelope": ((351, 353),),
    "ape": ((365, 369),),
    "monkey": ((370, 382),),
    "lemur": ((383, 384),),
    "elephant": ((385, 386),),
    "car": ((436, 436), (468, 468), (511, 511), (581, 581), (609, 609), (627, 627), (656, 656), (661, 661), (751, 751),
            (817, 817)),
    "truck": ((555, 555), (569, 569), (675, 675), (717, 717), (864, 864), (867, 867)),
    "bus": ((654, 654), (779, 779), (874, 874)),
    "train": ((466, 466), (547, 547), (565, 565), (705, 705), (820, 820), (829, 829)),
    "bicycle": ((444, 444), (671, 671)),
    "motorcycle": ((665, 665), (670, 670)),
    "boat": ((403, 403), (472, 472), (484, 484), (510, 510), (554, 554), (576, 576), (625, 625), (628, 628), (724, 724),
             (780, 780), (814, 814), (833, 833), (871, 871), (914, 914)),
    "aeroplane": ((404, 404), (895, 895), (908, 908)),
    "rocket": ((657, 657), (744, 744), (812, 812)),
    "building": ((425, 425), (442, 442), (449, 449), (483, 483), (497, 498), (538, 538), (580, 580), (663, 663), (668, 668),
                 (698, 698), (727, 727), (762, 762), (832, 832), (853, 853), (858, 858), (873, 873)),
    "landscape": ((970, 970), (972, 972), (975, 980)),
    "clock": ((409, 409), (530, 530), (892, 892)),
    "computer": ((508, 508), (527, 527), (620, 620), (664, 664), (673, 673), (681, 681), (782, 782)),
    "telephone": ((487, 487), (528, 528), (707, 707)),
    "musical instrument": ((401, 402), (420, 420), (432, 432), (486, 486), (513, 513), (541, 541), (546, 546), (558, 558),
                           (566, 566), (579, 579), (593, 594), (642, 642), (683, 684), (687, 687), (699, 699), (776, 776),
                           (822, 822), (875, 875), (881, 881), (889, 889)),
    "ball": ((429, 430), (522, 522), (574, 574), (722, 722), (768, 768), (805, 805), (852, 852), (890, 890)),
    "bottle": ((440, 440), (720, 720), (737, 737), (898, 898), (907, 907)),
    "chair": ((423, 423), (559, 559), (703, 703), (765, 765), (831, 831), (857, 857)),
    "shoe": ((502, 502), (514, 514), (630, 630), (770, 770), (774, 774)),
    "hot drink": ((504, 505), (967, 968)),
    "fruit": ((948, 957),),
    "vegetable": ((936, 946),),
    "mushroom": ((947, 947), (991, 997)),
    "food": ((924, 935), (959, 965)),
    "flower": ((985, 986),),
    PERSON: ((399, 400), (416, 416), (433, 433), (439, 439), (445, 445), (450, 450), (457, 457), (459, 459), (465, 465),
               (474, 474), (501, 501), (518, 518), (560, 560), (568, 568), (573, 573), (578, 578), (602, 602), (608, 608),
               (610, 610), (614, 614), (617, 617), (638, 639), (652, 652), (655, 655), (667, 667), (689, 689), (691, 691),
               (697, 697), (702, 702), (735, 735), (747, 747), (775, 775), (796, 796), (830, 830), (834, 834), (836, 837),
               (841, 842), (869, 869), (887, 887), (903, 903), (906, 906), (981, 983)),
}  # fmt: skip
"""Kinds of things as ranges of ImageNet-1k's class numbers. A kind can be sure where its breeds and models are not.
ImageNet has no class for people; `person` is the clothes and sports whose photos nearly always show one."""

_KIND_OF = {number: kind for kind, ranges in KINDS.items() for first, last in ranges for number in range(first, last + 1)}

CLEARER = {
    "a cat having a striped coat": "tabby cat",
    "espresso": "espresso coffee",
    "common sorrel horse": "horse",
    "missile": "rocket",
    "tights for gymnastics, a one-piece leotard, or a sport jersey": "sports jersey",
    "ruler measuring stick": "ruler",
    "keyboard space bar": "keyboard",
    "fruiting spike of a cereal plant": "ear of grain",
    "window screen": "screen",
    "drake (male duck)": "duck",
    "traffic or street sign": "street sign",
    "spiral or coil": "spiral",
    "vaulted or arched ceiling": "vaulted ceiling",
}
"""Names that people would not use, and what they would say."""


@dataclass(frozen=True)
class Recognition:
    """What a classifier makes of a picture."""

    names: tuple[str, ...]
    """Best first: one when sure, two when torn; empty when nothing useful is known."""
    sure: bool
    kind: str | None = None
    """The kind of thing that all names belong to, such as 'cat'."""


def clean(label: str) -> str:
    """A label as people would say it: without brackets and second names."""
    label = CLEARER.get(label, label)
    return re.sub(r"\s*\(.*?\)", "", label).split(" / ")[0].strip()


def recognise(probabilities: Sequence[float], labels: Mapping[int, str]) -> Recognition:
    """Decide what to say from a classifier's probabilities (one per label, summing to 1)."""
    by_name: dict[str, float] = {}
    kinds: dict[str, float] = {}
    kind_of_name: dict[str, str | None] = {}
    for number, probability in enumerate(probabilities):
        name = clean(labels[number])
        kind = _KIND_OF.get(number) if len(labels) == IMAGENET_CLASSES else None
        by_name[name] = by_name.get(name, 0.0) + probability
        kind_of_name.setdefault(name, kind)
        if kind is not None:
            kinds[kind] = kinds.get(kind, 0.0) + probability
    ranked = sorted(by_name, key=lambda name: -by_name[name])
    best = ranked[0]
    kind, kind_probability = max(kinds.items(), key=lambda item: item[1], default=(None, 0.0))
    if by_name[best] >= SURE:
        # A sure helmet is a helmet, whoever wears it.
        return Recognition((best,), sure=True, kind=kind_of_name[best] if kind_of_name[best] != PERSON else None)
    sure = kind_probability >= SURE and kind != PERSON
    if kind is not None and (sure or kind_probability >= max(2 * POSSIBLE, KIND_AHEAD * by_name[best])):
        members = [name for name in ranked if kind_of_name[name] == kind]
        return Recognition(_torn(members, by_name), sure=sure, kind=kind)
    if by_name[best] >= POSSIBLE:
        return Recognition(_torn(ranked, by_name), sure=False)
    return Recognition((), sure=False)


def _torn(ranked: Sequence[str], probability: Mapping[str, float]) -> tuple[str, ...]:
    first, *rest = ranked
    return (first, *(name for name in rest[:1] if probability[name] >= SECOND * probability[first]))


def photo_line(recognition: Recognition, place: str = "The photo") -> str:
    """What a picture shows, hedged as its recognition is. `place`: which picture, when there are several.

    Small models repeat the form of this line, so a doubt needs a sentence of its own: 'may show' comes back as 'is'.
    """
    kind = recognition.kind
    names = " or ".join(with_article(name) for name in recognition.names)
    if not names:
        return f"{place} is unclear."
    if not recognition.sure:
        return f"{place} is unclear. It might be {with_article(kind) if kind else names}."
    if kind is None or any(kind in name for name in recognition.names[:1]):
        return f"{place} shows {names}."
    return f"{place} shows {with_article(kind)}, {'' if len(recognition.names) == 1 else 'maybe '}{names}."


def text_line(lines: Sequence[str], place: str = "the photo", *, also: bool = True) -> str | None:
    """Text that was read in a picture, quoted; None when there is none. `also`: whether a line about the picture precedes."""
    if not lines:
        return None
    text = " ".join(" ".join(lines).split()).replace('"', "'")
    if len(text) > TEXT_CHARACTERS:
        text = text[:TEXT_CHARACTERS].rsplit(" ", 1)[0] + " ..."
    return f'There is {"also " if also else ""}text in {place}: "{text}"'


def with_article(name: str) -> str:
    """'a' or 'an' before names of single things; plurals and materials have none."""
    if name in _UNCOUNTED or (name.endswith("s") and not name.endswith(("ss", "us", "is"))):
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


_UNCOUNTED = frozenset(
    {"broccoli", "carbonara", "chocolate syrup", "consomme", "corn", "dough", "eggnog", "espresso coffee", "face powder"}
    | {"food", "guacamole", "hay", "ice cream", "lotion", "packaging", "rapeseed", "red wine", "sunscreen"}
    | {"toilet paper", "velvet fabric", "wool"}
)
