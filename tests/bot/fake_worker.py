"""A worker process for the supervisor's tests: `fake_worker.py MODE FOLDER` writes its environment to FOLDER/start-N.

It answers somebody while there is a file FOLDER/busy.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

mode, folder = sys.argv[1], Path(sys.argv[2])
starts = len(list(folder.glob("start-*")))
partial = folder / f".start-{starts}"  # the test reads what it sees
partial.write_text(json.dumps({"pid": os.getpid(), "sid": os.getsid(0), "env": dict(os.environ)}))
partial.rename(folder / f"start-{starts}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if mode == "bad-weights":
    say("weights.bin is damaged: run `jnana models pull`")
    sys.exit(3)
if mode == "port-lent" and starts == 1:
    sys.exit(4)
if mode == "crash" or (mode == "crash-once" and starts == 0):
    say("about to crash")
    sys.exit(1)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if mode == "hang-once" and starts == 0 and (folder / "hang").exists():
            time.sleep(60)
        busy = (folder / "busy").exists()
        body = json.dumps({"status": "ready", "preset": "fake", "device": "cpu", "busy": busy}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


say("converting: 50 %")
say(json.dumps({"event": "model loaded", "level": "warning", "seconds": 1.5, "timestamp": "now"}))
print("ready: http://nowhere", flush=True)
HTTPServer(("127.0.0.1", int(os.environ["MODEL_PORT"])), Health).serve_forever()
