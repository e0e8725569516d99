"""What can be held against a run before anything is loaded: phi-2 takes minutes to load."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog
import torch

from model.adapters import PROJECTOR
from model.files import MANIFEST
from model.presets import get_preset
from training.config import STAGES, Align, Instruct, RunConfig, TrainingData, load
from training.data.reading import readable
from training.errors import Mistakes, TrainingError
from training.hardware import fastest_precision, memory_of_this_machine
from training.loggers import missing_loggers
from training.memory import memory, total
from training.plan import ANEW, fitting, larger
from training.resume import ROTARY, ROTARY_BEFORE, changed, deciding, differing, may_change
from training.runs import CONFIG, INFO, RunFolder

log = structlog.get_logger(__name__)

COCO = "http://images.cocodataset.org/annotations/annotations_trainval2017.zip (pictures: .../zips/train2017.zip, val2017.zip)"
PUBLISHED_AT = {
    "captions_train2017.json": COCO,
    "captions_val2017.json": COCO,
    "llava_instruct_150k.json": "https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K (pictures: COCO's)",
}
"""Data sets by their file's name, and where they are had."""
POCKET_DATA = Path("data/training/pocket")
"""Where the presets named pocket read."""


def agreed(run: RunConfig, folder: Path, processes: int) -> RunConfig:
    """In the precision that the run in `folder` was begun in, wherever it goes on; of a new one, in what is faster here.

    Raises TrainingError: the run in `folder` has other settings, or another number of processes.
    """
    if not (folder / INFO).exists():
        return run.settled(fastest_precision())
    there = RunFolder.open(folder)
    info = there.info
    if info.stage != run.stage:
        raise TrainingError(f"{folder} is a run of the stage {info.stage}, not {run.stage}: name another folder.")
    begun = load(STAGES[info.stage], folder / CONFIG, _undecided(there))
    run = run.settled(begun.computes_in)
    if refused := "; ".join(differing(deciding(begun, info.hardware.devices), deciding(run, processes))):
        raise TrainingError(f"{folder} is a run with other settings ({refused}): take those, or name another folder.")
    if others := "; ".join(changed(begun, run)):
        log.warning("the run goes on with other settings", changed=others)
    return run


def _undecided(run: RunFolder) -> list[str]:
    """What a run from before there were such keys did."""
    architecture = run.config().get("architecture")
    old = isinstance(architecture, dict) and ROTARY.partition(".")[2] not in architecture
    return [f"{ROTARY}={ROTARY_BEFORE}"] if old else []


def require_ready(run: RunConfig, processes: int = 1, *, begun: bool = False) -> None:
    """`begun`: the run goes on, in the folder that it has.

    Raises Mistakes: all that this machine or its disk lacks. Stage 0 opens its data itself, before its model is made.
    """
    missing = list(missing_loggers(run.loggers))
    if isinstance(run, Align | Instruct):
        missing += [*_machine(run), *_networks(run), *_files(run.data)]
    if _is_sized(run):
        missing += _room(run, processes, begun=begun)
    if missing:
        raise Mistakes("The run cannot begin:", list(dict.fromkeys(missing)))


def _is_sized(run: RunConfig) -> bool:
    """Whether what it takes is known before. Nobody knows it of a language model of one's own."""
    if isinstance(run, Align | Instruct):
        return torch.cuda.is_available() and run.language is None
    return True


def _room(run: RunConfig, processes: int, *, begun: bool) -> Iterator[str]:
    there = memory_of_this_machine()
    needed = total(memory(run, processes))
    if needed <= there:
        return
    has_cuda = torch.cuda.is_available()
    where = "the GPU has" if has_cuda else "this machine has"
    changes = fitting(run, there, processes)
    if changes:
        knob = f"--set {' --set '.join(changes)} makes it fit"
    else:
        knob = larger(run, processes) if has_cuda else "take a smaller architecture, or a larger machine"
    if begun and not all(may_change(change) for change in changes or ()):
        knob += f", {ANEW}"
    yield f"The run needs about {needed / 1e9:.1f} GB of memory, and {where} {there / 1e9:.1f}: {knob}."


def _machine(run: Align | Instruct) -> Iterator[str]:
    if get_preset(run.model).needs_cuda and not torch.cuda.is_available():
        yield (
            f"{run.model} is trained on an NVIDIA GPU, and none was found here: use a machine that has one, or "
            "`--set model=pocket` with the presets named pocket."
        )


def _networks(run: Align | Instruct) -> Iterator[str]:
    if run.language is not None and not (run.language / MANIFEST).is_file():
        yield f"There is no language model in {run.language}: language is the artefact of a stage 0."
    if isinstance(run, Align) and run.projector_init == "names" and run.model != "pocket":
        yield f"projector_init: names needs a tower with a classifier, which {run.model} does not have: take embeddings."
    if isinstance(run, Instruct) and (run.start is None or not (run.start / PROJECTOR).is_file()):
        where = "" if run.start is None else f", and {run.start} has none"
        yield f"Stage 2 needs a trained projector{where}: --set start=RUN/artefact of a stage 1."


def _files(data: TrainingData) -> Iterator[str]:
    sources = dict.fromkeys((*data.train, *data.validation))
    for source in sources:
        try:
            with readable(source.file), source.file.open("rb"):
                pass
        except TrainingError as error:
            yield str(error)
        if source.images is not None and not source.images.is_dir():
            yield f"There is no folder {source.images} with the pictures of {source.file}."
        if (where := PUBLISHED_AT.get(source.file.name)) and not source.file.exists():
            yield f"{source.file.name} comes from {where}."
    if any(source.file.is_relative_to(POCKET_DATA) and not source.file.exists() for source in sources):
        yield f"`jnana data pocket --to {POCKET_DATA}` makes what pocket learns from."
