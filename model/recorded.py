"""Passes that write a token of every answer, recorded once as CUDA graphs and then played.

Of such a pass a GPU computes little and is told much: about a thousand commands one by one, which take longer to send than to
carry out. A graph is sent as one (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). Its shapes and addresses
are fixed: so passes are rounded up to a few shapes, what differs from pass to pass lies in tensors of the graph's own, and all
of them are forgotten when keys and values move.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog
import torch

from model.modeling import JnanaForConditionalGeneration
from model.packed import PackedModel, Piece, Slots, Span, Step, doubled

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
    """Records on a GPU. All graphs share a stream and the memory for what lies between: only one is played at a time, and its
    result is copied before the next."""

    def __init__(self, device: torch.device) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._first: torch.cuda.CUDAGraph | None = None
        """Kept, for a pool that has no graph left is no pool any more to the next one."""

    def __call__(self, compute: Compute) -> Compute:
        graph = torch.cuda.CUDAGraph()
        # The outer stream: if recording fails, torch goes on with the inner one. thread_local: other threads listen meanwhile.
        with (
            torch.cuda.stream(torch.cuda.current_stream(self._stream.device)),
            torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
        ):
            result = compute()
        self._first = self._first or graph

        def play() -> torch.Tensor:
            graph.replay()
            return result

        return play


class Recording:
    """A pass of one shape, over one memory of keys and values."""

    def __init__(
        self,
        model: PackedModel,
        memory: torch.Tensor,
        shape: Shape,
        pieces: Sequence[Piece],
        embedded: torch.Tensor,
        record: Record,
    ) -> None:
        """`pieces`, `embedded`: a pass of that shape, which is computed once more."""
        self._embedded = embedded.new_zeros(shape.answers, embedded.shape[1])
        self._where = torch.zeros(2, shape.answers, dtype=torch.int64, device=embedded.device)
        _, _, rows, _, capacity, _ = memory.shape
        top, width = min(shape.rows, rows), min(shape.width, capacity)

        def compute() -> torch.Tensor:
            step = Step(memory, self._where[0], self._where[1], [Span(0, top, width)], ())
            return model.compute(step, self._embedded, slice(None))

        self._fill(pieces, embedded)
        compute()  # kernels are loaded and chosen at their first call with a shape, which a recording does not allow
        self._play = record(compute)

    def play(self, pieces: Sequence[Piece], embedded: torch.Tensor) -> torch.Tensor:
        """As PackedModel.forward."""
        self._fill(pieces, embedded)
        return self._play()[: len(pieces)].clone()

    def _fill(self, pieces: Sequence[Piece], embedded: torch.Tensor) -> None:
        """Places that are left over compute the first answer once more, to the same end."""
        count = len(pieces)
        padded = [*pieces, *[pieces[0]] * (len(self._embedded) - count)]
        self._where.copy_(torch.tensor([[piece.row for piece in padded], [piece.past for piece in padded]]))
        self._embedded[:count] = embedded
        self._embedded[count:] = embedded[0]


class _OfMemory:
    """What was met and recorded over one memory, which this does not keep: it may be all that there is room for."""

    def __init__(self, memory: torch.Tensor) -> None:
        self.memory = weakref.ref(memory)
        self.met: Counter[Shape] = Counter()
        self.recordings: dict[Shape, Recording] = {}


class RecordedModel(PackedModel):
    """A language model for steps that plays what it met before, once that was seen to give the same."""

    def __init__(self, model: JnanaForConditionalGeneration, record: Record) -> None:
        super().__init__(model)
        self._record: Record | None = record
        self._known: weakref.WeakKeyDictionary[Slots, _OfMemory] = weakref.WeakKeyDictionary()
        self._plays = False

    def forward(self, slots: Slots, pieces: Sequence[Piece], embedded: torch.Tensor) -> torch.Tensor:
        known = self._known.get(slots)
        if known is None or known.memory() is not slots.memory:
            known = self._known[slots] = _OfMemory(slots.memory)
        if self._record is None or pieces[-1].count > 1:
            return super().forward(slots, pieces, embedded)
        shape = Shape.around(pieces)
        if (recording := known.recordings.get(shape)) is not None:
            return recording.play(pieces, embedded)
        logits = super().forward(slots, pieces, embedded)
        known.met[shape] += 1
        if known.met[shape] == RECORD_AT and (recording := self._recorded(slots, shape, pieces, embedded)) is not None:
            if self._gives(recording, pieces, embedded, logits):
                known.recordings[shape] = recording
            else:  # what it wrote into the memory is as wrong
                return super().forward(slots, pieces, embedded)
        return logits

    def _recorded(self, slots: Slots, shape: Shape, pieces: Sequence[Piece], embedded: torch.Tensor) -> Recording | None:
        """None: there is no room now, or it cannot be done, and is not tried any more."""
        assert self._record is not None  # noqa: S101 - asked before
        try:
            return Recording(self, slots.memory, shape, pieces, embedded, self._record)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            self._record = None
            log.warning("passes cannot be recorded", error=str(error))
            return None

    def _gives(self, recording: Recording, pieces: Sequence[Piece], embedded: torch.Tensor, logits: torch.Tensor) -> bool:
        """Whether it gives these logits when it is played; if not, nothing is recorded any more."""
        played = recording.play(pieces, embedded)
        off = float((played - logits).abs().max() / logits.abs().max())
        if not off < DIFFERENCE:
            self._record = None
            log.warning("recorded passes differ", off=off)
            return False
        if not self._plays:
            self._plays = True
            log.info("passes are played from recordings", off=off)
        return True
