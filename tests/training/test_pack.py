"""`jnana data tokenize`: what it writes, what it leaves out, and what a killed run leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.training.words import TEXTS, decode, tokenizer
from training.cli import app
from training.data.pack import is_held_back, load, pack, pieces
from training.data.shards import Manifest, TokenShards
from training.errors import TrainingError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def words(tmp_path: Path) -> Path:
    return tokenizer(tmp_path / "words")


def jsonl(path: Path, texts: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def stored(folder: Path, words: Path) -> str:
    """Everything in a folder of shards, as text."""
    shards = TokenShards.open(folder, words)
    return decode(words, shards.sequence(0, shards.tokens - 1).tolist())


def documents(folder: Path, words: Path) -> set[str]:
    return set(stored(folder, words).split("<|endoftext|>")) - {""}


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "tokenize", *map(str, arguments)])


def test_documents_follow_each_other_with_the_end_token_between(tmp_path: Path, words: Path) -> None:
    (tmp_path / "a.txt").write_text(TEXTS[2])
    pack([jsonl(tmp_path / "b.jsonl", TEXTS[:2]), tmp_path / "a.txt"], words, tmp_path / "s")
    end = "<|endoftext|>"
    assert stored(tmp_path / "s", words) == TEXTS[0] + end + TEXTS[1] + end + TEXTS[2] + end
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["manifest.json", "shard-00000.tokens"]


def test_a_document_longer_than_a_batch_stays_whole(tmp_path: Path, words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.pack.BATCH_CHARACTERS", 2**16)
    long = "\n".join(TEXTS * 4000)
    pack([jsonl(tmp_path / "a.jsonl", [TEXTS[0], long, TEXTS[1]])], words, tmp_path / "s")
    assert stored(tmp_path / "s", words).split("<|endoftext|>") == [TEXTS[0], long, TEXTS[1], ""]


def test_special_tokens_in_a_text_stay_letters(tmp_path: Path, words: Path) -> None:
    pack([jsonl(tmp_path / "a.jsonl", ["<|endoftext|> is written so"])], words, tmp_path / "s")
    shards = TokenShards.open(tmp_path / "s", words)
    end = shards.manifest.vocabulary.end_of_document
    assert shards.sequence(0, shards.tokens - 1).tolist().count(end) == 1


def test_the_end_token_is_the_tokenizers(tmp_path: Path) -> None:
    chat = tokenizer(tmp_path / "chat", special=["<|im_end|>", "<|endoftext|>"], eos="<|im_end|>")
    assert load(chat)[0].end_of_document == 1  # the end of a turn is not the end of a text
    llama = tokenizer(tmp_path / "llama", special=["<s>", "</s>"], eos="</s>")
    assert load(llama)[0].end_of_document == 1
    with pytest.raises(TrainingError, match="no token to end documents with"):
        load(tokenizer(tmp_path / "none", special=["<s>"]))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tokenizer.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"broken.tokenizer\.json is no tokenizer"):
        load(tmp_path / "broken")


LONG = "\n".join(TEXTS * 3) + "\n\n  indented\nlast \n line\n"


@pytest.mark.parametrize("size", [60, 100, 1000])
def test_pieces_of_a_long_text_give_the_same_tokens(words: Path, size: int) -> None:
    encoder = load(words)[1]
    cut = list(pieces(LONG, size))
    assert (len(cut) > 1) == (size < len(LONG))
    assert all(len(piece) <= size for piece in cut)
    assert [number for piece in cut for number in encoder.encode(piece).ids] == encoder.encode(LONG).ids


def test_text_without_line_breaks_is_cut_anywhere() -> None:
    cut = list(pieces(LONG, 20))
    assert "".join(cut) == LONG
    assert all(len(piece) <= 20 for piece in cut)


def test_the_split_is_by_document_and_the_same_whatever_is_beside_it(tmp_path: Path, words: Path) -> None:
    texts = [f"document {number} of many" for number in range(300)]
    pack([jsonl(tmp_path / "a.jsonl", texts)], words, tmp_path / "a", validation=0.2)
    pack([jsonl(tmp_path / "b.jsonl", [*reversed(texts[100:]), "one more"])], words, tmp_path / "b", validation=0.2)
    held = {
        name: set(stored(tmp_path / name / "validation", words).split("<|endoftext|>")) - {"", "one more"}
        for name in ("a", "b")
    }
    learned = set(stored(tmp_path / "a" / "train", words).split("<|endoftext|>")) - {""}
    assert held["a"] | learned == set(texts)
    assert not held["a"] & learned
    assert held["b"] == held["a"] & set(texts[100:])
    assert 40 <= len(held["a"]) <= 80
    assert held["a"] == {text for text in texts if is_held_back(text, 0.2)}
    with pytest.raises(TrainingError, match=r"holds several splits: give .*train or .*validation"):
        TokenShards.open(tmp_path / "a", words)


def test_the_manifest_counts_sources_and_keeps_licences(tmp_path: Path, words: Path) -> None:
    jsonl(tmp_path / "red" / "arxiv" / "0.jsonl", TEXTS[:1])
    jsonl(tmp_path / "red" / "book" / "0.jsonl", TEXTS[1:] * 2)
    (tmp_path / "red" / "book" / "1.jsonl").write_text("broken\n")
    result = command(tmp_path / "red", "--tokenizer", words, "--to", tmp_path / "s", "--licence", "ODC-By", "--licence", "CC0")
    assert result.exit_code == 0, result.output
    manifest = Manifest.model_validate_json((tmp_path / "s" / "manifest.json").read_bytes())
    assert {name: share.documents for name, share in manifest.sources.items()} == {"red/arxiv": 1, "red/book": 4}
    assert sum(share.tokens for share in manifest.sources.values()) == manifest.tokens
    assert (manifest.documents, manifest.bad_records, manifest.licences) == (5, 1, ("ODC-By", "CC0"))
    assert f"{manifest.tokens:,} tokens of 5 documents in 1 shard" in result.output


def test_bad_records_are_told_at_the_end(tmp_path: Path, words: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", TEXTS)
    with path.open("a") as stream:
        stream.write("{}\n" * 15)
    result = command(path, "--tokenizer", words, "--to", tmp_path / "s")
    assert result.exit_code == 0
    assert "Left out: 15 bad records:" in result.stderr
    assert f"  {path}, record 4: it has no `text` key" in result.stderr
    assert "  and 5 more" in result.stderr
    assert TokenShards.open(tmp_path / "s", words).manifest.documents == 3


def test_strict_runs_write_nothing_and_name_them_all(tmp_path: Path, words: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\nbroken\n{"text": "good"}\n{"text": ""}\n')
    result = command(path, "--tokenizer", words, "--to", tmp_path / "s", "--strict")
    assert result.exit_code == 1
    assert "Nothing was written, because of 2 bad records:" in result.stderr
    assert f"{path}, record 2: broken JSON" in result.stderr
    assert f"{path}, record 4: its text is empty" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "words"]


@pytest.mark.parametrize(
    ("content", "validation", "sentence"),
    [
        ("broken\n", 0.0, "There is no document in the sources, but 1 bad record:"),
        ("\n", 0.0, "There is no document in the sources."),
        ('{"text": "lonely"}\n', 0.1, "A split would be empty: 1 documents in all are too few for --validation 0.1"),
    ],
)
def test_what_cannot_be_packed_leaves_nothing(
    tmp_path: Path, words: Path, content: str, validation: float, sentence: str
) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    result = command(tmp_path / "a.jsonl", "--tokenizer", words, "--to", tmp_path / "s", "--validation", validation)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "words"]


def test_a_folder_that_exists_is_refused(tmp_path: Path, words: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", TEXTS)
    (tmp_path / "s").mkdir()
    result = command(source, "--tokenizer", words, "--to", tmp_path / "s")
    assert (result.exit_code, list((tmp_path / "s").iterdir())) == (1, [])
    assert "exists already" in result.stderr


KILLED = """
import sys, time
from pathlib import Path
from training.data import pack
from training.data.shards import ShardWriter
pack.BATCH_CHARACTERS = 1
ShardWriter.__init__.__defaults__ = (16,)

def on_progress(progress):
    if progress.documents == 3:
        print("in the middle", flush=True)
        time.sleep(600)

pack.pack([Path(sys.argv[1])], Path(sys.argv[2]), Path(sys.argv[3]), on_progress=on_progress)
"""


def test_a_killed_run_leaves_nothing_that_opens_and_the_next_one_cleans_up(tmp_path: Path, words: Path) -> None:
    source, target = jsonl(tmp_path / "a.jsonl", TEXTS * 3), tmp_path / "out" / "s"
    code = [sys.executable, "-c", KILLED, str(source), str(words), str(target)]
    with subprocess.Popen(code, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the middle\n"
        with pytest.raises(TrainingError, match="Another process is writing"):
            pack([source], words, target)
        process.send_signal(signal.SIGKILL)
    left = [folder for folder in (tmp_path / "out").iterdir() if folder.is_dir()]
    assert len(left) == 1
    assert list(left[0].glob("shard-*.tokens"))  # it was in the middle indeed
    for folder in (target, *left):
        with pytest.raises(TrainingError, match="no finished shards"):
            TokenShards.open(folder, words)
    pack([source], words, target)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s"]
    assert TokenShards.open(target, words).manifest.documents == 9
