"""Worker: one window from samples to site score. Arguments: audio.npy site.json runtime."""

import itertools
import sys
from pathlib import Path

import numpy as np
from stopwatch import serve

from hydroear.dsp import FrontEnd
from hydroear.model import SHIPPED_BUNDLE, choose_runtime, read_bundle
from hydroear.score import Scorer, SiteCalibration, SiteScorer


def main() -> None:
    audio_path, site_path, runtime = sys.argv[1:]
    bundle = read_bundle(SHIPPED_BUNDLE)
    scorer = SiteScorer(Scorer(bundle, choose_runtime(runtime)), SiteCalibration.load(Path(site_path)))
    spec = bundle.front_end
    front_end = FrontEnd(spec, input_rate_hz=spec.rate_hz)
    audio = np.load(audio_path)
    front_end.push(audio[: spec.window_samples])
    hop = spec.window_hop_frames * spec.hop
    hops = itertools.cycle([audio[at : at + hop] for at in range(spec.window_samples, len(audio) - hop, hop)])

    def hear_and_score() -> None:
        (window,) = front_end.push(next(hops))
        scorer.score(window)

    serve({"window": hear_and_score})


if __name__ == "__main__":
    main()
