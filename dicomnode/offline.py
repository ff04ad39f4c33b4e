"""Without a network: judge or explain every CT series in a folder, with the node's own functions."""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicomnode.config import Settings, load
from dicomnode.errors import ConfigurationError
from dicomnode.findings_table import declined_row, judged_row, print_table
from dicomnode.pipeline import Judged, Outcome, analyse, compose, decline
from dicomnode.series.header import Header, MalformedHeader
from dicomnode.series.part10 import read_file_header
from dicomnode.series.screening import ANSWERED_CLASSES, Policy, screen
from inference.phases import Phase
from inference.volume import Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FolderSeries:
    """One series as it lies in a folder."""

    study_uid: str
    series_uid: str
    description: str
    paths: tuple[Path, ...]
    """Its instances that can be judged."""
    set_aside: str
    """Why the others are not judged; "" when there are none."""
    answered: tuple[Path, ...]
    """Those of the others that a report may answer: see `screening.ANSWERED_CLASSES`."""


def series_in(folder: Path) -> list[FolderSeries]:
    """All series below a folder, in the order of their first file. Files that are no DICOM objects are passed over."""
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder")
    found: dict[tuple[str, str], list[tuple[Path, Header]]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = read_file_header(path)
        except MalformedHeader as error:
            log.info("passed over %s: %s", path.name, error)
            continue
        found.setdefault((header.study_uid, header.series_uid), []).append((path, header))
    return [_series(*uids, instances) for uids, instances in found.items()]


def _series(study_uid: str, series_uid: str, instances: Sequence[tuple[Path, Header]]) -> FolderSeries:
    screened = [(path, header, screen(header, Policy())) for path, header in instances]
    reasons = [screening.reason for _, _, screening in screened if screening.reason]
    return FolderSeries(
        study_uid=study_uid,
        series_uid=series_uid,
        description=next((header.series_description for _, header in instances if header.series_description), ""),
        paths=tuple(path for path, _, screening in screened if screening.disposition == "judge"),
        set_aside=reasons[0] if reasons else "",
        answered=tuple(
            path
            for path, header, screening in screened
            if screening.disposition == "set aside" and header.sop_class_uid in ANSWERED_CLASSES
        ),
    )


def outcomes_of(series: FolderSeries, settings: Settings, maps: Sequence[str]) -> list[Outcome]:
    """What the node would say of each part."""
    from dicomnode.worker import judge_with, part_limits

    if not series.paths:
        sources = series.answered if settings.results.declined_report else ()
        return [decline(sources, series.set_aside or "The series has no CT images.")]
    return analyse(series.paths, judge_with(settings, maps), part_limits(settings))


def judge_folder(config: Path | None, folder: Path, *, as_json: bool, out: Path | None) -> int:
    """`dicomnode judge`: a table, or a list of results as JSON; the result objects and pictures below `out`."""
    settings = load(config)
    rows: list[dict[str, Any]] = []
    for series in _with_progress(series_in(folder)):
        outcomes = outcomes_of(series, settings, settings.results.maps if out else ())
        where = {"folder": str(series.paths[0].parent if series.paths else folder), "series_uid": series.series_uid}
        rows += [where | _row(outcome) for outcome in outcomes]
        if out is not None:
            write_results(outcomes, settings, out / series.series_uid)
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print_table(rows)
    return 0


def _row(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Judged):
        return judged_row(outcome.part.label, outcome.findings)
    return declined_row(outcome.part.label, outcome.reason)


def write_results(outcomes: Sequence[Outcome], settings: Settings, out: Path) -> list[Path]:
    """The result objects as the node would send them, and each Secondary Capture as a PNG beside it."""
    from dicomnode.results.picture import picture
    from dicomnode.worker import result_context, result_options

    composed = compose(outcomes, result_options(settings), result_context(datetime.now(UTC)), {})
    written = []
    for number, item in enumerate((item for objects in composed for item in objects), 1):
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{number:02d}-{item.kind}.dcm"
        path.write_bytes(item.encoded)
        written.append(path)
        if (image := picture(item.encoded)) is not None:
            path.with_suffix(".png").write_bytes(image)
    return written


def _with_progress(series: list[FolderSeries]) -> Iterator[FolderSeries]:
    from tqdm import tqdm

    yield from tqdm(series, unit="series", disable=not sys.stderr.isatty(), leave=False)


LAYERS = ("stage2", "stage4", "stage8", "stage16")
COUNTERFACTUAL = "counterfactual"
"""Not a map of the slice but a walk away from it; made only where it is asked for by name."""
MAPS = ("saliency", "guided-backprop", "sam", "grad-cam", "hirescam", "guided-grad-cam")


def _phase(name: str | None) -> Phase | None:
    if name is None or name in set(Phase):
        return Phase(name) if name else None
    raise ConfigurationError(f"--target: {name!r} is none of {', '.join(Phase)}")


def explain_folder(
    config: Path | None,
    folder: Path,
    *,
    layers: Sequence[str] | None,
    maps: Sequence[str] | None,
    target: str | None,
    out: Path,
) -> int:
    """`dicomnode explain`: contact sheet, raw maps and scores of each part of the series in a folder."""
    from dicomnode.series.volume import Limits, Part
    from dicomnode.series.volume import load as load_parts
    from dicomnode.worker import phase_bundle
    from inference.explain.series import explain_series

    settings = load(config)
    bundle = phase_bundle(settings)
    phase = _phase(target)
    written = 0
    for series in series_in(folder):
        for part in load_parts(series.paths, limits=Limits(1, 0.0)) if series.paths else ():
            if not isinstance(part, Part):
                print(f"{series.series_uid}: {part.reason}", file=sys.stderr)
                continue
            place = out / series.series_uid / f"part-{part.index}"
            wanted = [name for name in maps or MAPS if name != COUNTERFACTUAL]
            if wanted:
                result = explain_series(part.volume, bundle, layers or LAYERS, wanted, phase)
                _say(result.write(place))
            if maps and COUNTERFACTUAL in maps:
                _say(write_counterfactual(part.volume, settings, phase, place))
            written += 1
    return 0 if written else 1


def _say(paths: Sequence[Path]) -> None:
    for path in paths:
        print(path)


def write_counterfactual(volume: Volume, settings: Settings, target: Phase | None, place: Path) -> tuple[Path, ...]:
    """What would have to change in a key slice: figures, images and one picture, or the reason why not."""
    from dicomnode.worker import counterfactual_model, judge_with
    from inference.counterfactual.series import counterfactual, write
    from inference.errors import CannotJudge
    from inference.rendering.counterfactual import write_strip

    model = counterfactual_model(settings)
    try:
        slices = judge_with(settings.without_counterfactual(), ())(volume).key_slices
    except CannotJudge as error:
        print(error.reason, file=sys.stderr)
        return ()
    found = counterfactual(volume, model, slices, target)
    if found.reason is not None:
        print(found.reason, file=sys.stderr)
    return (*write(found, place), *write_strip(found, place))
