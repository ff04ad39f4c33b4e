"""An evaluation as one HTML page that needs nothing else: tables and pictures inside."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from inference.phases import PHASES

if TYPE_CHECKING:
    from inference.training.evaluation import EvaluationReport, Score

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ccc; text-align: left; }
td.n { text-align: right; font-variant-numeric: tabular-nums; }
td.right { background: #dff0df; } td.wrong { background: #f6d5d5; }
.warn { background: #fff3cd; padding: .5rem 1rem; } img { max-width: 100%; }
"""
NO_ANSWER = "no answer"


def to_html(report: "EvaluationReport", title: str) -> str:
    """The page. What the series are called is written as the caller named them."""
    card = report.model
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        '<p class="warn">Not for diagnostic use.</p>',
        f"<p>Model {html.escape(card.name)} {html.escape(card.version)}, weights {card.weights_sha256[:16]}. "
        f"Trained on: {html.escape(card.data)}</p>",
        "<h2>Figures</h2>" + _figures(report),
        "<h2>Confusion</h2>" + _confusion(report),
        f"<h2>Calibration and abstention</h2>{_picture(report)}",
        "<h2>Series</h2>" + _series(report),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[tuple[str, str]]]) -> str:
    """Rows of (class, text); texts are escaped here."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{html.escape(text)}</td>' for kind, text in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _figures(report: "EvaluationReport") -> str:
    scores = [(f"F1 {phase.value}", report.f1[phase]) for phase in PHASES]
    scores += [("macro F1", report.macro_f1), ("accuracy of the answers given", report.accuracy)]
    rows = [[("", name), ("n", f"{score.value:.3f}"), ("n", _interval(score))] for name, score in scores]
    rows.append([("", "share answered"), ("n", f"{report.answered:.3f}"), ("", "")])
    rows.append([("", "expected calibration error"), ("n", f"{report.expected_calibration_error:.3f}"), ("", "")])
    return _table(("figure", "value", "95 % interval, by patient"), rows)


def _interval(score: "Score") -> str:
    return f"{score.low:.3f} to {score.high:.3f}"


def _confusion(report: "EvaluationReport") -> str:
    rows = []
    for i, phase in enumerate(PHASES):
        counts = report.confusion[i]
        kinds = [
            "n right" if i == j and n else "n wrong" if n and j < len(PHASES) else "n" for j, n in enumerate(counts)
        ]
        rows.append([("", phase.value), *((kind, str(n)) for kind, n in zip(kinds, counts, strict=True))])
    return _table(("truth \\ answer", *(phase.value for phase in PHASES), NO_ANSWER), rows)


def _series(report: "EvaluationReport") -> str:
    rows = []
    for row in report.series:
        wrong = row.phase is not None and row.truth is not None and row.phase is not row.truth
        said = row.phase.value if row.phase else ("declined" if row.declined else "indeterminate")
        truth = row.truth.value if row.truth else "not known"
        kind = "wrong" if wrong else ""
        rows.append(
            [("", row.folder), ("", truth), (kind, said), ("n", f"{row.confidence:.2f}"), ("", row.reason or "")]
        )
    return _table(("series", "truth", "answer", "confidence", "reason"), rows)


def _picture(report: "EvaluationReport") -> str:
    """Calibration and abstention curves as an embedded PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    calibrated, abstaining = figure.subplots(1, 2)
    _draw_calibration(calibrated, report)
    _draw_abstention(abstaining, report)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="calibration and abstention curves" src="data:image/png;base64,{encoded}">'


def _draw_calibration(axes: Any, report: "EvaluationReport") -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    means, shares, counts = zip(*report.calibration, strict=True) if report.calibration else ((), (), ())
    axes.plot(means, shares, color="#1f5fa8")
    axes.scatter(means, shares, s=[20 + 6 * count for count in counts], color="#1f5fa8", alpha=0.7)
    axes.set(xlabel="confidence", ylabel="share right", title="Calibration", xlim=(0.2, 1.02), ylim=(-0.02, 1.05))


def _draw_abstention(axes: Any, report: "EvaluationReport") -> None:
    _, answered, right = zip(*report.abstention, strict=True) if report.abstention else ((), (), ())
    axes.plot(answered, right, color="#a8481f", marker=".")
    axes.set(xlabel="share of series answered", ylabel="share of answers right", title="Abstention")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
