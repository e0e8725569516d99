"""`jnana serve` and `jnana models` as a person or a supervisor meets them: what they print, and how they exit."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from model import machine
from model.machine import available_cores
from model.settings import known_settings, read_settings
from tests.model.serving import PATIENCE

ROOT = Path(__file__).parent.parent.parent
VOICE = ROOT / "tests" / "data" / "voice.ogg"


def jnana(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "model.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
        check=False,
    )


def test_models_lists_presets_with_licence_size_and_state() -> None:
    listed = jnana("models")
    assert listed.returncode == 0
    for word in ("pocket *", "phi2", "SmolLM2-135M-Instruct", "Apache-2.0", "5,562 MB", "not pulled", "microsoft/phi-2"):
        assert word in listed.stdout
    presets = {preset["name"]: preset for preset in json.loads(jnana("models", "--json").stdout)}
    assert [part["part"] for part in presets["phi2"]["parts"]] == ["language", "tower", "speech"]
    assert not presets["phi2"]["ready"]


def test_listing_models_does_not_load_torch() -> None:
    code = "import sys; from model.cli import app; app(['models'], standalone_mode=False); sys.exit('torch' in sys.modules)"
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr


def test_pull_explains_what_it_needs(tmp_path: Path) -> None:
    unknown = jnana("models", "pull", "gpt4")
    assert unknown.returncode == 2
    assert "MODEL_PRESET=gpt4: There is no preset 'gpt4'; there are: pocket, phi2." in unknown.stderr
    empty = jnana("models", "pull", "phi2", "--language-model", str(tmp_path))
    assert empty.returncode == 3
    assert empty.stderr.strip().endswith(
        "it needs config.json, *.safetensors or pytorch_model.bin, tokenizer.json or vocab.json."
    )
    assert "Traceback" not in unknown.stderr + empty.stderr


def test_all_wrong_settings_are_told_at_once_and_no_secret_with_them() -> None:
    everywhere = "0.0.0.0"  # noqa: S104
    wrong = jnana("serve", "--port", "99999", MODEL_HOST=everywhere, MODEL_THREADS="-1", MODEL_DEVICE="abacus")
    assert wrong.returncode == 2
    assert sorted(wrong.stderr.splitlines()) == [
        "MODEL_API_KEY=: must be set because MODEL_HOST=0.0.0.0 can be reached by other machines",
        "MODEL_DEVICE=abacus: should be auto, cpu, cuda, cuda:N or mps",
        "MODEL_PORT=99999: should be less than or equal to 65535",
        "MODEL_THREADS=-1: should be greater than or equal to 0",
    ]
    assert "s3cret" not in repr(read_settings(MODEL_API_KEY="s3cret"))


def test_settings_come_from_the_environment_and_dotenv_but_not_from_bare_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("MODEL_PORT=9001\nMODEL_QUEUE=7\nDISCORD_TOKEN=x\n")
    monkeypatch.setenv("MODEL_QUEUE", "8")
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("HOME", "/nowhere")
    settings, problems = read_settings()
    assert problems == []
    assert settings
    assert (settings.port, settings.queue, settings.home) == (9001, 8, tmp_path / "home")
    assert {"MODEL_PORT", "JNANA_HOME", "MODEL_API_KEY"} <= known_settings()


def test_threads_follow_what_the_process_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    for text, cores in (("max 100000", 16), ("250000 100000", 2), ("50000 100000", 1), ("6400000 100000", 16)):
        quota.write_text(text)
        assert available_cores() == cores
    settings, _ = read_settings(MODEL_THREADS=3)
    assert settings
    assert settings.cpu_threads() == 3


def test_memory_follows_a_containers_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    whole = machine.available_memory()  # no such file: no container
    for text, memory in (("max\n", whole), (f"{1 << 29}\n", 1 << 29), (f"{whole * 2}\n", whole)):
        (tmp_path / "memory.max").write_text(text)
        assert machine.available_memory() == memory


def test_a_taken_port_is_told_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = jnana("serve", "--port", str(port))
    assert refused.returncode == 4
    assert f"MODEL_PORT={port}" in refused.stderr
    assert "in use" in refused.stderr
    assert "Traceback" not in refused.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(port: int, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "model.cli", "serve", "--port", str(port)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def seen_at_health(port: int, worker: subprocess.Popen[str], status: str) -> dict[str, Any]:
    deadline = time.monotonic() + 6 * PATIENCE
    while worker.poll() is None and time.monotonic() < deadline:
        try:
            health: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/health").json()
            if health["status"] == status:
                return health
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    return pytest.fail(f"never {status}: {worker.communicate()[1]}")


def test_missing_weights_are_told_at_health_then_on_the_way_out() -> None:
    port = free_port()
    worker = start(port, MODEL_PRESET="phi2", MODEL_DEVICE="cpu")
    detail = seen_at_health(port, worker, "failed")["detail"]
    _, stderr = worker.communicate(timeout=PATIENCE)
    assert "run `jnana models pull phi2`" in detail
    assert worker.returncode == 3
    assert stderr.splitlines()[-1] == detail
    assert "Traceback" not in stderr


@pytest.mark.pocket
def test_the_pocket_preset_answers_a_real_photo_and_a_voice_note(pocket_home: Path) -> None:
    from PIL import Image
    from skimage import data

    photo = io.BytesIO()
    Image.fromarray(data.coffee()).save(photo, "JPEG")
    picture = {"url": f"data:image/jpeg;base64,{base64.b64encode(photo.getvalue()).decode()}"}
    voice = {"data": base64.b64encode(VOICE.read_bytes()).decode(), "format": "ogg"}
    port = free_port()
    worker = start(port, JNANA_HOME=str(pocket_home), MODEL_THREADS="1")
    try:
        seen_at_health(port, worker, "ready")
        assert worker.stdout
        assert worker.stdout.readline() == f"ready: http://127.0.0.1:{port}\n"
        client: Any = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

        def ask(*parts: dict[str, Any]) -> Any:
            messages = [{"role": "user", "content": list(parts)}]
            return client.chat.completions.create(model="pocket", messages=messages, max_tokens=40)

        seen = ask({"type": "image_url", "image_url": picture}, {"type": "text", "text": "What is in this photo?"})
        assert "espresso" in " ".join(seen.model_extra["jnana"]["hints"])
        assert any(word in seen.choices[0].message.content.lower() for word in ("espresso", "coffee", "cup"))
        heard = ask({"type": "input_audio", "input_audio": voice})
        assert "young man" in heard.model_extra["jnana"]["transcripts"][0]["text"]
        assert heard.choices[0].message.content
        client.close()
    finally:
        worker.terminate()
        _, stderr = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0
    assert "Traceback" not in stderr
