"""Worker: log-mel by hydroear.dsp. Arguments: spec.json audio.npy output.npy, the last for comparison."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from stopwatch import serve

from hydroear.dsp import FrontEnd, FrontEndSpec

BLOCK_S = 0.1


def main() -> None:
    spec_path, audio_path, output_path = map(Path, sys.argv[1:])
    spec = FrontEndSpec.from_json(spec_path.read_text())
    audio = np.load(audio_path)
    bare = replace(spec, highpass_hz=0.0)
    np.save(output_path, FrontEnd(bare, input_rate_hz=bare.rate_hz).frames(audio)[0])

    log_mel = FrontEnd(bare, input_rate_hz=bare.rate_hz)
    front_end = FrontEnd(spec, input_rate_hz=spec.rate_hz)
    blocks = np.split(audio, range(0, len(audio), round(BLOCK_S * spec.rate_hz))[1:])
    serve(
        {
            "log-mel": lambda: log_mel.frames(audio),
            "front-end": lambda: [front_end.push(block) for block in blocks],
        }
    )


if __name__ == "__main__":
    main()
