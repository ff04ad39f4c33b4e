"""`dicomnode explain --task segmentation`: outlines and maps of every organ of the series in a folder."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from dicomnode.config import load
from dicomnode.errors import ConfigurationError
from dicomnode.offline import series_in
from dicomnode.series.volume import Limits, Part
from dicomnode.series.volume import load as load_parts
from dicomnode.worker import organ_bundle
from inference.errors import CannotExplain, CannotJudge

MAPS = ("grad-cam", "hirescam", "sam")


def explain_organs_in(
    config: Path | None,
    folder: Path,
    *,
    layers: Sequence[str] | None,
    maps: Sequence[str] | None,
    organ: str | None,
    mask: str | None,
    out: Path,
) -> int:
    """Writes a sheet, raw maps and facts of each part; 1 when nothing could be explained."""
    from inference.explain.organs import explain_organs

    bundle = organ_bundle(load(config))
    if bundle is None:
        raise ConfigurationError("analyse.organ_bundle: there is no organ model, or analyse.organs is off")
    written = 0
    for series_uid, part in _parts(folder):
        try:
            found = explain_organs(part.volume, bundle, layers or (), maps or MAPS, organ=organ, mask=mask)
        except CannotJudge as error:
            print(f"{series_uid}: {error.reason}", file=sys.stderr)
            continue
        except (CannotExplain, ValueError) as error:
            raise ConfigurationError(f"explain: {error}") from None
        for path in found.write(out / series_uid / f"part-{part.index}"):
            print(path)
        written += 1
    return 0 if written else 1


def _parts(folder: Path) -> Iterator[tuple[str, Part]]:
    """(series UID, part) of all that can be read; the reason for what cannot goes to standard error."""
    for series in series_in(folder):
        for part in load_parts(series.paths, limits=Limits(1, 0.0)) if series.paths else ():
            if isinstance(part, Part):
                yield series.series_uid, part
            else:
                print(f"{series.series_uid}: {part.reason}", file=sys.stderr)
