"""Shards come back as they were written, or not at all."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.words import tokenizer
from training.data.shards import HEADER_BYTES, ShardWriter, TokenShards, Vocabulary, tokenizer_digest
from training.errors import TrainingError

SHARD = 10
"""Tokens of a shard in these tests."""


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return tokenizer(tmp_path / "words")


def write(folder: Path, words: Path, documents: list[list[int]], size: int = 300) -> list[int]:
    """Write documents; returns all their tokens."""
    vocabulary = Vocabulary(tokenizer="words", sha256=tokenizer_digest(words), size=size, end_of_document=0)
    writer = ShardWriter(folder, vocabulary, "all", "a test", shard_tokens=SHARD)
    dtype = np.dtype(vocabulary.dtype)
    for document in documents:
        writer.add(np.array(document, dtype), "test")
    writer.finish(validation=0.0, bad_records=0, licences=())
    return [token for document in documents for token in document]


def three_shards(folder: Path, words: Path) -> list[int]:
    return write(folder, words, [[1, 2, 3, 0], [*range(100, 117), 0], [7, 8, 0], [0]])


def damage(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(at)
        stream.write(content)


def refused(folder: Path, words: Path) -> str:
    with pytest.raises(TrainingError) as caught:
        TokenShards.open(folder, words)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("length", [1, 3, 4, 12, 25])
def test_windows_cover_the_tokens_across_the_borders_of_shards(tmp_path: Path, words: Path, length: int) -> None:
    tokens = three_shards(tmp_path / "s", words)
    assert len(list((tmp_path / "s").glob("*.tokens"))) == 3
    shards = TokenShards.open(tmp_path / "s", words)
    assert (shards.tokens, shards.vocab_size) == (26, 300)
    windows = [shards.sequence(index, length) for index in range(shards.sequences(length))]
    assert all(window.shape == (length + 1,) and window.dtype == np.int64 for window in windows)
    assert all(before[-1] == after[0] for before, after in itertools.pairwise(windows))
    inputs = [token for window in windows for token in window[:-1].tolist()]
    assert inputs == tokens[: len(inputs)]
    assert len(tokens) - len(inputs) <= length  # a whole window more would not have its last label
    with pytest.raises(IndexError):
        shards.sequence(len(windows), length)
    with pytest.raises(IndexError):
        shards.sequence(-1, length)


def test_a_full_last_shard_leaves_no_empty_one(tmp_path: Path, words: Path) -> None:
    write(tmp_path / "s", words, [list(range(SHARD)), list(range(SHARD))])
    assert len(list((tmp_path / "s").iterdir())) == 3
    assert TokenShards.open(tmp_path / "s", words).sequences(19) == 1
    assert TokenShards.open(tmp_path / "s", words).sequences(20) == 0  # its last label is missing


def test_large_vocabularies_have_wide_tokens(tmp_path: Path, words: Path) -> None:
    for size, width in ((2**16, 2), (2**16 + 1, 4)):
        write(tmp_path / str(size), words, [[size - 1, 0]], size)
        shards = TokenShards.open(tmp_path / str(size), words)
        assert shards.sequence(0, 1).tolist() == [size - 1, 0]
        assert (tmp_path / str(size) / "shard-00000.tokens").stat().st_size == HEADER_BYTES + 2 * width


def test_another_tokenizer_is_refused(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "s", words)
    other = tokenizer(tmp_path / "other", vocab_size=290)
    message = refused(tmp_path / "s", other)
    assert "words" in message
    assert str(other) in message
    assert tokenizer_digest(words)[:12] in message
    (tmp_path / "none").mkdir()
    with pytest.raises(TrainingError, match=r"no tokenizer\.json"):
        TokenShards.open(tmp_path / "s", tmp_path / "none")


def test_one_shard_of_another_tokenizer_is_refused(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "a", words)
    three_shards(tmp_path / "b", tokenizer(tmp_path / "other", vocab_size=290))
    (tmp_path / "b" / "shard-00001.tokens").rename(tmp_path / "a" / "shard-00001.tokens")
    assert "shard-00001.tokens was made with another tokenizer" in refused(tmp_path / "a", words)


def test_a_shard_of_other_text_is_refused(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "a", words)
    write(tmp_path / "b", words, [[5] * 30])
    (tmp_path / "b" / "shard-00001.tokens").rename(tmp_path / "a" / "shard-00001.tokens")
    assert "shard-00001.tokens is not the one that the manifest lists" in refused(tmp_path / "a", words)


@pytest.mark.parametrize(
    ("at", "content"), [(0, b"X"), (8, b"\xff\xff"), (10, b'"'), (40, b"}{"), (0, bytes(HEADER_BYTES))], ids=str
)
def test_damaged_headers_are_refused(tmp_path: Path, words: Path, at: int, content: bytes) -> None:
    three_shards(tmp_path / "s", words)
    damage(tmp_path / "s" / "shard-00002.tokens", at, content)
    assert "shard-00002.tokens has a damaged header" in refused(tmp_path / "s", words)


@pytest.mark.parametrize("left", [0, 100, HEADER_BYTES, HEADER_BYTES + 19])
def test_shards_that_were_cut_off_are_refused(tmp_path: Path, words: Path, left: int) -> None:
    three_shards(tmp_path / "s", words)
    path = tmp_path / "s" / "shard-00001.tokens"
    path.write_bytes(path.read_bytes()[:left])
    assert "shard-00001.tokens" in refused(tmp_path / "s", words)


def test_missing_shards_and_unfinished_folders_are_refused(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "s", words)
    (tmp_path / "s" / "shard-00001.tokens").rename(tmp_path / "kept")
    assert "shard-00001.tokens is missing" in refused(tmp_path / "s", words)
    (tmp_path / "s" / "manifest.json").unlink()
    assert "no finished shards" in refused(tmp_path / "s", words)
    assert "no finished shards" in refused(tmp_path / "nowhere", words)


def test_damaged_manifests_are_refused(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "s", words)
    path = tmp_path / "s" / "manifest.json"
    whole = path.read_text()
    path.write_text(whole[:200])
    assert "manifest.json is damaged" in refused(tmp_path / "s", words)
    shorter = json.loads(whole)
    del shorter["shards"][1]
    path.write_text(json.dumps(shorter))
    assert "manifest.json is damaged" in refused(tmp_path / "s", words)


def test_changed_tokens_are_found_by_reading_them_all(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "s", words)
    shards = TokenShards.open(tmp_path / "s", words)
    heard: list[int] = []
    shards.check(heard.append)
    assert sum(heard) == 2 * shards.tokens
    damage(tmp_path / "s" / "shard-00001.tokens", HEADER_BYTES + 4, b"\x01\x00")
    with pytest.raises(TrainingError, match=r"shard-00001\.tokens was changed"):
        TokenShards.open(tmp_path / "s", words).check()


def test_ids_beyond_the_vocabulary_never_reach_the_model(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "s", words)
    damage(tmp_path / "s" / "shard-00001.tokens", HEADER_BYTES + 4, b"\xff\xff")
    shards = TokenShards.open(tmp_path / "s", words)
    assert shards.sequence(0, 10).tolist()[:4] == [1, 2, 3, 0]
    with pytest.raises(TrainingError, match="holds 65535, but there are 300 ids"):
        shards.sequence(1, 10)


def test_the_fingerprint_tells_data_apart_and_not_folders(tmp_path: Path, words: Path) -> None:
    three_shards(tmp_path / "a", words)
    three_shards(tmp_path / "b", words)
    write(tmp_path / "c", words, [[1, 2, 3, 0]])
    a, b, c = (TokenShards.open(tmp_path / name, words).fingerprint for name in "abc")
    assert a == b != c
