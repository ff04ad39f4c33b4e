"""What is asked of a result, the circumstances of its making, and the object that comes of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class ResultOptions:
    """Which objects are made, and how. The defaults are what every viewer and archive takes."""

    capture: Literal["single-frame", "multi-frame"] = "single-frame"
    """Secondary Capture as one instance a picture, or key slices as one Multi-frame True Color instance."""
    key_slices: int = 3
    """How many key slices are pictured, most telling first; 0: only the summary page."""
    whole_stack: bool = False
    """Every slice that has a map is pictured, in the order of the volume, instead of the key slices."""
    sr_class: Literal["comprehensive", "comprehensive 3d"] = "comprehensive"
    """Comprehensive SR (88.33) suits more archives; IHE AIR asks for Comprehensive 3D SR (88.34), same content."""
    language: Literal["en", "de"] = "en"
    """Language of the report and of series descriptions."""
    parametric_map: bool = False
    """The raw maps as Parametric Map Storage, one object a method."""
    segmentation: bool = False
    """The measured organs as Segmentation; their groups in the report then refer to its segments (TID 1411)."""
    segmentation_kind: Literal["binary", "label map"] = "binary"
    """Segmentation Storage, which viewers read, or Label Map Segmentation Storage, for archives that take it."""
    key_object_selection: bool = False
    """A Key Object Selection Document that points at the key slices of the source."""
    presentation_state: bool = False
    """A Grayscale Softcopy Presentation State: window of the phase, regions and answer drawn on the key slices."""
    pdf: bool = False
    """The summary page as Encapsulated PDF."""
    counterfactual: bool = False
    """A cine of synthetic images: what would have to change for the model to answer otherwise."""
    declined_report: bool = False
    """A report with the reason for a series that was not judged, so that silence need not be interpreted."""

    def __post_init__(self) -> None:
        if self.capture not in ("single-frame", "multi-frame"):
            raise ValueError(f"capture: {self.capture!r}")
        if self.sr_class not in ("comprehensive", "comprehensive 3d"):
            raise ValueError(f"sr_class: {self.sr_class!r}")
        if self.language not in ("en", "de"):
            raise ValueError(f"language: {self.language!r}")
        if self.segmentation_kind not in ("binary", "label map"):
            raise ValueError(f"segmentation_kind: {self.segmentation_kind!r}")
        if self.key_slices < 0:
            raise ValueError(f"key_slices: {self.key_slices}")


@dataclass(frozen=True)
class InstanceReference:
    """One stored instance, named so that another object can refer to it."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class ResultContext:
    """The circumstances that objects must tell, all handed in: composing reads no clock and draws no number."""

    made_at: datetime
    """Closing time of the job, aware; Content Date and Time of every object. A job that runs twice tells it twice."""
    software_version: str
    """Version of the node."""
    part_label: str = ""
    """Name of the part of the series, such as "acquisition 2"; empty when the series is one acquisition."""
    part_index: int = 0
    """0-based index of the part in its series."""
    generation: int = 1
    """How often this series was closed; a late slice opens the next generation."""
    frames: tuple[int | None, ...] = ()
    """1-based frame of each slice in its multi-frame instance; empty, or None for a slice, when not multi-frame."""
    predecessor: InstanceReference | None = None
    """The report of the same part that this one takes the place of; a report of declining names none."""
    device_serial: str = ""
    """Device Serial Number of the node; empty: none."""
    institution: str = ""
    """Institution that runs the node; empty: not told."""

    def __post_init__(self) -> None:
        if self.made_at.tzinfo is None:
            raise ValueError("made_at has no time zone")


@dataclass(frozen=True)
class ResultObject:
    """One finished object, encoded."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    kind: str
    """"capture", "report", "parametric map", "segmentation", "key objects", "presentation state" or "pdf"."""
    encoded: bytes
    """Part 10 file: preamble, meta information, dataset in Explicit VR Little Endian (PS3.10 section 7)."""
