"""Does `phi2` load, chat and fit at its real size? Random weights in the hub's form, through the commands an owner uses.

    python -m benchmarks.phi2_size --device cpu > docs/results/phi2-size.md       # 32-bit: 11 GB of memory, 12 GB of disk
    python -m benchmarks.phi2_size --device cuda                                  # NF4

Writes phi-2 (fp16), CLIP ViT-B/32 (pickled, as its repository has it) and the pocket preset's Whisper into local folders, then
`jnana models pull phi2` with them, `jnana serve`, and one question. What a random model says is noise; that it is said, how
fast and in how much memory is the claim. The tokenizer is one of bytes with phi-2's number of tokens.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import openai
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, CLIPVisionConfig, CLIPVisionModel, PhiConfig, PreTrainedTokenizerFast

from benchmarks.report import header, resident, table
from model.presets import get_preset
from model.settings import WorkerSettings
from model.weights import prepare
from tests.processes import free_port

PHI2_PARAMETERS = 2_779_683_840  # of the published weights
PHI2_TOKENS = 50_295  # of its tokenizer; the embedding has 51,200 rows
ANSWER_TOKENS = 32
QUESTION = "Instructions are noise to a random model, but it must read them all the same."


def phi2_config() -> PhiConfig:
    """As microsoft/phi-2's config.json has it."""
    return PhiConfig(
        vocab_size=51_200,
        hidden_size=2560,
        intermediate_size=10_240,
        num_hidden_layers=32,
        num_attention_heads=32,
        partial_rotary_factor=0.4,
        max_position_embeddings=2048,
        layer_norm_eps=1e-5,
        hidden_act="gelu_new",
        dtype="float16",
    )


def write_phi2(folder: Path) -> int:
    """Random weights of phi-2's size; the number of parameters."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(phi2_config())
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        scale = "layernorm.weight" in name
        random = torch.empty(tensor.shape, dtype=torch.float16).normal_(0, 0.02, generator=generator)
        tensors[name] = torch.ones_like(random) if scale else random
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    model.config.architectures = ["PhiForCausalLM"]
    model.config.save_pretrained(folder)
    write_tokenizer(folder)
    return sum(tensor.numel() for tensor in tensors.values())


def write_tokenizer(folder: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.add_tokens([f"<unused {at}>" for at in range(PHI2_TOKENS - tokenizer.get_vocab_size())])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)  # noqa: S106


def write_clip(folder: Path) -> None:
    config = CLIPVisionConfig(patch_size=32)  # transformers' defaults are ViT-B/32's
    torch.manual_seed(0)
    model = CLIPVisionModel(config)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    config.save_pretrained(folder)


def jnana(*arguments: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bot.cli", *arguments], env=env, stdout=sys.stderr)


def measure(root: Path, device: str) -> list[list[str]]:
    local = {part: root / "local" / part for part in ("language", "vision")}
    for folder in local.values():
        folder.mkdir(parents=True)
    parameters = write_phi2(local["language"])
    assert parameters == PHI2_PARAMETERS, parameters
    write_clip(local["vision"])
    speech = prepare(get_preset("pocket"), WorkerSettings().home, lambda what, done, total: None).speech
    rows = [["parameters of the language model", f"{parameters:,}"]]

    port = free_port()
    env = {
        **os.environ,
        "JNANA_HOME": str(root / "home"),
        "MODEL_PRESET": "phi2",
        "MODEL_DEVICE": device,
        "MODEL_PORT": str(port),
    }
    start = time.perf_counter()
    folders = ("--language-model", str(local["language"]), "--vision", str(local["vision"]), "--speech", str(speech))
    assert jnana("models", "pull", "phi2", *folders, env=env).wait() == 0
    rows.append(["`jnana models pull phi2` from local folders (hard links, hashed)", f"{time.perf_counter() - start:.0f} s"])

    worker = jnana("serve", env=env)
    try:
        start = time.perf_counter()
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        while not ready(client):
            assert worker.poll() is None, "the worker ended"
            time.sleep(0.5)
        rows.append(["`jnana serve`: start to ready, every file hashed again", f"{time.perf_counter() - start:.0f} s"])
        rows += ask(client)
        rows.append(["resident memory of the worker", f"{resident(worker.pid):,.0f} MiB"])
    finally:
        worker.terminate()
        worker.wait(60)
    return rows


def ready(client: openai.OpenAI) -> bool:
    try:
        client.models.list()
    except (openai.APIConnectionError, openai.InternalServerError):
        return False
    return True


def ask(client: openai.OpenAI) -> list[list[str]]:
    answer: Any = client.chat.completions.create(
        model="phi2", messages=[{"role": "user", "content": QUESTION}], max_tokens=ANSWER_TOKENS, temperature=0
    )
    timings = answer.jnana["timings"]
    written = answer.usage.completion_tokens
    return [
        [f"first token, prompt of {answer.usage.prompt_tokens} tokens", f"{timings['prefill']:.2f} s"],
        [f"tokens per second, answer of {written} tokens", f"{(written - 1) / timings['decode']:.2f}"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", help="cpu or cuda, as MODEL_DEVICE")
    device = parser.parse_args().device
    root = Path(tempfile.mkdtemp(prefix="jnana-phi2-", dir=os.environ.get("TMPDIR")))
    try:
        rows = measure(root, device)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(header(f"phi2 at its real size, random weights, {device}", "torch", "transformers", "bitsandbytes"))
    print(table(["what", "measured"], rows))


if __name__ == "__main__":
    main()
