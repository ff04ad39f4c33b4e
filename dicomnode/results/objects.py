"""All objects of one judged part, checked: findings in, files out."""

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from dicomnode.results import capture, conformance, report
from dicomnode.results.capture import Pictures
from dicomnode.results.options import ResultContext, ResultObject, ResultOptions
from dicomnode.results.setting import Setting, open_setting
from dicomnode.results.wording import Words
from inference.findings import Findings
from inference.volume import Volume


def compose(
    findings: Findings,
    headers: Sequence[Dataset],
    volume: Volume,
    options: ResultOptions,
    context: ResultContext,
    pictures: Pictures | None = None,
) -> list[ResultObject]:
    """The objects that say what was found: pictures, report, and what `options` asks for besides.

    headers[i] is the header of volume's slice i, without pixels; `pictures` draws, by default `inference.rendering`.
    The same arguments make the same bytes. Raises Fail when the gate refuses an object: then none is returned.
    """
    words = Words(options.language)
    said = words.answer(findings), words.flag(findings)
    setting = open_setting(headers, options, context, findings.model, *said, findings.organ_model)
    drawn = pictures or _drawn_here()
    shown = list(capture.compose(findings, volume, setting, drawn))
    segments = _segments(findings, setting)
    made = [
        *shown,
        report.compose(findings, volume, setting, shown[0], *segments),
        *segments,
        *_optional(findings, volume, setting, drawn),
    ]
    conformance.require(made, headers)
    return made


def compose_declined(
    reason: str, headers: Sequence[Dataset], options: ResultOptions, context: ResultContext
) -> list[ResultObject]:
    """The report of a part that was not judged, where `options` asks for one; else nothing.

    `reason` is a sentence that a radiographer understands. Raises Fail when the gate refuses the report.
    """
    if not options.declined_report:
        return []
    setting = open_setting(headers, options, context, None, Words(options.language).declined)
    made = [report.compose_declined(reason, setting)]
    conformance.require(made, headers)
    return made


def _segments(findings: Findings, setting: Setting) -> list[ResultObject]:
    """The Segmentation of the organs where it is asked for and there is one to make; the report refers to it."""
    if not setting.options.segmentation:
        return []
    from dicomnode.results import segmentation

    return segmentation.compose(findings, setting)


def _optional(findings: Findings, volume: Volume, setting: Setting, pictures: Pictures) -> Iterator[ResultObject]:
    """The kinds that are off by default; each module is loaded only where it is asked for."""
    options = setting.options
    if options.parametric_map:
        from dicomnode.results import parametric_map

        yield from parametric_map.compose(findings, setting)
    if options.key_object_selection:
        from dicomnode.results import key_objects

        yield from key_objects.compose(findings, setting)
    if options.presentation_state:
        from dicomnode.results import presentation_state

        yield from presentation_state.compose(findings, volume, setting)
    if options.pdf:
        from dicomnode.results import pdf

        yield pdf.compose(pictures.summary(findings, volume, capture.caption_of(setting)), setting)
    if options.counterfactual and findings.counterfactual is not None:
        from dicomnode.results import counterfactual

        yield from counterfactual.compose(findings.counterfactual, setting)


def _drawn_here() -> Pictures:
    from inference import rendering  # Pillow and fonts: not needed to read a report

    return rendering
