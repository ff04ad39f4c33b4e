"""Segmentation: Dice of organ models side by side, on held-out phantoms (synthetic) and on two real volumes.

    python benchmarks/segmentation.py --bundles A B C [--patients 12] [--ct-root CT_ROOT] [--pictures DIR]
    python benchmarks/segmentation.py --bundles A --slices 300                     # seconds, beside the phase model

CT_ROOT holds `ircad17` (DICOM, every second slice) with its masks in `masks_nii` (3Dircadb-01; not learned from), and
`totalseg-reference` with TotalSegmentator's example and its labels (not learned from by bundles of
benchmarks/phase_model/organs.py). What the peers call an organ is not always what the phantoms call it:

    ircad17 liver     vessels are left out on both sides;
    ircad17 artery    is scored against the aorta: it holds iliac, renal and visceral arteries, too;
    ircad17 veins     against the vena cava, outside the liver: renal and iliac veins are in it, too;
    totalseg portal   is portal and splenic vein without the branches in the liver, which the phantoms have.

--pictures writes the outlines that each bundle finds on one slice of ircad17.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from inference.judge import answer_slices
from inference.models import Bundle, default_bundle_path, load_bundle
from inference.phantom.organs import ENGLISH, Organ
from inference.segment import OrganMasks, organs_of, segment
from inference.training.segmentation_scores import dice, held_out_volumes, mean_dice
from inference.volume import Volume

Mask = NDArray[np.bool_]
KIDNEY = (Organ.KIDNEY_CORTEX, Organ.KIDNEY_MEDULLA)
TOTALSEG = {
    "aorta": ((52,), (Organ.AORTA,)),
    "inferior vena cava": ((63,), (Organ.INFERIOR_VENA_CAVA,)),
    "portal vein": ((64,), (Organ.PORTAL_VEIN,)),
    "liver": ((5,), (Organ.LIVER,)),
    "spleen": ((1,), (Organ.SPLEEN,)),
    "kidneys": ((2, 3), KIDNEY),
    "urinary bladder": ((21,), (Organ.BLADDER,)),
}
"""Row -> (TotalSegmentator's labels, ours)."""
COLOURS = ((255, 60, 60), (80, 140, 255), (190, 90, 255), (255, 190, 60), (80, 220, 120),
           (255, 240, 80), (255, 140, 40), (60, 230, 230), (240, 240, 240))  # fmt: skip
"""Of the outlines, in the order of a bundle's organs."""
SHOWN_SLICE = 26
"""Of ircad17: liver, spleen, kidneys, aorta, vena cava and portal vein."""


@dataclass(frozen=True)
class Row:
    """One organ of one volume, as somebody else outlined it."""

    name: str
    truth: Mask
    """[slice, row, column] of all slices of the volume."""
    organs: tuple[Organ, ...]
    counted: Mask
    """Pixels that both sides are asked about."""

    def score(self, masks: OrganMasks) -> float:
        """Dice of our organs against the truth."""
        chosen = list(masks.slice_indices)
        found = np.any([masks.mask(organ) for organ in self.organs], axis=0)
        return dice(found & self.counted[chosen], self.truth[chosen] & self.counted[chosen])


def ircad(root: Path) -> tuple[Volume, list[Row]]:
    """A real portal venous series with masks of its liver and vessels."""
    from dicomnode.series.volume import Unjudgeable, load

    (part,) = load(sorted((root / "ircad17").iterdir()))
    if isinstance(part, Unjudgeable):
        raise ValueError(part.reason)
    names = ("liver", "artery", "portalvein", "venoussystem")
    liver, artery, portal, veins = (_nifti(root / "masks_nii" / f"{name}.nii.gz")[::2] > 0 for name in names)
    everywhere = np.ones_like(liver)
    return part.volume, [
        Row("liver", liver, (Organ.LIVER,), ~(portal | veins)),
        Row("aorta", artery, (Organ.AORTA,), everywhere),
        Row("inferior vena cava", veins, (Organ.INFERIOR_VENA_CAVA,), ~liver),
        Row("portal vein", portal, (Organ.PORTAL_VEIN,), everywhere),
    ]


def totalseg(root: Path) -> tuple[Volume, list[Row]]:
    """TotalSegmentator's example, unenhanced, with its own labels."""
    folder = root / "totalseg-reference"
    hounsfield, labels = (
        np.ascontiguousarray(_nifti(folder / name)[:, ::-1, ::-1])
        for name in ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz")
    )
    everywhere = np.ones(labels.shape, bool)
    rows = [Row(name, np.isin(labels, theirs), ours, everywhere) for name, (theirs, ours) in TOTALSEG.items()]
    return Volume.from_array(hounsfield.astype(np.float32), (3.0, 3.0, 3.0)), rows


def _nifti(path: Path) -> NDArray[Any]:
    """values[slice, row, column] as they lie in the file."""
    import nibabel

    image: Any = nibabel.load(path)
    return np.asarray(image.dataobj).transpose(2, 1, 0)


def table(bundles: Sequence[Bundle], patients: int, root: Path | None) -> Iterator[str]:
    """Lines of a Markdown table: one organ of one kind of data a row, one network a column."""
    names = [f"{bundle.card.network}, {bundle.card.options.get('steps', '?')} steps" for bundle in bundles]
    yield "| data | organ | " + " | ".join(names) + " |"
    yield "|---|---|" + "---|" * len(names)
    if patients:
        made = list(tqdm(held_out_volumes(patients, seed=9_500), total=patients, unit="series", leave=False))
        scores = [mean_dice(bundle, made) for bundle in bundles]
        for organ in scores[0]:
            yield _line("held-out phantoms (synthetic)", organ, [score[organ] for score in scores])
    for name, read in (("ircad17", ircad), ("TotalSegmentator's example", totalseg)) if root else ():
        volume, rows = read(root)  # type: ignore[arg-type]
        found = [segment(volume, bundle) for bundle in bundles]
        for row in rows:
            yield _line(name, row.name, [row.score(masks) for masks in found])


def _line(data: str, organ: str, values: Sequence[float]) -> str:
    return f"| {data} | {organ} | " + " | ".join(f"{value:.2f}" for value in values) + " |"


def speed(bundle: Bundle, slices: int, most: int, repeats: int = 3) -> list[tuple[str, float]]:
    """Seconds, median of interleaved runs: the phase of all slices, and the organs of `most` of them."""
    from phase import _one_volume

    volume, phase = _one_volume(slices), load_bundle(default_bundle_path("phase"))
    phases, organs = [], []
    for _ in range(repeats):
        phases.append(_timed(lambda: answer_slices(volume, phase)))
        organs.append(_timed(lambda: segment(volume, bundle, most_slices=most)))
    return [
        (f"read, resample and judge {slices} slices of 512 x 512", statistics.median(phases)),
        (f"read, resample and segment {most} of them with {bundle.card.network}", statistics.median(organs)),
    ]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def picture(bundle: Bundle, volume: Volume, index: int) -> Image.Image:
    """One slice, soft tissue window, beside the same with the outlines that the bundle finds."""
    one = Volume(
        volume.slice_ids[index - 1 : index + 2],
        volume.positions_mm[index - 1 : index + 2],
        volume.shape,
        volume.pixel_spacing_mm,
        lambda i: volume.slice(index - 1 + i),
        volume.flip_rows,
        volume.flip_columns,
    )
    masks = segment(one, bundle)
    grey = (np.clip((volume.slice(index) + 160.0) / 400.0, 0.0, 1.0) * 255).astype(np.uint8)
    drawn = np.repeat(grey[:, :, None], 3, axis=2)
    plain = drawn.copy()
    for number, organ in enumerate(masks.organs):
        drawn[_edge(masks.mask(organ)[1])] = COLOURS[number % len(COLOURS)]
    return Image.fromarray(np.hstack([plain, drawn]))


def _edge(mask: Mask) -> Mask:
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    return mask & ~inner


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path, nargs="+", default=[default_bundle_path("organs")])
    parser.add_argument("--patients", type=int, default=12, help="held-out phantoms; 0 for none")
    parser.add_argument("--ct-root", type=Path, help="folder of the real volumes")
    parser.add_argument("--pictures", type=Path, help="write outlines on a real slice there (needs --ct-root)")
    parser.add_argument("--slices", type=int, help="time a series of so many slices instead")
    parser.add_argument("--most", type=int, default=48, help="segment at most so many of them")
    options = parser.parse_args(arguments)
    bundles = [load_bundle(path) for path in options.bundles]
    if options.slices:
        for bundle in bundles:
            for name, seconds in speed(bundle, options.slices, options.most):
                print(f"{seconds:8.2f} s  {name}")
        return 0
    for line in table(bundles, options.patients, options.ct_root):
        print(line)
    if options.pictures and options.ct_root:
        options.pictures.mkdir(parents=True, exist_ok=True)
        volume, _ = ircad(options.ct_root)
        for bundle in bundles:
            picture(bundle, volume, SHOWN_SLICE).save(options.pictures / f"{bundle.card.network}.png")
        print(f"Legend: {', '.join(f'{ENGLISH[o]} {c}' for o, c in zip(organs_of(bundles[0]), COLOURS, strict=False))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
