"""Packed token shards: what stage 0 reads.

A folder holds `shard-00000.tokens`, ... and `manifest.json`, which is written last: without it the folder is unfinished.
A shard is HEADER_BYTES of header (MAGIC, then JSON, padded with spaces, a line break at the end) and then token ids,
little-endian, 16 bits each where the vocabulary allows it, else 32. Documents follow each other, each closed by the
end-of-document token; they run on over the borders of shards.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.files import CHUNK, MANIFEST, sha256
from training.config import Pretrain
from training.errors import TrainingError

MAGIC = b"JNANATOK"
HEADER_BYTES = 4096
SHARD_TOKENS = 2**26
"""Tokens of a full shard: 128 MiB at 16 bits."""
SOURCE_CHARACTERS = 200
"""Of the description in a header, so that it fits however it is escaped; the manifest has the whole list."""
TOKENIZER = "tokenizer.json"
Split = Literal["all", "train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Vocabulary(_Stored):
    """The tokenizer that made the tokens."""

    tokenizer: str
    """Name of its folder, for people."""
    sha256: str
    """`tokenizer_digest` of that folder."""
    size: int = Field(ge=1)
    """Every id is below it."""
    end_of_document: int = Field(ge=0)

    @property
    def dtype(self) -> Literal["uint16", "uint32"]:
        return "uint16" if self.size <= 2**16 else "uint32"


class Header(_Stored):
    """Of one shard."""

    version: Literal[1] = 1
    dtype: Literal["uint16", "uint32"]
    tokens: int = Field(ge=1)
    sha256: str
    """Of the tokens' bytes."""
    vocabulary: Vocabulary
    source: str
    """What the text was, for people."""


class Shard(_Stored):
    file: str
    tokens: int = Field(ge=1)
    sha256: str
    """Of the tokens' bytes."""


class Share(_Stored):
    """What one source gave."""

    documents: int
    tokens: int


class Manifest(_Stored):
    """Of a folder."""

    version: Literal[1] = 1
    vocabulary: Vocabulary
    split: Split
    validation: float
    """Part of the documents that is held back, chosen by their hash."""
    documents: int
    tokens: int
    bad_records: int
    """Left out of all splits."""
    shards: tuple[Shard, ...] = Field(min_length=1, strict=False)
    sources: dict[str, Share]
    licences: tuple[str, ...] = Field(strict=False)
    """As the owner stated them."""


def tokenizer_digest(folder: Path) -> str:
    """sha256 of tokenizer.json: the one file that text becomes ids by. Raises TrainingError: there is none."""
    path = folder / TOKENIZER
    if not path.is_file():
        raise TrainingError(
            f"There is no {TOKENIZER} in {folder}: give the folder of a model with a fast tokenizer. `jnana models pull` "
            "makes those of the presets, in JNANA_HOME/models (data/models unless it is set)."
        )
    return sha256(path)


class ShardWriter:
    """Fills a folder with shards. They appear under their names when they are whole, the manifest when all are."""

    def __init__(
        self,
        folder: Path,
        vocabulary: Vocabulary,
        split: Split,
        source: str,
        shard_tokens: int = SHARD_TOKENS,
    ) -> None:
        """`source`: describes the text in every header."""
        folder.mkdir(exist_ok=True)
        self.documents = 0
        self.tokens = 0
        self.folder = folder
        self._vocabulary, self._split = vocabulary, split
        self._source = source[:SOURCE_CHARACTERS]
        self._shard_tokens = shard_tokens
        self._shards: list[Shard] = []
        self._sources: dict[str, tuple[int, int]] = {}
        self._stream: IO[bytes] | None = None
        self._filled = 0
        self._digest = hashlib.sha256()

    def add(self, tokens: Tokens, source: str) -> None:
        """Append a document, its end-of-document token included."""
        documents, counted = self._sources.get(source, (0, 0))
        self._sources[source] = (documents + 1, counted + len(tokens))
        self.documents += 1
        self.tokens += len(tokens)
        while len(tokens):
            room = self._shard_tokens - self._filled
            self._write(tokens[:room])
            tokens = tokens[room:]

    def finish(self, *, validation: float, bad_records: int, licences: tuple[str, ...]) -> Manifest:
        """Close the last shard and write the manifest."""
        if self._stream is not None:
            self._close(self._stream)
        manifest = Manifest(
            vocabulary=self._vocabulary,
            split=self._split,
            validation=validation,
            documents=self.documents,
            tokens=self.tokens,
            bad_records=bad_records,
            shards=tuple(self._shards),
            sources={name: Share(documents=d, tokens=t) for name, (d, t) in sorted(self._sources.items())},
            licences=licences,
        )
        partial = self.folder / f"{MANIFEST}.partial"
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(manifest.model_dump_json(indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        partial.rename(self.folder / MANIFEST)
        return manifest

    @property
    def _name(self) -> str:
        return f"shard-{len(self._shards):05d}.tokens"

    def _write(self, tokens: Tokens) -> None:
        if self._stream is None:
            self._stream = (self.folder / f"{self._name}.partial").open("wb")
            self._stream.write(bytes(HEADER_BYTES))  # its magic comes when the shard is whole
            self._filled, self._digest = 0, hashlib.sha256()
        content = tokens.astype(np.dtype(self._vocabulary.dtype).newbyteorder("<"), copy=False).tobytes()
        self._stream.write(content)
        self._digest.update(content)
        self._filled += len(tokens)
        if self._filled == self._shard_tokens:
            self._close(self._stream)

    def _close(self, stream: IO[bytes]) -> None:
        shard = Shard(file=self._name, tokens=self._filled, sha256=self._digest.hexdigest())
        header = Header(
            dtype=self._vocabulary.dtype,
            tokens=shard.tokens,
            sha256=shard.sha256,
            vocabulary=self._vocabulary,
            source=self._source,
        )
        with stream:
            stream.seek(0)
            stream.write(_packed(header))
            stream.flush()
            os.fsync(stream.fileno())
        Path(stream.name).rename(self.folder / shard.file)
        self._shards.append(shard)
        self._stream, self._filled = None, 0


class TokenShards:
    """The tokens of a folder as one row, memory-mapped: opening reads only manifest and headers."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """For `open`, which checks first."""
        self.folder, self.manifest = folder, manifest
        self.tokens = manifest.tokens
        self.vocab_size = manifest.vocabulary.size
        identity = [manifest.vocabulary.sha256, manifest.vocabulary.dtype, *(shard.sha256 for shard in manifest.shards)]
        self.fingerprint = hashlib.sha256("\n".join(identity).encode()).hexdigest()
        """Same tokens, same tokenizer, same order: same fingerprint, wherever the folder is."""
        dtype = np.dtype(manifest.vocabulary.dtype).newbyteorder("<")
        self._ends = list(itertools.accumulate(shard.tokens for shard in manifest.shards))
        self._maps = [
            np.memmap(folder / shard.file, dtype, "r", offset=HEADER_BYTES, shape=(shard.tokens,)) for shard in manifest.shards
        ]

    @classmethod
    def open(cls, folder: Path, tokenizer: Path) -> TokenShards:
        """Open a folder that `jnana data tokenize` wrote; `tokenizer` is the folder of the model's tokenizer.

        Raises TrainingError: made with another tokenizer, unfinished, damaged, or cut off. Every token is only read by `check`.
        """
        manifest = _manifest(folder)
        digest = tokenizer_digest(tokenizer)
        if digest != manifest.vocabulary.sha256:
            raise TrainingError(
                f"The shards in {folder} were made with the tokenizer {manifest.vocabulary.tokenizer} "
                f"(sha256 {manifest.vocabulary.sha256[:12]}…), not with the one in {tokenizer} ({digest[:12]}…): "
                "give that one, or run `jnana data tokenize` again."
            )
        for shard in manifest.shards:
            if wrong := _wrong_with(folder / shard.file, shard, manifest.vocabulary):
                raise TrainingError(f"The shard {folder / shard.file} {wrong}: run `jnana data tokenize` again.")
        if sum(shard.tokens for shard in manifest.shards) != manifest.tokens:
            raise TrainingError(f"{folder / MANIFEST} is damaged: run `jnana data tokenize` again.")
        return cls(folder, manifest)

    def check(self, on_bytes: Callable[[int], None] = lambda count: None) -> None:
        """Read every token and compare the hashes; `on_bytes` hears of each chunk's size. Raises TrainingError."""
        for shard in self.manifest.shards:
            path, digest = self.folder / shard.file, hashlib.sha256()
            with path.open("rb") as stream:
                stream.seek(HEADER_BYTES)
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                    on_bytes(len(chunk))
            if digest.hexdigest() != shard.sha256:
                raise TrainingError(f"The shard {path} was changed: run `jnana data tokenize` again.")

    def sequences(self, length: int) -> int:
        """How many windows of `length` inputs there are; what is left over at the end is not used."""
        return max(0, self.tokens - 1) // length

    def sequence(self, index: int, length: int) -> npt.NDArray[np.int64]:
        """(length + 1,) ids: inputs are all but the last, labels all but the first; the last is the next window's first.

        Raises IndexError: there is no such window; TrainingError: an id is not in the vocabulary, so the shard is damaged.
        """
        if not 0 <= index < self.sequences(length):
            raise IndexError(f"There are {self.sequences(length)} sequences of {length} tokens, none of number {index}.")
        start, stop = index * length, index * length + length + 1
        ids = np.empty(length + 1, np.int64)
        at = start
        while at < stop:
            shard = bisect.bisect_right(self._ends, at)
            begin = self._ends[shard] - len(self._maps[shard])
            until = min(stop, self._ends[shard])
            ids[at - start : until - start] = self._maps[shard][at - begin : until - begin]
            at = until
        if ids.max() >= self.vocab_size:
            raise TrainingError(
                f"The shards in {self.folder} are damaged: sequence {index} of {length} tokens holds {ids.max()}, "
                f"but there are {self.vocab_size} ids: run `jnana data tokenize` again."
            )
        return ids


def checked_shards(run: Pretrain, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> TokenShards:
    """The shards in `folder` as `run` needs them, read to the last token: training and `jnana data validate` ask the same.

    `progress`: called with (done, total) bytes. Raises TrainingError: as `TokenShards.open` and `check`; they do not suit the
    run's model or the length of its sequences.
    """
    shards = TokenShards.open(folder, run.data.tokenizer)
    if shards.vocab_size > run.architecture.vocab_size:
        raise TrainingError(
            f"{folder} has a vocabulary of {shards.vocab_size:,} tokens, and the model {run.architecture.vocab_size:,} rows: "
            "raise architecture.vocab_size."
        )
    if not shards.sequences(run.sequence_length):
        raise TrainingError(f"{folder} has {shards.tokens:,} tokens, fewer than a sequence of {run.sequence_length:,}.")
    done, total = 0, shards.tokens * np.dtype(shards.manifest.vocabulary.dtype).itemsize

    def on_bytes(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    shards.check(on_bytes)
    return shards


def _packed(header: Header) -> bytes:
    return (MAGIC + header.model_dump_json().encode()).ljust(HEADER_BYTES - 1) + b"\n"


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        if splits := [split for split in SPLITS if (folder / split / MANIFEST).is_file()]:
            raise TrainingError(
                f"{folder} holds several splits: give {' or '.join(str(folder / s) for s in splits)}."
            ) from None
        raise TrainingError(
            f"{folder} holds no finished shards (there is no {MANIFEST}): run `jnana data tokenize`, with --validation where a "
            "run wants train/ and validation/."
        ) from None
    except OSError as error:
        raise TrainingError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError:
        raise TrainingError(f"{path} is damaged or was written by another version: run `jnana data tokenize` again.") from None


def _wrong_with(path: Path, shard: Shard, vocabulary: Vocabulary) -> str | None:
    """What is wrong with a shard, to go on after its name; None: header and size are right."""
    try:
        with path.open("rb") as stream:
            start = stream.read(HEADER_BYTES)
            size = os.fstat(stream.fileno()).st_size
        header = Header.model_validate_json(start.removeprefix(MAGIC)) if start.startswith(MAGIC) else None
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValidationError:
        header = None
    if header is None:
        return "has a damaged header"
    if header.vocabulary.sha256 != vocabulary.sha256:
        return f"was made with another tokenizer ({header.vocabulary.tokenizer}) than the manifest says"
    if (header.vocabulary, header.tokens, header.sha256, header.dtype) != (
        vocabulary,
        shard.tokens,
        shard.sha256,
        vocabulary.dtype,
    ):
        return "is not the one that the manifest lists"
    expected = HEADER_BYTES + shard.tokens * np.dtype(header.dtype).itemsize
    return None if size == expected else f"is damaged ({size} bytes instead of {expected})"
