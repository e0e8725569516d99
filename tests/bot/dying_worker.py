"""A worker process that gets stuck in the middle of its first answer: `python -m tests.bot.dying_worker FOLDER`.

Started again in the same folder, it answers "ok".
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.bot.fake_model import FakeModel

marker = Path(sys.argv[1]) / "pid"
with FakeModel(port=int(os.environ["MODEL_PORT"])) as model:
    if not marker.exists():
        model.say("Half", hold=True)
        marker.write_text(str(os.getpid()))
    while True:
        time.sleep(1)
