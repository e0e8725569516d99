"""`jnana evaluate` from questions to results, with a made-up answerer; and a real, tiny mind."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from model.attached import Attached
from model.files import MANIFEST
from model.mind import Message, Mind
from model.prompt import PromptWriter
from model.sight import Eyes
from tests.model import tiny_home
from tests.model.test_prompt import VOCABULARY_ROWS, tokenizer
from tests.training.minds import PRESET, base
from training.cli import app
from training.errors import TrainingError
from training.evaluate import chat
from training.evaluate.answerer import MindAnswerer, log_likelihoods, picture_of
from training.evaluate.kept import Kept
from training.evaluate.run import Request, evaluate


class Stopped(BaseException):
    """As a kill does: nothing is caught."""


class Fake:
    """Says the colour of the first pixel, and 'nothing' without a picture; counts what it was asked."""

    def __init__(self, *, grey_when_blind: bool = False, stop_after: int = 10**6, says: str = "") -> None:
        self.grey_when_blind = grey_when_blind
        self.asked: list[tuple[tuple[str, ...], str]] = []
        self.choices: Sequence[str] = ()
        self._stop_after = stop_after
        self._says = says
        self.weighed: list[str] = []

    def answer(self, pictures: Sequence[Path], question: str, *, max_tokens: int) -> str:
        if len(self.asked) == self._stop_after:
            raise Stopped
        self.asked.append((tuple(path.name for path in pictures), question))
        if self._says or not pictures:
            return self._says or "nothing"
        red, green, _ = Image.open(pictures[0]).convert("RGB").getpixel((0, 0))  # type: ignore[misc]
        return "grey" if red == green else "red" if red > green else "green"

    def choose(self, pictures: Sequence[Path], question: str, choices: Sequence[str]) -> str:
        self.choices = choices
        return self.answer(pictures, question, max_tokens=1)

    def likelihood(self, pictures: Sequence[Path], question: str, answer: str) -> tuple[float, int]:
        self.weighed.append(answer)
        return (-0.5 if pictures else -3.0), len(answer.split())

    def load(self, adapter: Path | None) -> contextlib.AbstractContextManager[Fake]:
        return contextlib.nullcontext(self)


@pytest.fixture
def easy(tmp_path: Path) -> Path:
    """Four questions about four pictures, two red and two green; the questions' words say nothing."""
    rows = []
    for at, colour in enumerate(["red", "red", "green", "green"]):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{at}.png")
        talk = [{"from": "human", "value": "<image>\nwhich colour?"}, {"from": "gpt", "value": colour}]
        rows.append({"id": str(at), "image": f"{at}.png", "conversations": talk})
    rows[3]["conversations"][1]["value"] = "red"  # type: ignore[index] - a wrong label, so that nothing is perfect
    file = tmp_path / "easy.json"
    file.write_text(json.dumps(rows))
    return file


def measured(folder: Path) -> dict[str, float]:
    """The share that is right in each column."""
    columns = json.loads((folder / "results.json").read_text())["columns"]
    return {name: column["measures"]["all"]["value"] for name, column in columns.items()}


def test_a_figure_stands_beside_what_can_be_had_without_looking(easy: Path, tmp_path: Path) -> None:
    fake, folder = Fake(), tmp_path / "results"
    text = evaluate(Request("easy-vqa", "tiny", folder, file=easy), fake.load)
    assert measured(folder) == {"mind": 0.75, "blind": 0.0, "question only": 0.75, "majority": 0.75}
    assert fake.choices == ["green", "red"]
    # Without pictures only the words matter: what was asked in the same words is not asked again.
    assert [pictures for pictures, _ in fake.asked] == [("0.png",), ("1.png",), ("2.png",), ("3.png",), ()]
    assert text == (folder / "results.md").read_text()
    assert "75.0% (30.1 to 95.4)" in text
    assert "always “red”, the most frequent of the test's own answers" in text


def test_the_loss_of_right_answers_stands_beside_that_without_the_picture(easy: Path, tmp_path: Path) -> None:
    request, fake = Request("easy-vqa", "tiny", tmp_path / "results", file=easy), Fake()
    text = evaluate(request, fake.load)
    assert "| validation loss, nats a token | 0.50 | 3.00 | - | - | 4 |" in text
    assert set(fake.weighed) == {"red", "green"}
    again = Fake()
    assert evaluate(request, again.load) == text
    assert again.weighed == []


def test_baselines_are_fitted_on_training_answers_where_there_are_some(easy: Path, tmp_path: Path) -> None:
    train = tmp_path / "without pictures" / "train.json"
    train.parent.mkdir()
    train.write_text(easy.read_text().replace('"red"', '"green"'))
    evaluate(Request("easy-vqa", "tiny", tmp_path / "results", file=easy, train=train), Fake().load)
    assert measured(tmp_path / "results")["majority"] == 0.25
    assert f"most frequent of the answers of {train}" in (tmp_path / "results/results.md").read_text()


def test_baselines_of_vqa_are_fitted_without_the_pictures_of_training(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "000000000001.jpg")

    def written(name: str, image: int, answer: str) -> tuple[Path, Path]:
        asked = [{"question_id": image, "image_id": image, "question": "which colour?"}]
        notes = [{"question_id": image, "answers": [{"answer": answer}] * 10}]
        made = tmp_path / f"{name}-questions.json", tmp_path / f"{name}-annotations.json"
        made[0].write_text(json.dumps({"data_subtype": f"{name}2014", "questions": asked}))
        made[1].write_text(json.dumps({"annotations": notes}))
        return made

    (file, annotations), (train, train_annotations) = written("val", 1, "red"), written("train", 2, "green")
    request = Request("vqa", "tiny", tmp_path / "results", file=file, annotations=annotations, train=train)
    with pytest.raises(TrainingError, match=r"train-questions\.json are in a file of their own: give --train-annotations, too"):
        evaluate(request, Fake().load)
    evaluate(replace(request, train_annotations=train_annotations), Fake().load)
    assert measured(tmp_path / "results") == {"mind": 1.0, "blind": 0.0, "question only": 0.0, "majority": 0.0}


def test_a_mind_that_is_another_one_withoutpicture_ofs_is_blindfolded_with_grey(easy: Path, tmp_path: Path) -> None:
    fake = Fake(grey_when_blind=True)
    text = evaluate(Request("easy-vqa", "tiny", tmp_path / "results", file=easy), fake.load)
    assert fake.asked[-1][0] == ("grey.png",)
    assert "shown a grey picture" in text


def test_a_killed_evaluation_goes_on_where_it_was(easy: Path, tmp_path: Path) -> None:
    request = Request("easy-vqa", "tiny", tmp_path / "results", file=easy)
    with pytest.raises(Stopped):
        evaluate(request, Fake(stop_after=2).load)
    answers = tmp_path / "results/answers.jsonl"
    answers.write_bytes(answers.read_bytes() + b'{"who": "mind", "id": "2-')  # killed within a line
    rest = Fake()
    evaluate(request, rest.load)
    assert [pictures for pictures, _ in rest.asked] == [("2.png",), ("3.png",), ()]
    assert measured(tmp_path / "results")["mind"] == 0.75
    again = Fake()
    evaluate(request, again.load)
    assert again.asked == []


def test_more_questions_can_follow(easy: Path, tmp_path: Path) -> None:
    request = Request("easy-vqa", "tiny", tmp_path / "results", file=easy, blind=False)
    evaluate(replace(request, first=1), Fake().load)
    fake = Fake()
    evaluate(replace(request, first=3), fake.load)
    assert [pictures for pictures, _ in fake.asked] == [("1.png",), ("2.png",)]


def test_an_answer_with_a_line_end_of_other_worlds_is_kept_as_one(tmp_path: Path) -> None:
    answer = "one\u2028two\u0085three\x0cfour"
    for expected in (None, answer):
        with Kept(tmp_path, {"task": "vqa"}) as kept:
            assert kept.get("mind", "1") == expected
            kept.add("mind", "1", answer)


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"hints": "none"}, "hints"),
        ({"model": "phi2"}, "model"),
        ({"prompt": " Say it."}, "prompt"),
        ({"choose": False}, "answers"),
    ],
)
def test_answers_of_another_evaluation_are_not_taken(easy: Path, tmp_path: Path, change: dict[str, Any], differs: str) -> None:
    request = Request("easy-vqa", "tiny", tmp_path / "results", file=easy)
    evaluate(request, Fake().load)
    with pytest.raises(TrainingError, match=rf"another evaluation \({differs} differ\)"):
        evaluate(replace(request, **change), Fake().load)


def test_an_adapter_that_was_trained_on_is_another_one(easy: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / MANIFEST).write_text("one")
    request = Request("easy-vqa", "tiny", tmp_path / "results", file=easy, adapter=adapter)
    evaluate(request, Fake().load)
    (adapter / MANIFEST).write_text("two")
    with pytest.raises(TrainingError, match="adapter differ"):
        evaluate(request, Fake().load)


def test_captions_beside_those_of_otherpicture_ofs(tmp_path: Path) -> None:
    for name in ("red", "green"):
        Image.new("RGB", (8, 8), name).save(tmp_path / f"{name}.png")
    rows = [{"image": "red.png", "caption": "A bright red."}, {"image": "green.png", "caption": "A green."}]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    request = Request("captions", "tiny", tmp_path / "results", file=tmp_path / "captions.jsonl")
    evaluate(request, Fake().load)
    columns = json.loads((tmp_path / "results/results.json").read_text())["columns"]
    named = {name: column["measures"]["noun match"]["value"] for name, column in columns.items()}
    assert named == {"mind": 1.0, "blind": 0.0, "shuffled": 0.0, "majority": 0.5}


def test_photos_are_listed_one_by_one(tmp_path: Path) -> None:
    text = evaluate(Request("photos", "tiny", tmp_path / "results", first=5), Fake(says="A cat and an astronaut").load)
    assert "| astronaut.png | A cat and an astronaut | astronaut / space suit / spacesuit / person / woman | 1 |" in text
    assert "| camera.png | A cat and an astronaut | camera / tripod / photographer | 0 |" in text


def test_chat_says_whether_an_adapter_changes_it(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / MANIFEST).touch()
    request = Request("chat", "tiny", tmp_path / "results", adapter=tmp_path / "adapter")
    minds: dict[Path | None, Fake] = {request.adapter: Fake(says="Bonjour"), None: Fake(says="Hello")}
    text = evaluate(request, lambda adapter: minds[adapter].load(adapter))
    assert f"| the same as before | 0.0% (0.0 to 24.2) | {len(chat.QUESTIONS)} |" in text
    assert f"| {chat.QUESTIONS[0]} | Bonjour | Hello |" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vqa"], "vqa needs the file with its questions: give --file."),
        (["vqa", "--file", "easy.json"], "easy.json are in a file of their own: give --annotations, too."),
        (["photos", "--adapter", "nowhere"], "There is no adapter 'nowhere' for pocket"),
        (["photos", "--model", "none"], "There is no preset 'none'"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(easy: Path, arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["evaluate", *arguments])
    assert done.exit_code == 1
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# --- a mind ---


@pytest.fixture
def mind() -> Mind:
    torch.set_num_threads(1)
    made = base()
    eyes = Eyes(made.model.model, hints=False, reader=None)
    writer = PromptWriter(tokenizer(), PRESET, VOCABULARY_ROWS)
    default = Attached(writer, projector=made.model.model.multi_modal_projector)
    return Mind(replace(PRESET, context_length=300), made.model, default, eyes, torch.device("cpu"))


@pytest.fixture
def answerer(mind: Mind) -> Iterator[MindAnswerer]:
    with contextlib.closing(MindAnswerer(mind)) as made:
        yield made


@pytest.fixture
def red(tmp_path: Path) -> Path:
    Image.new("RGB", (30, 20), "red").save(tmp_path / "red.png")
    return tmp_path / "red.png"


def test_choices_are_weighed_as_one_pass_over_each_would(mind: Mind, red: Path) -> None:
    choices = ["red", "a longer answer", "no"]
    prompt = mind.encode([Message("user", (picture_of(red), "Which?"))], max_new_tokens=20)
    answers = [mind.answer_ids(choice) for choice in choices]
    found = log_likelihoods(mind, prompt, answers)
    for answer, likely in zip(answers, found.tolist(), strict=True):
        ids = torch.cat([prompt.input_ids, torch.tensor([answer])], 1)
        with torch.inference_mode():
            logits = mind.model(input_ids=ids, vision_features=prompt.vision_features).logits[0, -len(answer) - 1 : -1]
        alone = logits.log_softmax(-1).gather(1, torch.tensor(answer)[:, None]).sum()
        assert likely == pytest.approx(float(alone), abs=1e-4)


def test_an_answer_is_weighed_with_its_end(mind: Mind) -> None:
    ids = mind.answer_ids("red")
    assert mind.tokenizer.decode(ids) == " red<|end_of_turn|>"
    written = mind.encode(
        [Message("user", ("Which?",)), Message("assistant", ("red",)), Message("user", ("x",))], max_new_tokens=1
    )
    assert "".join(f" {token}" for token in ids) in "".join(f" {token}" for token in written.input_ids[0].tolist())


def test_a_mind_writes_what_its_model_finds_likeliest(mind: Mind, answerer: MindAnswerer, red: Path) -> None:
    prompt = mind.encode([Message("user", (picture_of(red), "Which?"))], max_new_tokens=5)
    ids = mind.model.generate(prompt.input_ids, vision_features=prompt.vision_features, max_new_tokens=5, do_sample=False)
    expected = str(mind.tokenizer.decode(ids[0, prompt.input_ids.shape[1] :], skip_special_tokens=True))
    assert answerer.answer([red], "Which?", max_tokens=5) == expected.strip().rstrip("\ufffd")
    assert answerer.choose([red], "Which?", ["red", "blue"]) in ("red", "blue")
    assert not answerer.grey_when_blind


def testpicture_ofs_and_questions_that_cannot_be_used(answerer: MindAnswerer, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    with pytest.raises(TrainingError, match=r"picture is of no known format: .*torn\.png\."):
        answerer.answer([tmp_path / "torn.png"], "Which?", max_tokens=5)
    with pytest.raises(TrainingError, match=r"reads at most 295\. The question begins “xxx"):
        answerer.answer([], "x" * 400, max_tokens=5)


@pytest.mark.parametrize(("text_only", "same"), [("base", True), ("adapter", False)])
def test_an_adapter_that_leaves_text_to_the_base_changes_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text_only: str, same: bool
) -> None:
    monkeypatch.setenv("JNANA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MODEL_DEVICE", "cpu")
    monkeypatch.setenv("MODEL_THREADS", "1")
    monkeypatch.setattr(chat, "MAX_TOKENS", 4)
    tiny_home.adapter(tmp_path / "toy", tiny_home.prepared(tmp_path), text_only=text_only)
    arguments = ["evaluate", "chat", "--model", "phi2", "--adapter", str(tmp_path / "toy"), "--first", "3", "--to", "results"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert ("| the same as before | 100.0%" in done.stdout) is same


def test_a_mind_with_such_an_adapter_is_blindfolded_with_grey(tmp_path: Path) -> None:
    tiny_home.adapter(tmp_path / "toy", tiny_home.prepared(tmp_path), text_only="base")
    mind = MindAnswerer.load(
        "phi2", tmp_path / "toy", hints="none", home=tmp_path / "home", device="cpu", threads=1, progress=tiny_home.nothing
    )
    with contextlib.closing(mind):
        assert mind.grey_when_blind


def test_without_projector_and_hints_nothing_is_seen(tmp_path: Path) -> None:
    tiny_home.prepared(tmp_path)
    with pytest.raises(TrainingError, match="would see nothing without hints"):
        MindAnswerer.load(
            "phi2", None, hints="none", home=tmp_path / "home", device="cpu", threads=1, progress=tiny_home.nothing
        )
