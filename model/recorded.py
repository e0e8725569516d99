"""Passes that write a token of every answer, recorded once as CUDA graphs and then played.

Of such a pass a GPU computes little and is told much: about a thousand commands one by one, which take longer to send than to
carry out. A graph is sent as one (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). Its shapes and addresses
are fixed: so passes are rounded up to a few shapes, what differs from pass to pass lies in tensors of the graph's own, and all
of them are forgotten when keys and values move.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
import torch

from model.modeling import JnanaForConditionalGeneration
from model.packed import PackedModel, Piece, Slots, Step, doubled

WIDTH_STEP = 256
"""Tokens by which what a graph looks at grows: less would be recorded more often, more would be read for nothing."""
RECORD_AT = 8
"""Passes of the same shape after which it is recorded, which takes as long as a few of them."""
DIFFERENCE = 0.05
"""Most that a graph's logits may be off from those of the pass itself, of the largest of them; rounding in bf16 is a tenth of
that, and a graph that computes something else is nowhere near."""

Compute = Callable[[], torch.Tensor]
Record = Callable[[Compute], Compute]
"""Takes a computation, and gives back what does it again with what is in the same tensors then."""

log = structlog.get_logger(__name__)


class Shape(NamedTuple):
    """Of a pass: how many tokens, in the first so many rows, of the first so many tokens each."""

    answers: int
    rows: int
    width: int

    @classmethod
    def around(cls, pieces: Sequence[Piece]) -> Shape:
        width = max(piece.end for piece in pieces)
        rows = max(piece.row for piece in pieces) + 1
        return cls(doubled(len(pieces)), doubled(rows), -(-width // WIDTH_STEP) * WIDTH_STEP)


class CudaGraphs:
    """Records on a GPU. Graphs share the memory for what lies between: only one of them is played at a time."""

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def __call__(self, compute: Compute) -> Compute:
        graph = torch.cuda.CUDAGraph()
        # The outer stream: if recording fails, torch goes on with the inner one. thread_local: other threads look at pictures
        # and listen meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream(self._stream.device)),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            result = compute()

        def play() -> torch.Tensor:
            graph.replay()
            return result

        return play


class Recording:
    """A pass of one shape, over one memory of keys and values."""

    def __init__(self, model: PackedModel, memory: torch.Tensor, shape: Shape, hidden: torch.Tensor, record: Record) -> None:
        """`hidden`: (tokens, hidden), for its width and kind."""
        self._embedded = hidden.new_zeros(shape.answers, hidden.shape[1])
        self._where = torch.zeros(2, shape.answers, dtype=torch.int64, device=hidden.device)
        _, _, rows, _, capacity, _ = memory.shape
        top, width = min(shape.rows, rows), min(shape.width, capacity)

        def compute() -> torch.Tensor:
            step = Step(memory, self._where[0], self._where[1], top, width, ())
            return model.compute(step, self._embedded, slice(None))

        self._play = record(compute)

    def play(self, pieces: Sequence[Piece], embedded: torch.Tensor) -> torch.Tensor:
        """As PackedModel.forward. Places that are left over compute the first answer once more, to the same end."""
        count = len(pieces)
        padded = [*pieces, *[pieces[0]] * (len(self._embedded) - count)]
        self._where.copy_(torch.tensor([[piece.row for piece in padded], [piece.past for piece in padded]]))
        self._embedded[:count] = embedded
        self._embedded[count:] = embedded[0]
        return self._play()[:count].clone()


class _OfSlots:
    """What was met and recorded over one memory."""

    def __init__(self, memory: torch.Tensor) -> None:
        self.memory = memory
        self.met: Counter[Shape] = Counter()
        self.recordings: dict[Shape, Recording] = {}


class RecordedModel(PackedModel):
    """A language model for steps that plays what it met before, once that was seen to give the same."""

    def __init__(self, model: JnanaForConditionalGeneration, record: Record) -> None:
        super().__init__(model)
        self._record: Record | None = record
        self._of: weakref.WeakKeyDictionary[Slots, _OfSlots] = weakref.WeakKeyDictionary()

    def forward(self, slots: Slots, pieces: Sequence[Piece], embedded: torch.Tensor) -> torch.Tensor:
        known = self._of.get(slots)
        if known is None or known.memory is not slots.memory:
            known = self._of[slots] = _OfSlots(slots.memory)
        if self._record is None or pieces[-1].count > 1:
            return super().forward(slots, pieces, embedded)
        shape = Shape.around(pieces)
        if (recording := known.recordings.get(shape)) is not None:
            return recording.play(pieces, embedded)
        logits = super().forward(slots, pieces, embedded)
        known.met[shape] += 1
        if known.met[shape] == RECORD_AT:
            with contextlib.suppress(torch.OutOfMemoryError):  # it goes on as before
                self._try(self._record, known, shape, pieces, embedded, logits)
        return logits

    def _try(
        self,
        record: Record,
        known: _OfSlots,
        shape: Shape,
        pieces: Sequence[Piece],
        embedded: torch.Tensor,
        logits: torch.Tensor,
    ) -> None:
        """Record it and play it: it must give the same `logits`, or nothing is recorded any more."""
        try:
            recording = Recording(self, known.memory, shape, embedded, record)
            played = recording.play(pieces, embedded)
            off = float((played - logits).abs().max() / logits.abs().max())
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._record = None
            log.warning("passes cannot be recorded", error=str(error))
            return
        if off < DIFFERENCE:
            known.recordings[shape] = recording
            return
        self._record = None
        log.warning("recorded passes differ", off=off, **shape._asdict())
