"""From settings to the functions that analysing and composing are handed: the model, the options, the circumstances."""

import functools
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode import __version__
from dicomnode.config import Settings
from dicomnode.errors import ConfigurationError
from dicomnode.pipeline import JudgeVolume
from dicomnode.results import InstanceReference, ResultContext, ResultOptions
from dicomnode.series.volume import Limits

if TYPE_CHECKING:
    from inference.counterfactual.model import CounterfactualModel
    from inference.findings import Findings
    from inference.models import Bundle, ModelCard
    from inference.volume import Volume

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""progress(slices done, slices in all)."""


def phase_bundle(settings: Settings) -> "Bundle":
    """The phase model that the settings name. Raises ConfigurationError when it cannot be loaded."""
    from inference.models import default_bundle_path

    return _bundle(settings.analyse.bundle or default_bundle_path("phase"), "analyse.bundle")


def organ_bundle(settings: Settings) -> "Bundle | None":
    """The organ model that the settings name; None where organs are switched off, or none is shipped.

    Raises ConfigurationError when one is named, or shipped, that cannot be loaded.
    """
    folder = organ_folder(settings)
    return None if folder is None else _organ_bundle(folder)


@functools.lru_cache(maxsize=2)
def _organ_bundle(folder: Path) -> "Bundle":
    from inference.errors import InvalidBundle
    from inference.segment import organs_of

    bundle = _bundle(folder, "analyse.organ_bundle")
    try:
        organs_of(bundle)
    except InvalidBundle as error:
        raise ConfigurationError(f"analyse.organ_bundle: {error}") from None
    return bundle


def organ_folder(settings: Settings) -> Path | None:
    """Folder of the organ model; None where organs are switched off, or none is shipped: one log line says so."""
    from inference.models import CARD_FILE, default_bundle_path

    if not settings.analyse.organs:
        return None
    shipped = default_bundle_path("organs")
    if settings.analyse.organ_bundle is None and not (shipped / CARD_FILE).exists():
        _say_no_organs()
        return None
    return settings.analyse.organ_bundle or shipped


@functools.lru_cache(maxsize=1)
def _say_no_organs() -> None:
    log.info("no organ model is installed: organs are not looked for")


@functools.lru_cache(maxsize=4)
def _bundle(folder: Path, setting: str) -> "Bundle":
    from inference.errors import InvalidBundle
    from inference.models import load_bundle

    try:
        return load_bundle(folder)
    except InvalidBundle as error:
        raise ConfigurationError(f"{setting}: {error}") from None


def judge_with(settings: Settings, maps: Sequence[str] | None = None, progress: Progress | None = None) -> JudgeVolume:
    """The judgement with the model, device, maps and number of key slices that are set."""
    wanted = settings.results.maps if maps is None else maps
    key_slices = settings.results.key_slices

    def judge_volume(volume: "Volume") -> "Findings":
        from inference.judge import judge

        found = judge(
            volume,
            phase_bundle(settings),
            device=device(settings.analyse.device),
            key_slices=key_slices,
            maps=wanted,
            whole_stack=settings.results.whole_stack,
            organs=organ_bundle(settings),
            progress=progress,
        )
        return with_counterfactual(found, volume, settings) if settings.results.counterfactual else found

    return judge_volume


def with_counterfactual(found: "Findings", volume: "Volume", settings: Settings) -> "Findings":
    """The findings with what would have to change for the model to answer otherwise, from the key slices."""
    from dataclasses import replace

    from inference.counterfactual.series import counterfactual

    if not found.key_slices:
        return found
    made = counterfactual(volume, counterfactual_model(settings), found.key_slices)
    if made.reason is not None:
        log.info("no counterfactual: %s", made.reason)
    return replace(found, counterfactual=made)


def counterfactual_model(settings: Settings) -> "CounterfactualModel":
    """The generator that is set, with the phase model. Raises ConfigurationError where they are no pair."""
    from inference.counterfactual.model import CounterfactualModel
    from inference.errors import CannotExplain

    generator = _bundle(generator_folder(settings), "analyse.generator")
    try:
        return CounterfactualModel.of(generator, phase_bundle(settings), device(settings.analyse.device))
    except CannotExplain as error:
        raise ConfigurationError(f"analyse.generator: {error}") from None


def part_limits(settings: Settings) -> Limits:
    """The least that an acquisition must have."""
    return Limits(min_slices=settings.analyse.minimum_slices, min_coverage_mm=settings.analyse.minimum_coverage_mm)


def device(wanted: str) -> str:
    """The device to compute on: "auto" takes a GPU where there is one."""
    if wanted != "auto":
        return wanted
    from inference.devices import best_device

    return best_device()


def result_options(settings: Settings) -> ResultOptions:
    """The result objects that are set."""
    results = settings.results
    return ResultOptions(
        capture=results.capture,
        key_slices=results.key_slices,
        whole_stack=results.whole_stack,
        sr_class=results.sr_class,
        language=results.language,
        parametric_map=results.parametric_map,
        segmentation=results.segmentation,
        segmentation_kind=results.segmentation_kind,
        key_object_selection=results.key_object_selection,
        presentation_state=results.presentation_state,
        pdf=results.pdf,
        declined_report=results.declined_report,
        counterfactual=results.counterfactual,
    )


def result_context(
    made_at: datetime, generation: int = 1, predecessor: InstanceReference | None = None
) -> ResultContext:
    """The circumstances that result objects tell."""
    return ResultContext(made_at=made_at, software_version=__version__, generation=generation, predecessor=predecessor)


def check_bundle(settings: Settings) -> None:
    """Raises ConfigurationError when a model that is set is not there; torch is not imported for it."""
    from inference.models import default_bundle_path

    phase = _check_card("analyse.bundle", settings.analyse.bundle or default_bundle_path("phase"))
    folder = organ_folder(settings)
    if folder is not None:
        _check_card("analyse.organ_bundle", folder)
    if settings.results.counterfactual:
        generator = _check_card("analyse.generator", generator_folder(settings))
        if generator.options.get("explains") != phase.weights_sha256:
            raise ConfigurationError("analyse.generator: it was trained to explain another model than analyse.bundle")


def _check_card(setting: str, folder: Path) -> "ModelCard":
    from inference.errors import InvalidBundle
    from inference.models import load_card

    try:
        return load_card(folder)
    except InvalidBundle as error:
        raise ConfigurationError(f"{setting}: {error}") from None


def generator_folder(settings: Settings) -> Path:
    """Folder of the generator: the one that is set, or the one that is shipped."""
    from inference.models import default_bundle_path

    return settings.analyse.generator or default_bundle_path("counterfactual")


def limit_memory(limit_bytes: int | None) -> None:
    """Caps the address space of this process; None: no cap."""
    import resource

    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
