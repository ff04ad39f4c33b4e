"""`dicomnode train` and `dicomnode evaluate`: from folders of series to what inference.training works on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomnode.config import Settings, load
from dicomnode.errors import ConfigurationError
from dicomnode.findings_table import INDETERMINATE
from dicomnode.labelled import Label, labelled_parts, read_labels
from dicomnode.offline import series_in
from dicomnode.series.volume import Limits, Part
from dicomnode.series.volume import load as load_parts
from dicomnode.worker import device, part_limits, phase_bundle
from inference.phases import Phase
from inference.training.evaluation import EvaluationReport
from inference.training.evaluation import evaluate as evaluate_volumes
from inference.training.own_data import Labelled
from inference.volume import Volume


@dataclass(frozen=True)
class TrainingOrder:
    """What `dicomnode train` was asked for."""

    out: Path
    """The bundle is written to `out`/bundle, the report beside it; `out`/work keeps the checkpoint."""
    data: Path | None
    labels: Path | None
    weak_labels: bool
    hours: float
    phantom_shards: int
    seed: int
    resume: bool
    network: str | None = None
    """Of the organ model; None for another model."""
    generator: bool = False
    """A generator that shows counterfactuals of the phase model that is set."""


def train(config: Path | None, order: TrainingOrder) -> int:
    """Trains the model that was asked for: a phase model, an organ model or a generator."""
    if order.generator:
        return train_counterfactuals(config, order)
    return train_organs(order) if order.network else train_phases(config, order)


def train_counterfactuals(config: Path | None, order: TrainingOrder) -> int:
    """Trains a generator on phantoms and, where given, on series (their labels do not matter); writes its bundle."""
    from inference.training.train_generator import GeneratorTraining, train_generator

    settings = load(config)
    where = device(settings.analyse.device)
    training = GeneratorTraining.fitting_to(
        where, hours=order.hours, seed=order.seed, phantom_shards=order.phantom_shards
    )
    card = train_generator(
        order.out / "bundle",
        order.out / "work",
        phase_bundle(settings),
        training,
        own=_unlabelled(order, part_limits(settings)),
        device=where,
        resume=order.resume,
        note=lambda text: print(text),
    )
    print(f"{card.options['steps']} steps; sample sheets: {order.out / 'work' / 'sheets'}")
    print(f"to use it: DICOMNODE_ANALYSE_GENERATOR={order.out / 'bundle'} and DICOMNODE_RESULTS_COUNTERFACTUAL=true")
    return 0


def _unlabelled(order: TrainingOrder, limits: Limits) -> Iterator[Labelled]:
    """All series that can be judged; nothing is asked of their phase."""
    for series in series_in(order.data) if order.data is not None else ():
        for found in load_parts(series.paths, limits=limits) if series.paths else ():
            if isinstance(found, Part):
                yield Labelled(str(found.headers[0].get("PatientID") or series.study_uid), found.volume, None)


def train_organs(order: TrainingOrder) -> int:
    """Trains an organ model on phantoms and writes its bundle. Raises ConfigurationError where series are given."""
    from inference.training.train_segmentation import SegmentationTraining, train_segmentation

    if order.data is not None:
        raise ConfigurationError("--data: organs are learned from phantoms alone, for series have no outlines")
    training = SegmentationTraining(
        network=order.network or "", seed=order.seed, phantom_shards=order.phantom_shards
    ).lasting(order.hours)
    bundle = train_segmentation(
        order.out / "bundle", order.out / "work", training, resume=order.resume, note=lambda text: print(text)
    )
    for organ, dice in bundle.card.metrics["synthetic held-out"]["dice"].items():
        print(f"Dice {dice:.3f} on held-out phantoms (synthetic): {organ}")
    print(f"bundle: {order.out / 'bundle'}")
    return 0


def train_phases(config: Path | None, order: TrainingOrder) -> int:
    """Trains a phase model on phantoms and, where given, on labelled series; writes bundle and report."""
    from inference.training.loop import Schedule
    from inference.training.train_phase import Training, train_phase

    limits = part_limits(load(config))
    own = list(_own_series(order, limits))
    training = Training(
        schedule=Schedule(hours=order.hours), seed=order.seed, phantom_shards=order.phantom_shards, data=_said_of(own)
    )
    trained = train_phase(
        order.out / "bundle", order.out / "work", training, own=own, resume=order.resume, note=lambda text: print(text)
    )
    print(f"bundle: {order.out / 'bundle'}")
    if trained.validation is not None:
        report = order.out / "report.html"
        report.write_text(trained.validation.to_html("Validation"), encoding="utf-8")
        print(f"report: {report}")
    print(f"to use it: DICOMNODE_ANALYSE_BUNDLE={order.out / 'bundle'}, or [analyse] bundle in dicomnode.toml")
    return 0


def _said_of(own: Sequence[Labelled]) -> str:
    """What the card says of the data."""
    if not own:
        return "Synthetic CT from inference.phantom with known phase"
    patients = len({series.patient for series in own})
    return f"{len(own)} series of {patients} patients, and synthetic CT from inference.phantom"


def _own_series(order: TrainingOrder, limits: Limits) -> Iterator[Labelled]:
    """The labelled series. Labels come from the table or, where wanted, from headers that name one phase."""
    if order.data is None:
        return
    if order.labels is not None:
        for label, part in labelled_parts(order.data, read_labels(order.labels), limits):
            if not isinstance(part, str):
                yield Labelled(label.patient, part.volume, label.phase)
    elif order.weak_labels:
        for series in series_in(order.data):
            for found in load_parts(series.paths, limits=limits) if series.paths else ():
                if isinstance(found, Part) and found.header_opinion.phase is not None:
                    patient = str(found.headers[0].get("PatientID") or series.study_uid)
                    yield Labelled(patient, found.volume, found.header_opinion.phase)
    else:
        raise ConfigurationError("--data: give --labels as well, or --weak-labels")


def evaluate(config: Path | None, root: Path, labels: Path, *, as_json: bool, report: Path | None) -> int:
    """Scores the model that is set on the labelled folders below `root`."""
    from tqdm import tqdm

    settings = load(config)
    rows = read_labels(labels)
    with tqdm(total=len(rows), unit="series", disable=None, leave=False) as bar:
        scored = evaluate_volumes(
            phase_bundle(settings),
            _volumes(root, rows, settings),
            patients={row.folder: row.patient for row in rows},
            device=device(settings.analyse.device),
            progress=lambda _: _advance(bar),
        )
    if report is not None:
        report.write_text(scored.to_html(), encoding="utf-8")
    if as_json:
        print(json.dumps(json_rows(scored), indent=2, ensure_ascii=False))
    else:
        _print(scored)
    return 0


def _advance(bar: Any) -> None:
    bar.update()


def _volumes(root: Path, rows: list[Label], settings: Settings) -> Iterator[tuple[str, Volume | str, Phase | None]]:
    for label, part in labelled_parts(root, rows, part_limits(settings)):
        yield label.folder, part if isinstance(part, str) else part.volume, label.phase


def json_rows(report: EvaluationReport) -> list[dict[str, Any]]:
    """One row a series; `phase` is null where the series was declined, "indeterminate" where it was judged in vain."""
    rows = report.rows()
    for row in rows:
        if row["phase"] is None and row["state"] != "declined":
            row["phase"] = INDETERMINATE
    return rows


def _print(report: EvaluationReport) -> None:
    for row in json_rows(report):
        said = row["phase"] or "declined"
        truth = row["truth"] or "-"
        sure = f"{100 * row['confidence']:5.1f} %"
        print(f"{row['folder']:<32} {truth:<14} {said:<14} {sure}  {row['reason'] or ''}".rstrip())
    for name, value in report.summary().items():
        print(f"{name}: {value}")
    print("Not for diagnostic use.")
