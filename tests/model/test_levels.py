"""Products of whole numbers are exact, whichever library makes them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from model import levels
from model.levels import LEVELS, MANY, TILE, WEIGHT_LEVELS, Rounded

CAN = torch.cpu.get_capabilities()
pytestmark = pytest.mark.skipif(not levels.are_supported(), reason="this CPU has no such operators")


@pytest.mark.parametrize(
    "tiles",
    [
        pytest.param(True, marks=pytest.mark.skipif(not CAN.get("avx512_vnni"), reason="oneDNN adds in 16 bits here")),
        False,
    ],
)
def test_many_rows_are_multiplied_as_exactly_as_few(monkeypatch: pytest.MonkeyPatch, tiles: bool) -> None:
    monkeypatch.setattr(levels, "has_tiles", lambda: tiles)
    torch.manual_seed(0)
    whole = torch.randint(-WEIGHT_LEVELS, WEIGHT_LEVELS + 1, (40, 96)).double()
    whole[0] = WEIGHT_LEVELS  # with the first row below, the largest sum there is
    whole[:, 0] = WEIGHT_LEVELS  # so that rounding changes nothing
    scales = torch.logspace(-3, 3, 40)
    rounded = Rounded(whole.float() * scales[:, None])
    rows = torch.randint(-LEVELS, LEVELS + 1, (2 * MANY, 96)).float()
    rows[0] = LEVELS
    together = rounded.multiply(rows)
    assert torch.allclose(together.double(), rows.double() @ whole.T * scales, rtol=1e-6)
    for size in (1, MANY // 2, MANY - 1, MANY, MANY + 1):
        assert torch.equal(rounded.multiply(rows[:size]), together[:size])
        assert torch.equal(rounded.multiply(rows[:size], rows[-size:]), torch.cat([together[:size], together[-size:]]))


def test_tiles_are_for_many_rows_which_are_filled_up_to_whole_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def multiply(rows: torch.Tensor, *_: object) -> torch.Tensor:
        asked.append(len(rows))
        return torch.zeros(len(rows), 8)

    monkeypatch.setattr(levels, "has_tiles", lambda: True)
    monkeypatch.setattr(torch.ops.onednn, "qlinear_pointwise", multiply)
    rounded = Rounded(torch.ones(8, 8))
    for parts in ([1], [MANY - 1], [MANY // 2 - 1] * 2, [MANY // 2] * 2, [MANY], [MANY + 1], [TILE * 3 // 2] * 2):
        assert rounded.multiply(*[torch.ones(size, 8) for size in parts]).shape == (sum(parts), 8)
    assert asked == [TILE, TILE, 2 * TILE, 3 * TILE]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A CPU that says it has tiles, which are as fast as fbgemm and compute the same."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_int8": True})
    monkeypatch.setattr(levels._OneDnn, "multiply", lambda self, parts: levels._Fbgemm.multiply(self.few, parts))
    monkeypatch.setattr(levels._OneDnn, "__init__", lambda self, *weight: setattr(self, "few", levels._Fbgemm(*weight)))
    monkeypatch.setattr(levels, "_seconds", lambda library, rows: 1.0)
    levels.has_tiles.cache_clear()
    yield monkeypatch
    levels.has_tiles.cache_clear()


def test_tiles_are_used_where_they_are(tried: pytest.MonkeyPatch) -> None:
    assert levels.has_tiles()


def test_tiles_that_the_system_forbids_are_not_used(tried: pytest.MonkeyPatch) -> None:
    tried.setattr(levels, "_seconds", lambda library, rows: 1.0 if isinstance(library, levels._OneDnn) else 0.01)
    assert not levels.has_tiles()


def test_what_computes_something_else_is_not_used(tried: pytest.MonkeyPatch) -> None:
    tried.setattr(levels._OneDnn, "multiply", lambda self, parts: levels._Fbgemm.multiply(self.few, parts) - 1)
    assert not levels.has_tiles()
