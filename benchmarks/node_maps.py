"""What the maps of the key slices add to judging a series, as the node does both: one run, the same volume.

    python benchmarks/node_maps.py [--slices 300] [--rounds 3]

The volume is noise around an ellipse, 512 x 512: what is in it makes no difference to the time. Prints both times and
their ratio; ends with 1 when the maps take longer than the judgement.
"""

import argparse
import sys
import time
from statistics import median

import numpy as np

from inference.errors import CannotJudge
from inference.judge import answer_slices, explain_slices
from inference.models import default_bundle_path, load_bundle
from inference.phases import Phase
from inference.volume import Hounsfield, Volume

MAPS = ("sam", "grad-cam")
KEY_SLICES = 3


def volume(slices: int) -> Volume:
    """A stack that is made as it is read."""
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    body = np.where(x**2 / 0.7 + y**2 / 0.4 < 1, 60.0, -1000.0).astype(np.float32)

    def read(index: int) -> Hounsfield:
        return body + np.random.default_rng(index).normal(0, 15, body.shape).astype(np.float32)

    ids = tuple(str(i) for i in range(slices))
    return Volume(ids, tuple(float(i) for i in range(slices)), (512, 512), (0.8, 0.8), read)


def main() -> int:
    """Prints both times and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    bundle, stack = load_bundle(default_bundle_path("phase")), volume(arguments.slices)
    keys = tuple(np.linspace(0, arguments.slices - 1, KEY_SLICES).round().astype(int).tolist())
    judging, explaining = [], []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        try:
            answer_slices(stack, bundle)
        except CannotJudge as error:
            print(f"the volume is not judged: {error}", file=sys.stderr)
        between = time.perf_counter()
        explain_slices(stack, bundle, keys, Phase.PORTAL_VENOUS, MAPS)
        judging.append(between - start)
        explaining.append(time.perf_counter() - between)
    ratio = median(a / b for a, b in zip(explaining, judging, strict=True))
    print(f"{arguments.slices} slices judged: {median(judging):.2f} s; maps and scores of {KEY_SLICES} key slices:")
    print(f"{median(explaining):.2f} s, {ratio:.2f} of the judgement's time (aim: at most 1)")
    return 0 if ratio <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
