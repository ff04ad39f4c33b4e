"""Setting: what all objects of one part have in common, and the names and times that follow from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from pydicom.dataset import Dataset

from dicomnode.identity import MANUFACTURER
from dicomnode.results import uids
from dicomnode.results.normalise import normalise
from dicomnode.results.options import ResultContext, ResultOptions
from dicomnode.results.wording import Words
from inference.models import ModelCard


@dataclass(frozen=True)
class Source:
    """One source slice: its header and, in a multi-frame instance, its frame."""

    received: Dataset
    """The header as it came."""
    frame: int | None = None
    """1-based frame number; None for a single-frame instance."""

    @cached_property
    def header(self) -> Dataset:
        """The clean header, see `normalise.normalise`; made when it is first asked for, as few slices are."""
        return normalise(self.received)

    @property
    def sop_class_uid(self) -> str:
        return str(self.received.get("SOPClassUID", ""))

    @property
    def sop_instance_uid(self) -> str:
        return str(self.received.get("SOPInstanceUID", ""))


@dataclass(frozen=True)
class Setting:
    """Everything that the objects of one part have in common."""

    sources: tuple[Source, ...]
    """One a slice, in the order of the volume."""
    options: ResultOptions
    context: ResultContext
    model: ModelCard | None
    """None where nothing was judged."""
    answer: str
    """The answer in capitals, as series descriptions begin with it: "AI PORTAL VENOUS 93%"."""
    flag: str
    """What a reader must know besides, as series descriptions end with it; empty: nothing."""
    key: str
    """Fingerprint of all that names the objects: input, models, generation, options, version."""
    organ_model: ModelCard | None = None
    """None where no organs were looked for."""

    @property
    def study(self) -> Dataset:
        """The clean header that study-level attributes are taken from."""
        return self.sources[0].header

    @property
    def series_name(self) -> str:
        """Short name of the source series: "S4", "S4 acquisition 2"."""
        number = self.study.get("SeriesNumber")
        name = f"S{number}" if number not in (None, "") else "S?"
        return f"{name} {self.part_label}".strip()

    @property
    def part_label(self) -> str:
        """Name of the part in the language of the results; empty when the series is one acquisition."""
        return Words(self.options.language).sentence(self.context.part_label)


def open_setting(
    headers: Sequence[Dataset],
    options: ResultOptions,
    context: ResultContext,
    model: ModelCard | None,
    answer: str,
    flag: str = "",
    organ_model: ModelCard | None = None,
) -> Setting:
    """The setting of one part. Raises ValueError when headers and frames do not go together, or there are none."""
    frames = context.frames or (None,) * len(headers)
    if len(frames) != len(headers) or not headers:
        raise ValueError(f"{len(headers)} headers and {len(frames)} frames")
    sources = tuple(Source(h, frame) for h, frame in zip(headers, frames, strict=True))
    names = [f"{s.sop_instance_uid} {s.frame or 0}" for s in sources]
    study = sources[0].header
    key = uids.fingerprint(
        (
            *names,
            f"study {study.get('StudyInstanceUID', '')}",
            f"series {study.get('SeriesInstanceUID', '')}",
            f"model {model.weights_sha256 if model else ''}",
            f"generation {context.generation}",
            f"part {context.part_index}",
            f"version {context.software_version}",
            f"options {_content_options(options)}",
            *_organ_names(options, organ_model),
        )
    )
    return Setting(sources, options, context, model, answer, flag, key, organ_model)


def _organ_names(options: ResultOptions, organ_model: ModelCard | None) -> tuple[str, ...]:
    """What names objects besides where organs were looked for: the report refers to their segments or to none."""
    if organ_model is None:
        return ()
    return f"organs {organ_model.weights_sha256}", f"segments {options.segmentation} {options.segmentation_kind}"


def _content_options(options: ResultOptions) -> str:
    """The options that change what an object says; switching another kind on or off leaves the names as they are."""
    return f"{options.capture} {options.key_slices} {options.whole_stack} {options.sr_class} {options.language}"


def series_uid(setting: Setting, kind: str) -> str:
    """Series Instance UID of one kind of object."""
    return uids.derive("series", kind, setting.key)


def instance_uid(setting: Setting, kind: str, index: int) -> str:
    """SOP Instance UID of the index-th object of a kind."""
    return uids.derive("instance", kind, str(index), setting.key)


def made_at(setting: Setting) -> datetime:
    """Closing time of the job on the clock that the study's dates are told by.

    Timezone Offset From UTC (0008,0201) speaks for every date in an object, those copied from the source included. It
    is therefore the source's or absent, and without one the time stands in the zone it was handed in.
    """
    offset = str(setting.study.get("TimezoneOffsetFromUTC") or "")
    moment = setting.context.made_at
    return moment.astimezone(datetime.strptime(offset, "%z").tzinfo) if offset else moment


def date_of(setting: Setting) -> str:
    """Closing date of the job as DA."""
    return made_at(setting).strftime("%Y%m%d")


def time_of(setting: Setting) -> str:
    """Closing time of the job as TM."""
    return made_at(setting).strftime("%H%M%S")


def algorithm_name(setting: Setting) -> str:
    """Name of the model, the same in Contributing Equipment, TID 1004 and TID 4019."""
    return setting.model.name if setting.model else MANUFACTURER


def algorithm_version(setting: Setting) -> str:
    """Version of the model; of the node where no model spoke."""
    return setting.model.version if setting.model else setting.context.software_version


def device_uid(setting: Setting) -> str:
    """UID of the device that speaks: one for each set of weights."""
    return uids.device(setting.model.weights_sha256 if setting.model else f"node {setting.context.software_version}")
