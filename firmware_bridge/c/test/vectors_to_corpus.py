"""Writes the bytes of the golden vectors as the seeds of the fuzzer: ``python vectors_to_corpus.py FOLDER CORPUS``."""

import json
import sys
from pathlib import Path

corpus = Path(sys.argv[2])
corpus.mkdir(parents=True, exist_ok=True)
for path in Path(sys.argv[1]).glob("*.json"):
    # The delimiter ahead: what comes before the first one is not called bad.
    (corpus / path.stem).write_bytes(b"\0" + bytes.fromhex(json.loads(path.read_text())["wire"]))
