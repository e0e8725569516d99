"""lmms-eval, the suite that papers use, asking our server: how, for those who want its figures.

Version 0.7.3 (MIT), model `openai`, as an extra: sixteen small packages beside ours (requirements/lmms.txt). Its own metadata
asks for av < 16, which only tasks with videos import, and for sixty packages of other models and tasks; pyproject.toml leaves
them out.
"""

from __future__ import annotations

HOW = """\
In this environment, once:

    pip install --require-hashes --no-deps -r requirements/lmms.txt

and then:

    jnana serve                      # in another terminal
    python -m lmms_eval --model openai \\
        --model_args model={model},base_url={url},api_key={key},num_concurrent=1,timeout=600 \\
        --tasks pope,gqa --batch_size 1 --limit 100 --output_path lmms-eval --log_samples

It downloads its test sets from the hub. --limit is for a first try. Its figures have no baselines beside them: `jnana evaluate
pope` has. And its pope counts "Yes." as wrong where "yes" is right: look at the answers.
"""


def how(model: str, host: str, port: int, *, has_key: bool) -> str:
    """The commands for a worker with these settings."""
    return HOW.format(model=model, url=f"http://{host}:{port}/v1", key="$MODEL_API_KEY" if has_key else "none")
