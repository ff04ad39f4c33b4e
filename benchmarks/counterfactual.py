"""Counterfactuals: how far they can be trusted, beside Grad-CAM and SAM; every figure on slices that were held out.

    python benchmarks/counterfactual.py --generator BUNDLE [--slices 240] [--real ROOT] [--sheet samples.png]
    python benchmarks/counterfactual.py --sizes [--slices 240]        what any generator of a size can keep at best

Held-out phantoms: shapes, kernels and noise of the setting that nothing was trained on; synthetic, and called so.
Intervals: 95 %, groups of two synthetic patients drawn with replacement. "Sure" slices are those of which the phase
model's own slice probability is at least 0.7: the node starts from such slices only, for its key slices are.

    kept         the phase model gives the reconstruction the answer that it gave the slice; all slices count
    spearman     of lambda and the logit of the target, over the walk from -3 to 3 standard deviations
    flip         the answer becomes the target within 3 standard deviations, the target being the neighbouring phase
    organ share  of |x - x0| in phase-bearing organs, where the walk flips; beside it the share of organs among as many
                 of the hottest pixels as the organs have, for this change, Grad-CAM and SAM on the same slices
    FID-like     Frechet distance on the features of the phase network; the distance between two sets of phantoms of
                 other patients is printed beside it. It is comparable to nothing but itself.
    time         one counterfactual of one series from slices to frames, on two cores

--real ROOT: every CT series in the folders below, each by itself. Exit status 1 when an aim of the table is missed.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from inference.counterfactual.fidelity import bootstrapped, frechet_distance, share_in, share_of_hottest
from inference.counterfactual.inversion import Inversion, Refinement, invert
from inference.counterfactual.model import CounterfactualModel
from inference.counterfactual.predictor import predictor_of, probabilities
from inference.counterfactual.series import counterfactual, neighbour, towards
from inference.counterfactual.view import View
from inference.counterfactual.walk import Walk
from inference.errors import CannotJudge
from inference.explain import explain
from inference.judge import judge
from inference.models import Bundle, default_bundle_path, load_bundle
from inference.phantom.generate import stream
from inference.phantom.organs import PHASE_BEARING
from inference.phantom.slices import PhantomSlice
from inference.phases import PHASES
from inference.preprocessing import Grid, channels, clean, place, resample
from inference.rendering.caption import Caption
from inference.rendering.counterfactual import frames
from inference.training.generator_sheet import tiled
from inference.training.phantoms import HELD_OUT, SLICE_PIXELS, studies

SEED, GROUP, SURE = 90_210, 24, 0.7
LEAST_ORGAN_PIXELS = 20.0
"""Of the view's grid; slices with less are not used for shares."""
AIMS = {"spearman": 0.9, "flip": 0.9, "kept": 0.9, "organ share": 0.6, "megabytes": 40.0, "seconds": 20.0}


@dataclass(frozen=True)
class Sample:
    """One held-out slice, on the grids that are needed."""

    seen: torch.Tensor
    """[1, 1, row, column] of the generator's view."""
    hounsfield: NDArray[np.float32]
    """On the phase model's grid."""
    organs: NDArray[np.float32]
    """Covered share of each pixel of the view."""
    group: int


def held_out(model: CounterfactualModel, count: int, first: int = SEED) -> list[Sample]:
    made = islice(stream(first, SLICE_PIXELS, HELD_OUT), count)
    return [_sample(one, model, number // GROUP) for number, one in enumerate(made)]


def _sample(one: PhantomSlice, model: CounterfactualModel, group: int) -> Sample:
    cleaned = clean(one.hounsfield)
    seen, where = model.view.seen(one.hounsfield, one.spacing_mm)
    judged = resample(cleaned, place(cleaned, one.spacing_mm), model.predictor.grid)
    bearing = np.isin(one.labels, [int(organ) for organ in PHASE_BEARING]).astype(np.float32)
    # Resampling lays air outside; zero there is what is wanted of a mask.
    organs = resample(bearing - 1000.0, where, model.view.grid) + 1000.0
    return Sample(seen, judged, np.clip(organs, 0.0, 1.0), group)


def inverted(model: CounterfactualModel, samples: Sequence[Sample], refinement: Refinement) -> list[Inversion]:
    source = probabilities(model.predictor.logits(np.stack([s.hounsfield for s in samples])))
    found: list[Inversion] = []
    for start in range(0, len(samples), 32):
        images = torch.cat([s.seen for s in samples[start : start + 32]])
        found += invert(model, images, source[start : start + 32], refinement)
    return found


def kept_figures(name: str, found: Sequence[Inversion], groups: NDArray[np.int64]) -> float:
    """Prints kept, and how large the errors are; returns the share kept of all slices."""
    kept = np.array([float(i.source.argmax() == i.kept.argmax()) for i in found])
    sure = np.array([i.source.max() >= SURE for i in found])
    errors = np.array([[i.error_hu, i.fidelity_error, i.distance] for i in found])
    print(f"{name}: kept, all slices    {bootstrapped(kept, groups, _mean)}")
    print(f"{name}: kept, sure slices   {bootstrapped(kept[sure], groups[sure], _mean)}")
    print(f"{name}: error in the body   median {np.median(errors[:, 0]):.1f} HU")
    print(f"{name}: |f(x) - f(G(E(x)))| median {np.median(errors[:, 1]):.3f}")
    print(f"{name}: distance            median {np.median(errors[:, 2]):.2f}, farthest known {found[0].farthest:.2f}")
    return float(kept.mean())


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


def _median(values: NDArray[np.float64]) -> float:
    return float(np.nanmedian(values))


@dataclass(frozen=True)
class Walked:
    """One slice that was explained."""

    sample: Sample
    inversion: Inversion
    walk: Walk


def walked(model: CounterfactualModel, samples: Sequence[Sample], found: Sequence[Inversion]) -> list[Walked]:
    """The walks to the neighbouring phase of all sure slices that the node would explain."""
    made = []
    for sample, inversion in zip(samples, found, strict=True):
        if inversion.reason is None and inversion.source.max() >= SURE:
            target = neighbour(PHASES[int(inversion.source.argmax())], inversion)
            made.append(Walked(sample, inversion, towards(model, inversion, target)))
    return made


def walk_figures(model: CounterfactualModel, made: Sequence[Walked]) -> tuple[float, float]:
    """Prints Spearman and flips, together, by way and by what the slice shows; returns both."""
    groups = np.array([w.sample.group for w in made])
    spearman = np.array([w.walk.spearman for w in made])
    flips = np.array([float(w.walk.flip_sd is not None) for w in made])
    print(f"spearman, median            {bootstrapped(spearman, groups, _median)}")
    print(f"flip within 3 sd            {bootstrapped(flips, groups, _mean)}")
    held = np.array([float(w.walk.holds) for w in made])
    print(f"… and from there on         {bootstrapped(held, groups, _mean)}")
    ways = [f"{_answer(w)} > {PHASES[w.walk.target].value}" for w in made]
    for kinds in (ways, [model.regions_of(w.inversion.anatomy)[-1].value for w in made]):
        for name in sorted(set(kinds)):
            of = np.array([kind == name for kind in kinds])
            print(f"  {name:30} n = {of.sum():3}  spearman {_median(spearman[of]):.3f}  flips {flips[of].mean():.2f}")
    return _median(spearman), float(flips.mean())


def _answer(w: Walked) -> str:
    return PHASES[int(w.inversion.source.argmax())].value


def share_figures(model: CounterfactualModel, bundle: Bundle, made: Sequence[Walked]) -> float:
    """Prints where the change lies, beside two maps; returns the share of the change."""
    chosen = [w for w in made if w.sample.organs.sum() >= LEAST_ORGAN_PIXELS]
    groups = np.array([w.sample.group for w in chosen])
    maps = _maps(model, bundle, chosen)
    shares = np.array([share_in(_change(w), w.sample.organs) for w in chosen])
    area = np.array([float(w.sample.organs.sum() / (w.inversion.hounsfield > -150).sum()) for w in chosen])
    print(f"organ share of the change   {bootstrapped(shares, groups, _median)} (median)")
    print(f"organs' share of the body   {np.median(area):.3f} (median): what chance would give")
    for name, values in {"counterfactual": [_change(w) for w in chosen], **maps}.items():
        hot = np.array([share_of_hottest(v, w.sample.organs) for v, w in zip(values, chosen, strict=True)])
        print(f"  organs among the hottest, {name:14} {bootstrapped(hot, groups, _mean)}")
    return _median(shares)


def _change(w: Walked) -> NDArray[np.float32]:
    """|x - x0| at the first step that flips, or at the last one."""
    steps = list(w.walk.steps_sd)
    at = steps.index(w.walk.flip_sd) if w.walk.flip_sd is not None else len(steps) - 1
    return np.asarray(w.walk.change[at])


def _maps(model: CounterfactualModel, bundle: Bundle, chosen: Sequence[Walked]) -> dict[str, list[NDArray[np.float32]]]:
    """Grad-CAM and SAM of the answer at the layers the node uses, on the view's pixels."""
    grid, layers = Grid.from_options(bundle.card.options), bundle.card.options["layers"]
    found: dict[str, list[NDArray[np.float32]]] = {"grad-cam": [], "sam": []}
    for w in chosen:
        inputs = torch.from_numpy(channels(w.sample.hounsfield[None], grid.windows))
        target = int(w.inversion.source.argmax())
        for name, values in found.items():
            heat = explain(bundle.module, inputs, target=target, layers=[layers[name]], maps=[name]).get(name).values
            size = (model.view.size, model.view.size)
            small = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(heat)[None].clamp(min=0), size)
            values.append(small[0, 0].numpy())
    return found


def realism_figures(
    model: CounterfactualModel, bundle: Bundle, samples: Sequence[Sample], first: int, sheet: Path | None
) -> None:
    """Prints the distance of made images from held-out phantoms, and of phantoms from other phantoms."""
    features = _features(model, bundle)
    ours = features(_through(model, torch.cat([s.seen for s in samples])))
    others = list(islice(stream(first + 1, SLICE_PIXELS, HELD_OUT), len(samples)))
    again = features(_through(model, torch.cat([model.view.seen(o.hounsfield, o.spacing_mm)[0] for o in others])))
    latent = model.network.generator.shape.latent
    z = torch.randn((max(64, len(samples)), latent), generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        made = model.network.generator(z, _places(model, samples, len(z)))
    print(f"FID-like, samples           {frechet_distance(ours, features(_through(model, made))):.2f}")
    print(f"FID-like, other phantoms    {frechet_distance(ours, again):.2f} (n = {len(samples)} each)")
    if sheet is not None:
        Image.fromarray(tiled(made[:64], 8, zoom=1)).save(sheet)


def _places(model: CounterfactualModel, samples: Sequence[Sample], count: int) -> torch.Tensor | None:
    """Anatomy of the samples, over and over until there are enough; None for a generator that takes none."""
    images = torch.cat([samples[i % len(samples)].seen for i in range(count)])
    return model.network.encoder.anatomy(images)


def _through(model: CounterfactualModel, images: torch.Tensor) -> NDArray[np.float32]:
    return model.view.onto(model.view.hounsfield(images[:, 0]), model.predictor.grid)


def _features(model: CounterfactualModel, bundle: Bundle) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    @torch.inference_mode()
    def features(hounsfield: NDArray[np.float32]) -> NDArray[np.float64]:
        parts = torch.from_numpy(channels(hounsfield, model.predictor.grid.windows)).split(32)
        return torch.cat([bundle.module.features(part) for part in parts]).double().numpy()  # type: ignore[operator]

    return features


def time_figure(model: CounterfactualModel, bundle: Bundle) -> float:
    """Seconds from key slices to frames, the median of five held-out series, on two threads."""
    torch.set_num_threads(2)
    caption, seconds = Caption("1", "phantom", datetime(2026, 1, 1, tzinfo=UTC)), []
    for study in islice(studies(3, seed=9_500, setting=HELD_OUT, textbook=True), 5):
        keys = judge(study.volume, bundle, maps=()).key_slices
        start = time.perf_counter()
        frames(counterfactual(study.volume, model, keys), caption)
        seconds.append(time.perf_counter() - start)
    torch.set_num_threads(1)
    print(f"seconds for one series      {statistics.median(seconds):.1f} (most {max(seconds):.1f}; 2 threads)")
    return statistics.median(seconds)


def size_figures(bundle: Bundle, count: int) -> None:
    """How often the phase model gives a slice its own answer again once it has been through the view of a size."""
    grid = Grid.from_options(bundle.card.options)
    predictor, made = predictor_of(bundle), list(islice(stream(SEED, SLICE_PIXELS, HELD_OUT), count))
    groups = np.arange(count) // GROUP
    cleaned = [clean(one.hounsfield) for one in made]
    places = [place(image, one.spacing_mm) for image, one in zip(cleaned, made, strict=True)]
    full = np.stack([resample(image, where, grid) for image, where in zip(cleaned, places, strict=True)])
    known = probabilities(predictor.logits(full))
    for size in (64, 80, 128, 160):
        view = View(size=size, pixel_mm=grid.size * grid.pixel_mm / size)
        seen = torch.cat([view.seen(one.hounsfield, one.spacing_mm)[0] for one in made])
        again = predictor.logits(view.onto(view.hounsfield(seen[:, 0]), grid))
        kept = (again.argmax(axis=1) == known.argmax(axis=1)).astype(np.float64)
        sure = known.max(axis=1) >= SURE
        print(f"{size:3} px: kept {bootstrapped(kept, groups, _mean)}, sure {kept[sure].mean():.3f}")


def real_figures(model: CounterfactualModel, bundle: Bundle, root: Path) -> None:
    """One line for each acquisition below `root`."""
    from dicomnode.series.volume import Unjudgeable, load

    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for part in load(sorted(path for path in folder.rglob("*") if path.is_file())):
            if isinstance(part, Unjudgeable):
                continue
            try:
                keys = judge(part.volume, bundle, maps=()).key_slices
            except CannotJudge as error:
                print(f"  {folder.name:14} not judged: {error.reason}")
                continue
            found = counterfactual(part.volume, model, keys)
            facts = f"error {found.error_hu:.0f} HU, |dp| {found.fidelity_error:.2f}, distance {found.distance:.2f}"
            said = found.reason or _said(found.walk)
            print(f"  {folder.name:14} {found.answer.value} > {found.target.value}: {facts}; {said}")


def _said(made: Walk | None) -> str:
    if made is None:
        return "no walk"
    flip = "no flip" if made.flip_sd is None else f"flips at {made.flip_sd:+g} sd"
    return f"spearman {made.spearman:.2f}, {flip}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every figure and returns 0 when all aims are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--generator", type=Path, metavar="BUNDLE", help="made by `dicomnode train --task generator`")
    what.add_argument("--sizes", action="store_true", help="only what sizes keep; needs no generator")
    parser.add_argument("--slices", type=int, default=240, help="held-out phantom slices")
    parser.add_argument("--first", type=int, default=SEED, help="seed of these slices: another one gives others")
    parser.add_argument("--refine", type=int, default=Refinement().steps, help="steps behind the encoder")
    parser.add_argument("--real", type=Path, metavar="ROOT", help="folders of CT slices")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="64 samples")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    bundle = load_bundle(default_bundle_path("phase"))
    if options.sizes:
        size_figures(bundle, options.slices)
        return 0
    model = CounterfactualModel.of(load_bundle(options.generator), bundle)
    megabytes = sum(path.stat().st_size for path in options.generator.iterdir()) / 1e6
    print(f"{model.card.name} {model.card.version}, {model.card.options['steps']} steps; {megabytes:.1f} MB")
    samples = held_out(model, options.slices, options.first)
    groups = np.array([s.group for s in samples])
    kept_figures("encoder", inverted(model, samples, Refinement(steps=0)), groups)
    found = inverted(model, samples, Refinement(steps=options.refine))
    reached = {"kept": kept_figures("refined", found, groups)}
    made = walked(model, samples, found)
    sure = sum(i.source.max() >= SURE for i in found)
    print(f"explained                   {len(made)} of {sure} sure slices; the others are withheld with a reason")
    reached["spearman"], reached["flip"] = walk_figures(model, made)
    reached["organ share"] = share_figures(model, bundle, made)
    realism_figures(model, bundle, samples, options.first, options.sheet)
    reached |= {"megabytes": megabytes, "seconds": time_figure(model, bundle)}
    if options.real is not None:
        real_figures(model, bundle, options.real)
    missed = [n for n, aim in AIMS.items() if (reached[n] > aim if n in ("megabytes", "seconds") else reached[n] < aim)]
    print(f"AIMS NOT MET: {', '.join(missed)}" if missed else "aims met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
