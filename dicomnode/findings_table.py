"""Findings as plain values: the row that `judge` prints and the job log keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

from inference.findings import Findings, OrganMeasurement
from inference.organ_words import evidence
from inference.sentences import percent

INDETERMINATE = "indeterminate"


def judged_row(part: str, findings: Findings) -> dict[str, Any]:
    """An answer, "indeterminate" included, as values that JSON can hold."""
    seconds = findings.seconds
    opinion = findings.header
    return {
        "part": part,
        "state": "JUDGED",
        "phase": str(findings.phase) if findings.phase is not None else INDETERMINATE,
        "confidence": round(findings.confidence, 4),
        "probabilities": {str(phase): round(value, 4) for phase, value in findings.probabilities.items()},
        "seconds_after_injection": round(seconds.estimate, 1) if seconds else None,
        "seconds_low": round(seconds.low, 1) if seconds else None,
        "seconds_high": round(seconds.high, 1) if seconds else None,
        "reason": findings.reason or "",
        "disagreement": findings.disagreement or "",
        "header": {
            "contrast": opinion.contrast,
            "phase": str(opinion.phase) if opinion.phase else None,
            "evidence": list(opinion.evidence),
        }
        if opinion
        else None,
        "slices": len(findings.slices),
        "key_slices": list(findings.key_slices),
        "map_scores": {
            name: {
                "deletion_auc": round(score.deletion_auc, 4),
                "insertion_auc": round(score.insertion_auc, 4),
                "randomisation_rho": score.randomisation_rho,
                "organ_share": score.organ_share,
                "poor": score.poor,
            }
            for name, score in findings.map_scores.items()
        },
        "organs": {organ.organ: _organ_row(organ) for organ in findings.organs},
        "organ_vote": _vote_row(findings),
        "model": {
            "name": findings.model.name,
            "version": findings.model.version,
            "weights_sha256": findings.model.weights_sha256,
        },
    }


def _organ_row(organ: OrganMeasurement) -> dict[str, Any]:
    return {"median_hu": round(organ.median_hu, 1), "volume_ml": round(organ.volume_ml, 1)}


def _vote_row(findings: Findings) -> dict[str, Any] | None:
    """What the organs speak for; None where they had no vote."""
    said = findings.organ_vote
    if said is None:
        return None
    return {
        "phase": str(said.phase),
        "probabilities": {str(phase): round(value, 4) for phase, value in said.probabilities.items()},
        "evidence": evidence(said, findings.organs),
        "contradicts": said.contradicts,
    }


def declined_row(part: str, reason: str) -> dict[str, Any]:
    """A part, or a whole series, that has no answer."""
    return {
        "part": part,
        "state": "DECLINED",
        "phase": None,
        "confidence": None,
        "probabilities": {},
        "reason": reason,
        "disagreement": "",
    }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a part, for a person."""
    if not rows:
        print("no CT series found")
        return
    for row in rows:
        print(f"{row['folder']}  series …{row['series_uid'][-12:]}" + (f"  {row['part']}" if row["part"] else ""))
        print(f"    {headline(row)}")
        for note in (row["reason"] if row["phase"] is not None else "", row["disagreement"]):
            if note:
                print(f"    {note}")
    print("Not for diagnostic use.")


def headline(row: Mapping[str, Any]) -> str:
    """The answer in one line: "PORTAL VENOUS  93 %  (arterial 4 %, …)"."""
    if row["phase"] is None:
        return f"DECLINED  {row['reason']}"
    others = ", ".join(f"{phase} {percent(value)} %" for phase, value in row["probabilities"].items())
    return f"{row['phase'].upper()}  {percent(row['confidence'])} %  ({others})"
