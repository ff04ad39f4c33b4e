"""Train an organ model as the one that ships: phantoms, and three real CT volumes bent and painted anew.

    python benchmarks/phase_model/organs.py CT_ROOT --work DIR --network double-unet --hours 0.33 --out BUNDLE

CT_ROOT as for train.py. `acrin001-abd`, `crlm1006` and `ctpe0117` are the donors, with the outlines that the phase
model was trained with; TotalSegmentator's example and ircad17 are left out, so that figures on them are of volumes that
were never seen. What nobody outlined in a donor (the trunk of the portal vein in crlm1006, the pelvis) counts as
background there. DIR keeps donors, shards and one checkpoint a network: the same command goes on where it was stopped,
and another --network learns from the same shards. DIR holds real pixels and is not for sharing.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import abdomen
import thorax
import torch
from donors import Donor
from tqdm import tqdm
from train import donors, labelled_donor

from inference.phantom.repaint import repainted_stream
from inference.phantom.slices import PhantomSlice
from inference.preprocessing import Grid
from inference.training.datasets import write_shard
from inference.training.phantoms import MASKS, SLICE_PIXELS, Order, fill
from inference.training.segmentation_data import pack_masks
from inference.training.train_segmentation import WIDTHS, SegmentationTraining, train_segmentation

DONORS: dict[str, Callable[[Path], Donor]] = {
    "acrin001-abd": abdomen.acrin001,
    "crlm1006": abdomen.crlm1006,
    "ctpe0117": thorax.ctpe0117,
}
SHARES = {"phantoms": 0.6, "bent": 0.4}
"""Folder of shards -> share of a batch."""
SHARDS = {"phantoms": 12, "bent": 8}
SEEDS = {"phantoms": 71, "bent": 73}
"""Of the shards; --seed is added."""
BENT_SLICES = 60
"""A bent shard's for each donor."""
DATA = (
    "Synthetic CT from inference.phantom (training setting) with the organ of every pixel, and three real CT volumes "
    "with organs outlined by hand, bent and painted anew: ACRIN acrin001-abd (CC BY 3.0), ctpe0117 and crlm1006 "
    "(CC BY 4.0)."
)


def make_shards(root: Path, work: Path, grid: Grid, seed: int, counts: dict[str, int]) -> None:
    """All shards; what is there already is not made again."""
    fill([Order(work / "phantoms", MASKS, counts["phantoms"], SEEDS["phantoms"] + seed)], grid, niceness=0)
    missing = [n for n in range(counts["bent"]) if not (work / "bent" / _name(seed, n)).exists()]
    made = donors(root, work, DONORS) if missing else {}
    for number in tqdm(missing, desc="bent", unit="shard"):
        slices = bent_slices(made, SEEDS["bent"] + seed, number)
        write_shard(work / "bent", _name(seed, number), pack_masks(slices, grid))


def bent_slices(made: dict[str, Donor], seed: int, number: int) -> list[PhantomSlice]:
    """Volumes bent, turned and cut anew, painted."""
    found: list[PhantomSlice] = []
    for donor in made.values():
        found += islice(repainted_stream(labelled_donor(donor), seed * 1000 + number, SLICE_PIXELS), BENT_SLICES)
    return found


def _name(seed: int, number: int) -> str:
    return f"{SEEDS['bent'] + seed:06d}-{number:05d}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct_root", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--network", choices=tuple(WIDTHS), action="append", help="one or several, one after another")
    parser.add_argument("--out", type=Path, help="folder of the bundle; of bundles by network where there are several")
    parser.add_argument("--hours", type=float, default=0.33, help="for each network")
    parser.add_argument("--rarity", type=float, default=0.0, help="how much more a rare organ's pixel counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--version", default="1.0", help="what the card says")
    parser.add_argument("--most-steps", type=int, help="stop early: to try the command")
    parser.add_argument("--most-shards", type=int, help="of each kind: to try the command")
    options = parser.parse_args(arguments)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    training = SegmentationTraining(
        rarity=options.rarity, seed=options.seed, workers=0, phantom_shards=0, version=options.version, data=DATA
    ).lasting(options.hours)
    training = replace(training, schedule=replace(training.schedule, most_steps=options.most_steps))
    most = options.most_shards or max(SHARDS.values())
    counts = {folder: min(count, most) for folder, count in SHARDS.items()}
    make_shards(options.ct_root, options.work, training.grid, options.seed, counts)
    sources = {options.work / folder: share for folder, share in SHARES.items()}
    for network in options.network or ():
        out = options.out if len(options.network) == 1 else options.out / network
        bundle = train_segmentation(
            out, options.work / network, replace(training, network=network), sources=sources, note=print
        )
        print(f"{out}: {bundle.card.options['steps']} steps, weights {bundle.card.weights_sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
