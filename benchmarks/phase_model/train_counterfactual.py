"""Train the generator: phantoms, real slices, and real slices whose contrast was painted anew.

    python benchmarks/phase_model/train_counterfactual.py CT_ROOT --work DIR [--hours 5.4] [--device cuda] --out BUNDLE

CT_ROOT as for train.py; what is learned from is of the series that may be (crlm1004 besides). Nothing is labelled here:
the directions are learned from the answers of the shipped phase model. DIR keeps donors, shards, checkpoint and sample
sheets: the same command goes on where it was stopped. With --device cuda it makes 160 pixels instead of 128. DIR holds
real pixels and is not for sharing. --fit-only takes the checkpoint as it is and writes the bundle.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from painting import any_donor, painted_pair
from train import PAINTED_SLICES, WEIGHTS, donors

from dicomnode.series.volume import Unjudgeable, load
from inference.models import default_bundle_path, load_bundle
from inference.training.datasets import write_shard
from inference.training.generator_data import pack_alone, pack_pairs
from inference.training.generator_loop import Weights
from inference.training.own_data import Labelled, write_own
from inference.training.phantoms import PAIRS, Order, fill
from inference.training.train_generator import GeneratorTraining, train_generator

REAL = ("acrin001-abd", "lfcp0001", "ctpe0117", "crlm1006", "crlm1004")
SHARES = {"painted": 0.3, "real": 0.06}
"""Folder of shards -> share of a batch; phantoms are the rest."""
SHARDS = {"phantoms": 60, "painted": 30}
SEEDS = {"phantoms": 61, "painted": 17}
DATA = (
    "Synthetic CT from inference.phantom (training setting); real CT volumes as they are and with their contrast "
    "painted anew: TotalSegmentator's example CT and CTA (Apache-2.0), ACRIN acrin001-abd and lfcp0001 (CC BY 3.0), "
    "ctpe0117, crlm1006 and crlm1004 (CC BY 4.0). No label was learned from; the directions are learned from the "
    "answers of the phase model."
)


def make_shards(root: Path, work: Path, training: GeneratorTraining, counts: dict[str, int]) -> None:
    """All shards; what is there already is not made again."""
    grid = training.view.grid
    fill([Order(work / "phantoms", PAIRS, counts["phantoms"], SEEDS["phantoms"])], grid, niceness=0)
    write_own(work / "real", _real(root), grid, validation_share=0.0, packed=pack_alone)
    missing = [n for n in range(counts["painted"]) if not (work / "painted" / f"{n:05d}").exists()]
    made = donors(root, work) if missing else {}
    for number in missing:
        rng = np.random.default_rng([SEEDS["painted"], number])
        pairs = [painted_pair(any_donor(made, WEIGHTS, rng), rng) for _ in range(PAINTED_SLICES)]
        write_shard(work / "painted", f"{number:05d}", pack_pairs(pairs, grid))


def _real(root: Path) -> Iterator[Labelled]:
    for name in REAL:
        for part in load(sorted(path for path in (root / name).rglob("*") if path.is_file())):
            if not isinstance(part, Unjudgeable):
                yield Labelled(name, part.volume, None)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct_root", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=5.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alone", type=int, default=30_000, help="first steps without a discriminator")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fit-only", action="store_true", help="no more steps: directions and bundle alone")
    parser.add_argument("--version", default="1.0", help="what the card says")
    parser.add_argument("--most-steps", type=int, help="stop early: to try the command")
    parser.add_argument("--most-shards", type=int, help="of each kind: to try the command")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    training = GeneratorTraining.fitting_to(
        options.device,
        hours=1e-9 if options.fit_only else options.hours,
        weights=Weights(alone=options.alone),
        seed=options.seed,
        workers=0,
        most_steps=options.most_steps,
        version=options.version,
        data=DATA,
    )
    most = options.most_shards or max(SHARDS.values())
    make_shards(options.ct_root, options.work, training, {k: min(v, most) for k, v in SHARDS.items()})
    sources = {options.work / folder: share for folder, share in SHARES.items()}
    explained = load_bundle(default_bundle_path("phase"))
    card = train_generator(
        options.out, options.work, explained, training, sources=sources, device=options.device, note=print
    )
    print(f"{options.out}: {card.options['steps']} steps, weights {card.weights_sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
