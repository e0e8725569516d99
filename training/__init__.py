"""How the mind is made: stages 0 to 2, their data, their loop. Imports model/, never bot/."""

import logging

# It warns at import about a kernel on a hub, on processors that could use it, and does without.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
