"""`jnana adapters` as an owner meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from model import shelf
from model.adapters import Adapter
from model.cli import app
from model.weights import PreparedWeights
from tests.model import tiny_home
from tests.model.test_original import Checkpoint, checkpoint  # noqa: F401 - a fixture

torch.set_num_threads(1)
ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., Result]


@pytest.fixture
def weights(tmp_path: Path) -> PreparedWeights:
    return tiny_home.prepared(tmp_path)


@pytest.fixture
def toy(weights: PreparedWeights, tmp_path: Path) -> Adapter:
    return tiny_home.adapter(tmp_path / "run" / "artefact", weights)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name, value in {"JNANA_HOME": str(tmp_path / "home"), "MODEL_PRESET": "phi2", "MODEL_DEVICE": "cpu"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shelf, "SHIPPED", tmp_path / "none came along")
    # The log would go to the runner's stand-in for standard error, also from later tests, when it is closed.
    monkeypatch.setattr("model.adapters_cli.configure", lambda *_: None)

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, ["adapters", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def listed(run: Run) -> list[tuple[str, bool, str]]:
    return [(row["name"], row["loaded"], row["state"]) for row in json.loads(run("list", "--json").stdout)]


def test_from_a_run_to_the_default_and_back(run: Run, toy: Adapter, tmp_path: Path) -> None:
    assert "none yet" in run("list").stdout
    used = run("use", toy.folder)
    assert used.stdout.startswith("phi2 answers with adapter toy from now on"), used.stderr
    assert listed(run) == [("toy", True, "ready")]
    for word in ("toy *", "instruct", "projector, LoRA", "phi-2 (fp32)"):
        assert word in run("list").stdout
    run("use", "none")
    assert listed(run) == [("toy", False, "ready")]
    run("use", "toy")
    assert listed(run) == [("toy", True, "ready")]
    projector = tmp_path / "home" / "adapters" / "phi2" / "toy" / "projector.safetensors"
    projector.write_bytes(b"x")
    ((_, _, state),) = listed(run)
    assert "projector.safetensors was changed" in state


def test_the_environment_wins_and_is_told(run: Run, toy: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_ADAPTER", "other")
    assert "MODEL_ADAPTER=other wins over it" in run("use", toy.folder).stdout
    assert listed(run) == [("toy", False, "ready")]


def test_show_prints_the_card(run: Run, toy: Adapter) -> None:
    shown = run("show", toy.folder).stdout
    for word in ("base.sha256", toy.card.base.sha256, "metrics.loss", "toys · MIT", "template.end_of_turn", toy.sha256):
        assert word in shown
    assert json.loads(run("show", toy.folder, "--json").stdout)["tower"]["layer"] == -1


def test_check_says_everything_that_is_wrong(
    run: Run, toy: Adapter, weights: PreparedWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_PRECISION", "fp32")
    assert run("check", toy.folder).stdout == "toy is whole and fits phi2 here.\n"
    wrong = tiny_home.adapter(tmp_path / "wrong", weights, layer=-9, precision="nf4")
    checked = run("check", wrong.folder)
    assert checked.exit_code == 3
    assert len(checked.stdout.splitlines()) == 2
    used = run("use", wrong.folder)
    assert used.exit_code == 3
    assert "4 bits" in used.stderr
    assert "layer -9" in used.stderr
    assert listed(run) == []


def test_export_and_use_elsewhere(run: Run, toy: Adapter, tmp_path: Path) -> None:
    assert run("export", toy.folder, tmp_path / "toy.tar").exit_code == 3
    assert "MB" in run("export", toy.folder, tmp_path / "toy.zip").stdout
    assert "should be a new file" in run("export", toy.folder, tmp_path / "toy.zip").stderr
    assert run("use", tmp_path / "toy.zip").exit_code == 0
    assert listed(run) == [("toy", True, "ready")]
    assert [path.name for path in (tmp_path / "home" / "adapters" / "phi2").glob(".*")] == []


def test_half_of_an_adapter_is_nearly_the_same(run: Run, toy: Adapter, weights: PreparedWeights, tmp_path: Path) -> None:
    assert run("export", toy.folder, tmp_path / "half.zip", "--half").exit_code == 0
    (tmp_path / "half").mkdir()
    half = Adapter.open(shelf.unpack(tmp_path / "half.zip", tmp_path / "half"))
    assert half.card.parent == toy.sha256
    assert half.projector
    assert half.lora
    assert {tensor.dtype for file in (half.projector, half.lora) for tensor in load_file(file).values()} == {torch.float16}
    one, other = tiny_home.plain(weights), tiny_home.plain(weights)
    tiny_home.load_lora(one, toy.folder)
    tiny_home.load_lora(other, half.folder)
    assert {weight.dtype for weight in other.parameters()} == {torch.float32}
    ids = torch.arange(5, 15)[None]
    torch.testing.assert_close(other(ids).logits, one(ids).logits, rtol=1e-3, atol=1e-3)
    assert not torch.equal(other(ids).logits, one(ids).logits)


def test_merge_says_what_to_do_with_it(run: Run, weights: PreparedWeights, tmp_path: Path) -> None:
    quantised = tiny_home.adapter(tmp_path / "nf4", weights, precision="nf4", text_only="base")
    merged = run("merge", quantised.folder, tmp_path / "merged")
    assert merged.exit_code == 0, merged.stderr
    for word in ("trained on 4 bits", "models pull phi2 --language-model", "adapters use", "without a picture"):
        assert word in merged.stdout
    again = run("merge", quantised.folder, tmp_path / "merged")
    assert (again.exit_code, "is there already" in again.stderr) == (3, True)


def test_import_of_the_original(run: Run, checkpoint: Checkpoint) -> None:  # noqa: F811
    arguments = (checkpoint.folder, "--projector", checkpoint.linear, "--projector", checkpoint.block)
    done = run("import-original", *arguments)
    assert "Its embedding (290 rows) is the base's and was left out." in done.stdout, done.stderr
    assert "jnana adapters use original --preset phi2" in done.stdout
    assert listed(run) == [("original", False, "ready")]
    again = run("import-original", *arguments)
    assert (again.exit_code, again.stderr) == (3, "There is an adapter original already: give another --name.\n")
    assert "'../up' cannot be an adapter's name" in run("import-original", *arguments, "--name", "../up").stderr


def test_what_is_no_checkpoint_is_told_before_phi2_is_pulled(tmp_path: Path, checkpoint: Checkpoint) -> None:  # noqa: F811
    arguments = ["adapters", "import-original", str(checkpoint.folder), "--projector", str(checkpoint.linear)]
    done = CliRunner().invoke(app, arguments, env={"JNANA_HOME": str(tmp_path / "empty")})
    assert (done.exit_code, "give the linear layer's file and the block's" in done.stderr) == (3, True)
    whole = CliRunner().invoke(
        app, [*arguments, "--projector", str(checkpoint.block)], env={"JNANA_HOME": str(tmp_path / "empty")}
    )
    assert (whole.exit_code, "jnana models pull phi2" in whole.stderr) == (3, True)


def test_listing_needs_no_torch_and_hangs_on_jnana(run: Run) -> None:
    call = "app(['adapters', 'list'], standalone_mode=False)"
    code = f"import sys; from model.cli import app; {call}; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False).returncode == 0
    command = [sys.executable, "-m", "bot.cli", "adapters", "list", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert [(row["preset"], row["name"], row["loaded"]) for row in json.loads(done.stdout)] == [("pocket", "pocket", True)]
