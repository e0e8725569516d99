"""Products of whole numbers: weights of 8 bits with rows of 7, by torch's quantized operators.

Sums of whole numbers are the same in any order, so two libraries can take turns: fbgemm for few rows and, on a CPU with tiles
(AMX), oneDNN for many: a row gives the same product whichever it is, beside how many others, and on which CPU.
"""

from __future__ import annotations

import timeit
import warnings
from collections.abc import Sequence
from functools import cache

import torch

WEIGHT_LEVELS = 127
LEVELS, ZERO = 63, 64
"""Activations become 1 to 127: without VNNI a CPU adds two products in 16 bits, and 2 * 127 * 127 is what fits into them."""
BACKEND = "fbgemm"
"""Of torch's quantized operators: the one that is fast on x86 with and without VNNI, and takes fp32 for fp32."""
TINY = 1e-8
"""What a row of zeros is divided by."""
TILE = 16
"""Rows of one. Rows are filled up to whole ones, for oneDNN compiles a program for every number of rows that it meets."""
MANY = 16
"""Rows from which tiles are faster, by measurement (docs/results/int8.md)."""
TRIED = 64
"""Rows, and inputs and outputs, of the product by which tiles are tried."""
TOO_SLOW = 10
"""Times that fbgemm takes, from which on oneDNN has no tiles: its reference takes a hundred and more."""


def are_supported() -> bool:
    return BACKEND in torch.backends.quantized.supported_engines


class Rounded:
    """A weight (out, in), in 8 bits with a scale for each output; kept for both libraries where both are used."""

    def __init__(self, weight: torch.Tensor) -> None:
        """`weight`: fp32."""
        scales = (weight.abs().amax(1) / WEIGHT_LEVELS).clamp_min(TINY)
        levels = (weight / scales[:, None]).round().to(torch.int8)
        self._few = _Fbgemm(levels, scales)
        self._many = _OneDnn(levels, scales) if has_tiles() else self._few

    def multiply(self, *parts: torch.Tensor) -> torch.Tensor:
        """(rows, in) each, as many: whole numbers in fp32, from -LEVELS to LEVELS -> (rows of all parts, out) fp32."""
        library = self._few if len(parts) * len(parts[0]) < MANY else self._many
        return library.multiply(parts)


class _Fbgemm:
    def __init__(self, levels: torch.Tensor, scales: torch.Tensor) -> None:
        previous = torch.backends.quantized.engine
        torch.backends.quantized.engine = BACKEND
        try:
            with warnings.catch_warnings():  # such tensors will leave torch one day; the operator has no other form
                warnings.simplefilter("ignore", UserWarning)
                zeros = torch.zeros(len(scales), dtype=torch.int64)
                marked = torch._make_per_channel_quantized_tensor(levels, scales.double(), zeros, 0)
                self._packed = torch.ops.quantized.linear_prepack(marked, None)
        finally:
            torch.backends.quantized.engine = previous

    def multiply(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        rows = torch.cat(list(parts)) if len(parts) > 1 else parts[0]
        product: torch.Tensor = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(rows, 1.0, ZERO, self._packed)
        return product


class _OneDnn:
    def __init__(self, levels: torch.Tensor, scales: torch.Tensor) -> None:
        self._packed = torch.ops.onednn.qlinear_prepack(levels, None)
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int64)

    def multiply(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        count, width = len(parts) * len(parts[0]), parts[0].shape[1]
        fill = torch.zeros(-count % TILE, width, dtype=torch.int8)
        rows = torch.cat([*(part.to(torch.int8) for part in parts), fill])
        product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            *(rows, 1.0, 0, self._packed, self._scales, self._zeros),
            *(None, 1.0, 0, torch.float32, "none", [], ""),  # without a bias, into fp32, and nothing behind it
        )
        return product[:count]


@cache
def has_tiles() -> bool:
    """Whether this CPU has them for 8 bits, and oneDNN uses them. Milliseconds, once.

    It is tried: where tiles are forbidden, by the system or ONEDNN_MAX_CPU_ISA, oneDNN takes a reference that is hundreds of
    times slower, or adds up in 16 bits, which overflow.
    """
    if not (torch.backends.mkldnn.is_available() and torch.cpu.get_capabilities().get("amx_int8")):  # type: ignore[no-untyped-call]
        return False
    levels, scales = torch.full((TRIED, TRIED), WEIGHT_LEVELS, dtype=torch.int8), torch.ones(TRIED)
    rows = torch.full((TRIED, TRIED), float(LEVELS))
    few, many = _Fbgemm(levels, scales), _OneDnn(levels, scales)
    return torch.equal(many.multiply([rows]), few.multiply([rows])) and _seconds(many, rows) < TOO_SLOW * _seconds(few, rows)


def _seconds(library: _Fbgemm | _OneDnn, rows: torch.Tensor) -> float:
    """The best of three products, with one thread: two of them wait for each other where the other core is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return min(timeit.repeat(lambda: library.multiply([rows]), number=1, repeat=3))
    finally:
        torch.set_num_threads(threads)
