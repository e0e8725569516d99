"""A worker process with an adapter, for a bot whose worker rests: `python -m tests.bot.resting_worker FOLDER`.

It answers "ok"; where there is a file FOLDER/hold its first answer stays half written until there is FOLDER/release.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.bot.fake_model import FakeModel

folder = Path(sys.argv[1])
with FakeModel(port=int(os.environ["MODEL_PORT"])) as model:
    model.adapter = "first"
    model.adapters.append("first")
    if (folder / "hold").exists():
        model.status["busy"] = True
        answer = model.say("Half", " a word.", hold=True)
        while not (folder / "release").exists():
            time.sleep(0.02)
        answer.release()
        time.sleep(0.5)  # for the rest of it to be sent
        model.status["busy"] = False
    while True:
        time.sleep(1)
