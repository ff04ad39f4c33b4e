"""The command line: arguments only. Each command calls one function; what is heavy is imported when it is called.

Exit status: 0 done, 1 done but something failed or was not found, 2 wrong arguments or settings (one line says what).
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from dicomnode import __version__
from dicomnode.errors import ConfigurationError, DicomnodeError

ROLES = ("receiver", "assembler", "worker", "courier", "web")
TASKS = ("phase", "segmentation", "generator")
ORGAN_NETWORKS = ("double-unet", "r2unet", "mcgunet")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit status."""
    options = parser().parse_args(arguments)
    try:
        sys.exit(options.call(options))
    except ConfigurationError as error:
        print(f"dicomnode: {error}", file=sys.stderr)
        sys.exit(2)
    except DicomnodeError as error:
        print(f"dicomnode: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    top = argparse.ArgumentParser(
        prog="dicomnode",
        description="Tells the contrast phase of CT series, and shows why. Not for diagnostic use.",
    )
    top.add_argument("--version", action="version", version=f"dicomnode {__version__}")
    top.add_argument("--config", type=Path, metavar="FILE", help="settings (default: dicomnode.toml, if it is there)")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for add in (_serve, _echo, _config, _jobs, _judge, _demo, _explain, _train, _evaluate, _audit):
        add(commands)
    return top


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(commands: Commands, name: str, help: str, call: Callable[..., int]) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help, description=help)
    command.set_defaults(call=call)
    return command


def _serve(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.node import serve

        return serve(options.config, options.role, supervised=options.supervised, sockets=options.sockets)

    command = _command(commands, "serve", "run the node, or one of its roles alone", call)
    command.add_argument("role", nargs="?", choices=ROLES, help="run this role only (default: all, supervised)")
    command.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    command.add_argument("--sockets", type=int, nargs="+", default=(), help=argparse.SUPPRESS)


def _echo(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.node import echo

        return echo(options.config, options.destination)

    command = _command(commands, "echo", "C-ECHO to the node itself, or to a destination", call)
    command.add_argument("destination", nargs="?", help="name of a destination (default: the node itself)")


def _config(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.config import effective, load_with_sources

        rows = effective(*load_with_sources(options.config))
        width = max(len(f"{name} = {value}") for name, value, _ in rows if len(value) < 40)
        for name, value, source in rows:
            print(f"{f'{name} = {value}':<{width}}  # {source}")
        return 0

    _command(commands, "config", "print the effective settings and where each came from", call)


def _jobs(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode import joblog

        if options.action == "list":
            return joblog.print_list(options.config, joblog.Filters.from_options(vars(options)), options.format)
        if options.id is None:
            raise ConfigurationError(f"jobs {options.action}: the number of the job is missing")
        if options.action == "show":
            return joblog.print_story(options.config, options.id, options.format)
        return joblog.retry(options.config, options.id)

    command = _command(commands, "jobs", "list the jobs, tell the story of one, or run one again", call)
    command.add_argument("action", nargs="?", choices=("list", "show", "retry"), default="list")
    command.add_argument("id", nargs="?", type=int, help="number of the job, for show and retry")
    command.add_argument("--state", type=str.upper, help="QUEUED, RUNNING, BUILT, DECLINED or FAILED")
    command.add_argument("--phase", help="unenhanced, arterial, 'portal venous', delayed or indeterminate")
    command.add_argument("--since", type=_moment, metavar="DATE", help="created at or after this date (ISO 8601)")
    command.add_argument("--until", type=_moment, metavar="DATE", help="created before this date (ISO 8601)")
    command.add_argument("--patient-id")
    command.add_argument("--accession")
    command.add_argument("--study", metavar="UID", help="Study Instance UID")
    command.add_argument("--series", metavar="UID", help="Series Instance UID")
    command.add_argument("--limit", type=int, default=50, help="at most so many rows (default: 50)")
    command.add_argument("--before", type=int, metavar="ID", help="only jobs older than this one: the next page")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", dest="format", action="store_const", const="json", default="table")
    form.add_argument("--csv", dest="format", action="store_const", const="csv")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.astimezone(UTC)


def _judge(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.offline import judge_folder

        return judge_folder(options.config, options.folder, as_json=options.json, out=options.out)

    command = _command(commands, "judge", "judge every CT series in a folder, without a network", call)
    command.add_argument("folder", type=Path)
    command.add_argument("--json", action="store_true", help="print a list of results instead of a table")
    command.add_argument("--out", type=Path, metavar="DIR", help="write the result objects and pictures there")


def _demo(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.demo import demo

        return demo(options.out, options.series)

    command = _command(commands, "demo", "run node and archive side by side and send a series through both", call)
    command.add_argument("--series", type=Path, metavar="FOLDER", help="CT series to send (default: a phantom study)")
    command.add_argument(
        "--out", type=Path, default=Path("demo"), metavar="DIR", help="where all of it lies afterwards"
    )


def _explain(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        if options.task == "segmentation":
            return _explain_organs(options)
        from dicomnode.offline import explain_folder

        return explain_folder(
            options.config,
            options.folder,
            layers=options.layer,
            maps=options.map,
            target=options.target,
            out=options.out,
        )

    command = _command(commands, "explain", "write every map of a series: contact sheet, raw maps, scores", call)
    command.add_argument("folder", type=Path)
    command.add_argument("--layer", action="append", metavar="NAME", help="layer of the network; may be repeated")
    command.add_argument("--map", action="append", metavar="NAME", help="kind of map; may be repeated (default: all)")
    command.add_argument("--task", choices=TASKS[:2], default=TASKS[0], help="default: %(default)s")
    command.add_argument("--target", metavar="NAME", help="phase or organ to explain (default: the answer, all organs)")
    command.add_argument("--mask", choices=("first", "second"), help="which mask of a Double U-Net (default: its own)")
    command.add_argument("--out", type=Path, default=Path("explanation"), metavar="DIR")


def _explain_organs(options: argparse.Namespace) -> int:
    from dicomnode.organ_maps import explain_organs_in

    return explain_organs_in(
        options.config,
        options.folder,
        layers=options.layer,
        maps=options.map,
        organ=options.target,
        mask=options.mask,
        out=options.out,
    )


def _train(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.training import TrainingOrder, train

        order = TrainingOrder(
            out=options.out,
            data=options.data,
            labels=options.labels,
            weak_labels=options.weak_labels,
            hours=options.hours,
            phantom_shards=options.phantoms,
            seed=options.seed,
            resume=not options.afresh,
            network=options.network if options.task == "segmentation" else None,
            generator=options.task == "generator",
        )
        return train(options.config, order)

    command = _command(commands, "train", "train a phase model on your own series and on phantoms, or organs", call)
    command.add_argument("--task", choices=TASKS, default=TASKS[0], help="default: %(default)s")
    command.add_argument(
        "--network", choices=ORGAN_NETWORKS, default=ORGAN_NETWORKS[0], help="for segmentation (default: %(default)s)"
    )
    command.add_argument("--data", type=Path, metavar="ROOT", help="folder of series (default: phantoms only)")
    command.add_argument("--labels", type=Path, metavar="CSV", help="columns folder,phase and, optionally, patient")
    command.add_argument("--weak-labels", action="store_true", help="take the phase from headers that name one")
    command.add_argument("--hours", type=float, default=2.0, help="time to learn (default: 2)")
    command.add_argument("--phantoms", type=int, default=80, metavar="N", help="packets of 256 synthetic slices")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--afresh", action="store_true", help="do not go on from the checkpoint in --out")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, report and bundle")


def _evaluate(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode.training import evaluate

        return evaluate(options.config, options.root, options.labels, as_json=options.json, report=options.report)

    command = _command(commands, "evaluate", "score a model on a labelled folder of series", call)
    command.add_argument("root", type=Path)
    command.add_argument("--labels", type=Path, required=True, metavar="CSV", help="columns folder,phase")
    command.add_argument("--json", action="store_true", help="print folder, phase, confidence, reason of each series")
    command.add_argument("--report", type=Path, metavar="HTML", help="write the report with pictures there")


def _audit(commands: Commands) -> None:
    def call(options: argparse.Namespace) -> int:
        from dicomnode import joblog

        return joblog.verify_audit(options.config)

    command = _command(commands, "audit", "check that no row of the audit log was changed or removed", call)
    command.add_argument("action", choices=("verify",))
