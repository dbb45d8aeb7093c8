"""The command line: every command is a module of `mbrepro.commands`, put together here."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module

import click
import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command

from mbrepro.errors import InputError

COMMANDS = {
    "run": "run one notebook with parameters of your own, or the whole study",
    "sweep": "run one notebook under every combination of some parameters' values",
    "diff": "say in what two runs differ",
    "book": "build the book from the notebooks that have been run",
    "verify": "score stored predictions again and compare with table and book",
    "crate": "describe the results as an RO-Crate, in place",
    "fetch": "download CalMS21 or the official network, or link the copy you have",
    "simulate": "write simulated recordings to a folder",
    "estimate": "how long stage 2 takes on this machine; too long is exit status 2",
    "embed": "embed the clips the study needs, alone or as one of many jobs",
    "finetune": "fine-tune the video model on labelled train clips (LoRA)",
    "init": "write a manifest for a folder of your own pose and label files",
    "check": "read a data set of your own and say everything that is wrong with it",
    "train": "train a model on a data set of your own, as one file",
    "predict": "label the behaviour in a recording of your own",
    "evaluate": "compare predicted labels with true ones, or two people's",
    "learning-curve": "how scores of your own recordings grow with what is labelled, and what more would give",
    "doctor": "say what this machine has and what it lacks",
    "bench": "measure speed against the published computation",
    "gpu": "measure what needs a GPU: speed, precision, parity, a fine-tuning step",
    "soak": "kill a command at random moments and compare the bytes with a straight run's",
    "ladder": "measure how much context helps on the demo, beside the published figures",
    "judges": "measure how hard the demo is for methods whose scores on real mice are known",
    "ablation": "compare crops, frame rates and views on the demo",
    "encoder": "compare a checkpoint such as DINOv2 with stand-in, raw pixels and poses on the demo",
    "record": "compute the figures of real animals again",
    "likeness": "measure the statistics of real labels and poses that the simulator is compared with",
    "standin": "train the stand-in vision-language model again",
}
ABOUT = "Fast localization, slow classification of mouse behaviour."
PLAIN = {"rich_markup_mode": None, "pretty_exceptions_enable": False, "add_completion": False}


class Command(TyperCommand):
    """A command whose options of several values may be given as in `--videos a b` and `-p name value`."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        many = {name for option in self.params if getattr(option, "multiple", False) for name in option.opts}
        return super().parse_args(context, spread(arguments, many))


class Commands(TyperGroup):
    """The commands, each imported when it is called: `mbrepro --help` waits for no torch."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> TyperCommand | None:
        if name not in COMMANDS:
            return None
        app = typer.Typer(**PLAIN)
        app.command(name, cls=Command, help=COMMANDS[name])(
            import_module(f"mbrepro.commands.{name.replace('-', '_')}").command
        )
        return get_command(app)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def spread(arguments: Sequence[str], many: set[str]) -> list[str]:
    """Arguments in the one form typer takes: each value of an option in `many` behind the option's own name.

    `--videos a b` becomes `--videos a --videos b`, and `-p name value` becomes `-p name=value`.
    """
    out, rest = [], list(arguments)
    while rest:
        option = rest.pop(0)
        out.append(option)
        if option == "--":
            return out + rest
        if option not in many or not rest:
            continue
        if option == "-p":
            name = rest.pop(0)
            out.append(name if "=" in name or not rest else f"{name}={rest.pop(0)}")
            continue
        out.append(rest.pop(0))
        while rest and not rest[0].startswith("-"):
            out += [option, rest.pop(0)]
    return out


app = typer.Typer(cls=Commands, help=ABOUT, **PLAIN)


@app.callback()
def _all_commands() -> None:
    """What all commands share: nothing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status.

    0 done, 2 bad input or a full disk (one sentence on standard error), 130 stopped by Ctrl-C or SIGTERM.
    """
    try:
        with _stopped_by_term():
            status = get_command(app).main(arguments, prog_name="mbrepro", standalone_mode=False) or 0
    except TyperException as error:
        return _refuse(f"{error.format_message().rstrip('.').replace('Value error, ', '')}; see mbrepro --help")
    except InputError as error:
        return _refuse(error)
    except OSError as error:
        return _refuse(f"{error.strerror or error}: {error.filename or 'a file'}; what was finished is kept")
    if status == 130:
        print("mbrepro: stopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
    return status


def _refuse(sentence: object) -> int:
    """Say it on one line; what a file has in it moves no cursor."""
    said = " ".join(str(sentence).split())
    print("mbrepro:", "".join(c if c.isprintable() else ascii(c)[1:-1] for c in said), file=sys.stderr)
    return 2


@contextlib.contextmanager
def _stopped_by_term() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does: what was started is stopped too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
