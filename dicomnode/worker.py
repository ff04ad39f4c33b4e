"""From settings to the functions that analysing and composing are handed: the model, the options, the circumstances."""

import functools
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
    from inference.findings import Findings
    from inference.models import Bundle
    from inference.volume import Volume

Progress = Callable[[int, int], None]
"""progress(slices done, slices in all)."""


def phase_bundle(settings: Settings) -> "Bundle":
    """The phase model that the settings name. Raises ConfigurationError when it cannot be loaded."""
    from inference.models import default_bundle_path

    return _bundle(settings.analyse.bundle or default_bundle_path("phase"))


@functools.lru_cache(maxsize=2)
def _bundle(folder: Path) -> "Bundle":
    from inference.errors import InvalidBundle
    from inference.models import load_bundle

    try:
        return load_bundle(folder)
    except InvalidBundle as error:
        raise ConfigurationError(f"analyse.bundle: {error}") from None


def judge_with(settings: Settings, maps: Sequence[str] | None = None, progress: Progress | None = None) -> JudgeVolume:
    """The judgement with the model, device, maps and number of key slices that are set."""
    wanted = settings.results.maps if maps is None else maps
    key_slices = settings.results.key_slices

    def judge_volume(volume: "Volume") -> "Findings":
        from inference.judge import judge

        return judge(
            volume,
            phase_bundle(settings),
            device=device(settings.analyse.device),
            key_slices=len(volume) if settings.results.whole_stack else key_slices,
            maps=wanted,
            progress=progress,
        )

    return judge_volume


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
        key_object_selection=results.key_object_selection,
        presentation_state=results.presentation_state,
        pdf=results.pdf,
        declined_report=results.declined_report,
    )


def result_context(
    made_at: datetime, generation: int = 1, predecessor: InstanceReference | None = None
) -> ResultContext:
    """The circumstances that result objects tell."""
    return ResultContext(made_at=made_at, software_version=__version__, generation=generation, predecessor=predecessor)


def check_bundle(settings: Settings) -> None:
    """Raises ConfigurationError when the model that is set is not there; torch is not imported for it."""
    from inference.errors import InvalidBundle
    from inference.models import default_bundle_path, load_card

    try:
        load_card(settings.analyse.bundle or default_bundle_path("phase"))
    except InvalidBundle as error:
        raise ConfigurationError(f"analyse.bundle: {error}") from None


def limit_memory(limit_bytes: int | None) -> None:
    """Caps the address space of this process; None: no cap."""
    import resource

    if limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
