"""`jnana data tokenize`: documents become packed shards.

Text is tokenised in batches by the tokenizer's own threads, while the next batch is read. On two cores that was a tenth quicker
than two processes, and turning ids into arrays, the only part that is not parallel, takes 1.5 % of one core's time.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import itertools
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.files import PARTIAL, appearing
from training.data.records import BadRecord
from training.data.shards import SPLITS, TOKENIZER, Manifest, ShardWriter, Tokens, Vocabulary, tokenizer_digest
from training.data.text import TextFile, find, read
from training.errors import TrainingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END_OF_TEXT = "<|endoftext|>"
"""Separates documents where the tokenizer has it (GPT-2's, phi-2's, SmolLM2's); a chat model's eos_token ends a turn."""
PIECE_CHARACTERS = 2**18
"""Longer documents are tokenised in pieces, cut at line breaks: a tokenizer takes some hundred bytes a token while it works."""
BATCH_CHARACTERS = 2**22
"""Tokenised at a time: pieces enough for 16 cores."""
AHEAD = 2
"""Batches that are read while one is tokenised."""
NAMED = 10
"""Bad records that are told one by one; of the others how many there are."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is; bytes are of the files as they are on the disk."""

    bytes_done: int
    bytes_total: int
    documents: int
    tokens: int


@dataclass(slots=True)
class BadRecords:
    """What was left out."""

    count: int = 0
    first: list[BadRecord] = field(default_factory=list)

    def add(self, record: BadRecord) -> None:
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(record)

    def __str__(self) -> str:
        more = [f"  and {self.count - len(self.first)} more"] if self.count > len(self.first) else []
        return "\n".join(
            [f"{self.count} bad record{'s' if self.count > 1 else ''}:", *(f"  {record}" for record in self.first), *more]
        )


@dataclass(frozen=True, slots=True)
class Packed:
    """What `pack` wrote: the manifest of each split's folder."""

    folders: dict[Path, Manifest]
    bad: BadRecords
    other_files: int
    """In the folders, of no known format."""


@dataclass(slots=True)
class _Batch:
    documents: list[tuple[str, bool, int]] = field(default_factory=list)
    """Source, whether it is held back, number of pieces."""
    pieces: list[str] = field(default_factory=list)
    characters: int = 0
    read: int = 0
    """Bytes of all files up to its end."""


def pack(
    sources: Sequence[Path],
    tokenizer: Path,
    target: Path,
    *,
    validation: float = 0.0,
    licences: Sequence[str] = (),
    strict: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Packed:
    """Write the documents of `sources` into the new folder `target`, which appears when it is whole.

    `tokenizer`: folder with a tokenizer.json. `validation`: part of the documents that is held back; with it there are
    two folders, `train` and `validation`, in `target`. `strict`: a bad record is an error, not left out.
    Raises TrainingError; Mistakes: sources that are not there.
    """
    files, other_files = find(sources)
    vocabulary, encoder = load(tokenizer)
    bad = BadRecords()
    with _explained(target), _claimed(target), appearing(target) as folder:
        writers = _writers(folder, vocabulary, files, validation)
        total = sum(file.size for file in files)
        for batch, arrays in _encoded(_batches(files, validation, bad, strict), encoder, vocabulary):
            for (source, is_held, _), tokens in zip(batch.documents, arrays, strict=True):
                writers[is_held].add(tokens, source)
            tokens_written = sum(writer.tokens for writer in writers)
            on_progress(Progress(batch.read, total, sum(writer.documents for writer in writers), tokens_written))
        _refuse(writers, bad, strict, validation)
        manifests = {
            target / writer.folder.relative_to(folder): writer.finish(
                validation=validation, bad_records=bad.count, licences=tuple(licences)
            )
            for writer in writers
        }
    return Packed(manifests, bad, other_files)


def load(folder: Path) -> tuple[Vocabulary, Tokenizer]:
    """A folder's tokenizer, to be called with text that holds no special tokens. Raises TrainingError."""
    from tokenizers import Tokenizer

    digest = tokenizer_digest(folder)
    try:
        encoder = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises nothing narrower
        raise TrainingError(f"{folder / TOKENIZER} is no tokenizer that can be read: {error}.") from error
    encoder.encode_special_tokens = True  # `<|endoftext|>` in a text stays letters
    encoder.no_truncation()
    encoder.no_padding()
    ids = encoder.get_vocab()
    end = next((ids[token] for token in (END_OF_TEXT, _eos_token(folder)) if token in ids), None)
    if end is None:
        raise TrainingError(
            f"The tokenizer in {folder} has no token to end documents with: there is no {END_OF_TEXT} in its vocabulary "
            "and no eos_token in tokenizer_config.json."
        )
    return Vocabulary(tokenizer=folder.resolve().name, sha256=digest, size=max(ids.values()) + 1, end_of_document=end), encoder


def is_held_back(text: str, part: float) -> bool:
    """Whether a document belongs to the validation split: by its own hash, so the same whatever is beside it."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") < part * 2**64


def pieces(text: str, size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Cut a long text after line breaks between words, where tokenizers cut as well, into pieces of at most `size`."""
    start = 0
    while len(text) - start > size:
        cut = start + size
        while cut > start and not (text[cut - 1] == "\n" and not text[cut].isspace() and not text[cut - 2].isspace()):
            cut = text.rfind("\n", start, cut - 1) + 1
        cut = cut if cut > start else start + size  # no such place
        yield text[start:cut]
        start = cut
    yield text[start:]


def _batches(files: Sequence[TextFile], validation: float, bad: BadRecords, strict: bool) -> Iterator[_Batch]:
    """Fills `bad`. Once there is one, a strict run only looks for more."""
    batch = _Batch()
    done = 0
    for file in files:
        for record in read(file):
            if isinstance(record, BadRecord):
                bad.add(record)
                continue
            if strict and bad.count:
                continue
            cut = list(pieces(record.text))
            batch.documents.append((record.source, is_held_back(record.text, validation), len(cut)))
            batch.pieces += cut
            batch.characters += len(record.text)
            batch.read = done + record.position
            if batch.characters >= BATCH_CHARACTERS:
                yield batch
                batch = _Batch()
        done += file.size
    if batch.documents:
        yield batch


def _encoded(batches: Iterator[_Batch], encoder: Tokenizer, vocabulary: Vocabulary) -> Iterator[tuple[_Batch, list[Tokens]]]:
    """Each batch with its documents' tokens, in order; a thread tokenises while the next batches are read."""
    waiting: deque[tuple[_Batch, Future[list[Tokens]]]] = deque()
    with ThreadPoolExecutor(1) as thread:
        try:
            for batch in batches:
                waiting.append((batch, thread.submit(_encode, batch, encoder, vocabulary)))
                if len(waiting) > AHEAD:
                    first, tokens = waiting.popleft()
                    yield first, tokens.result()
            while waiting:
                first, tokens = waiting.popleft()
                yield first, tokens.result()
        finally:
            thread.shutdown(cancel_futures=True)


def _encode(batch: _Batch, encoder: Tokenizer, vocabulary: Vocabulary) -> list[Tokens]:
    arrays: list[Tokens] = []
    for group in _groups(batch.pieces):  # a long document alone can be many batches' worth
        try:
            encodings = encoder.encode_batch_fast(group, add_special_tokens=False)
        except Exception as error:  # tokenizers raises nothing narrower
            raise TrainingError(f"The tokenizer {vocabulary.tokenizer} cannot take this text: {error}.") from error
        arrays += [np.array(encoding.ids, vocabulary.dtype) for encoding in encodings]
    end = np.array([vocabulary.end_of_document], vocabulary.dtype)
    cut = iter(arrays)
    return [np.concatenate([*itertools.islice(cut, count), end]) for _, _, count in batch.documents]


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Of about BATCH_CHARACTERS each."""
    group: list[str] = []
    characters = 0
    for text in texts:
        group.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _writers(folder: Path, vocabulary: Vocabulary, files: Sequence[TextFile], validation: float) -> list[ShardWriter]:
    """One for what is learned from, and one for what is held back if anything is."""
    description = ", ".join(dict.fromkeys(file.source for file in files))
    if not validation:
        return [ShardWriter(folder, vocabulary, "all", description)]
    return [ShardWriter(folder / split, vocabulary, split, description) for split in SPLITS]


def _refuse(writers: Sequence[ShardWriter], bad: BadRecords, strict: bool, validation: float) -> None:
    if bad.count and strict:
        raise TrainingError(f"Nothing was written, because of {bad}")
    if not any(writer.documents for writer in writers):
        raise TrainingError("There is no document in the sources" + (f", but {bad}" if bad.count else "."))
    if not all(writer.documents for writer in writers):
        documents = sum(writer.documents for writer in writers)
        raise TrainingError(
            f"A split would be empty: {documents} documents in all are too few for --validation {validation}; change that."
        )


def _eos_token(folder: Path) -> str | None:
    """As transformers stores it: a string, or an object with `content`."""
    try:
        token = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["eos_token"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(token["content"] if isinstance(token, dict) else token)


@contextlib.contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or target
        raise TrainingError(f"{where} could not be written: {error.strerror}; nothing is left of {target}.") from error


@contextlib.contextmanager
def _claimed(target: Path) -> Iterator[None]:
    """Make sure that `target` is new and this process the only one that makes it; delete what a killed one left."""
    if target.exists():
        raise TrainingError(f"{target} exists already: delete it, or give another folder with --to.")
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(f".{target.name}.lock")
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"Another process is writing {target}: wait for it, or give another folder with --to."
            ) from None
        for leftover in target.parent.glob(f".{glob.escape(target.name)}{PARTIAL}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
