"""lmms-eval, the suite that papers use, asking our server: how, for those who want its figures.

Its flags are those of version 0.7.3 (MIT), model `openai`. It needs an environment of its own, because it asks for av < 16 and
the bot for av >= 18, and it downloads its test sets from the hub.
"""

from __future__ import annotations

HOW = """\
In an environment of its own:

    pip install lmms-eval==0.7.3
    jnana serve                      # in another terminal, from our environment
    python -m lmms_eval --model openai \\
        --model_args model={model},base_url={url},api_key={key},num_concurrent=1,timeout=600 \\
        --tasks pope,gqa --batch_size 1 --limit 100 --output_path lmms-eval

--limit is for a first try. Its figures have no baselines beside them: `jnana evaluate pope` has.
"""


def how(model: str, host: str, port: int, *, has_key: bool) -> str:
    """The commands for a worker with these settings."""
    return HOW.format(model=model, url=f"http://{host}:{port}/v1", key="$MODEL_API_KEY" if has_key else "none")
