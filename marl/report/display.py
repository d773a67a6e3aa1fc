"""Progress while a run goes on: a live table in a terminal, one that rewrites itself in a notebook, plain lines elsewhere."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from marl.report.progress import Progress, Result, duration, line, progress_of, short


class Display(Protocol):
    """Shows a run to people."""

    def update(self, metrics: Mapping[str, Any]) -> None:
        """An iteration is complete."""
        ...

    def note(self, text: str) -> None:
        """Say something that stays (a checkpoint was written, …)."""
        ...

    def close(self) -> None:
        """The run is over; what was shown last stays."""
        ...


class LineDisplay:
    """One line an iteration."""

    def __init__(self, stop: Mapping[str, float], learned: Sequence[str] = (), stream: IO[str] | None = None) -> None:
        self._stop, self._learned, self._stream = stop, learned, stream

    def update(self, metrics: Mapping[str, Any]) -> None:
        self.note(line(progress_of(metrics, self._stop, self._learned)))

    def note(self, text: str) -> None:
        stream = self._stream or sys.stdout
        stream.write(text + "\n")
        stream.flush()

    def close(self) -> None:
        pass


class RunTable:
    """The table of a run: the newest iteration, and the newest evaluation."""

    def __init__(self, stop: Mapping[str, float], title: str, learned: Sequence[str]) -> None:
        self._stop, self._title, self._learned = stop, title, learned
        self._evaluated: Progress | None = None

    def after(self, metrics: Mapping[str, Any]) -> Any:
        """The table after one more iteration, for rich to draw."""
        progress = progress_of(metrics, self._stop, self._learned)
        if progress.evaluated is not None or progress.results:
            self._evaluated = progress
        return progress_table(progress, self._title, self._evaluated)


class LiveDisplay:
    """A table that rewrites itself, twice a second."""

    def __init__(self, stop: Mapping[str, float], title: str, learned: Sequence[str] = (), console: Any = None) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        self._table = RunTable(stop, title, learned)
        self._live = Live(Spinner("dots", f"{title}: first iteration…"), console=console or Console(), refresh_per_second=2)
        self._live.start()

    def update(self, metrics: Mapping[str, Any]) -> None:
        self._live.update(self._table.after(metrics))

    def note(self, text: str) -> None:
        self._live.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        self._live.stop()


def progress_table(progress: Progress, title: str, evaluated: Progress | None) -> Any:
    """A rich table of one iteration, and of the newest evaluation."""
    from rich.console import Group
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    facts = Table.grid(padding=(0, 2))
    facts.add_row("iteration", f"{progress.iteration:,}")
    facts.add_row("env steps", f"{progress.num_env_steps:,}" + (f"   {progress.rate:,.0f}/s" if progress.rate else ""))
    episodes = f"   over {progress.return_count} episodes" if progress.return_count else ""
    facts.add_row("return", f"[bold]{short(progress.return_mean)}[/bold]{episodes}")
    if evaluated is not None and evaluated.evaluated is not None:
        facts.add_row("evaluation", f"[bold]{short(evaluated.evaluated)}[/bold]   at iteration {evaluated.iteration:,}")
    for name, value in progress.returns:
        facts.add_row(escape(f"  {name}"), short(value))
    if progress.shares:
        facts.add_row("time", ", ".join(f"{name} {share:.0%}" for name, share in progress.shares if share >= 0.005))
    parts: list[Any] = [f"[bold]{escape(title)}[/bold]", facts]
    if evaluated is not None and evaluated.results:
        parts.append(results_table(evaluated.results))
    if progress.fraction is not None:
        bar = Table.grid(padding=(0, 2))
        left = f"{duration(progress.seconds_left)} left" if progress.seconds_left is not None and progress.fraction < 1 else ""
        bar.add_row(ProgressBar(1.0, progress.fraction, width=40), f"{progress.fraction:.0%} of {progress.of}", left)
        parts.append(bar)
    return Group(*parts)


def results_table(results: tuple[Result, ...]) -> Any:
    """A rich table of who beat whom."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim")
    for heading in ("policy", "against", "as", "wins", "draws", "losses", "games"):
        table.add_column(heading, justify="left" if heading in ("policy", "against", "as") else "right")
    for policy, opponents, seat, wins, draws, games in results:
        rates = [f"{one:.1%}" for one in (wins, draws, max(0.0, 1 - wins - draws))]
        table.add_row(escape(policy), escape(opponents), escape(seat), *rates, f"{games:,}")
    return table


class NotebookDisplay:
    """An output cell that rewrites itself."""

    def __init__(self, stop: Mapping[str, float], title: str, learned: Sequence[str] = ()) -> None:
        display = importlib.import_module("IPython.display")  # a notebook runs us, so it is there

        self._table, self._display = RunTable(stop, title, learned), display
        self._handle = display.display(display.Pretty(f"{title}: first iteration…"), display_id=True)

    def update(self, metrics: Mapping[str, Any]) -> None:
        from rich.console import Console

        out = io.StringIO()
        Console(file=out, width=100, force_terminal=False).print(self._table.after(metrics))
        self._handle.update(self._display.Pretty(out.getvalue().rstrip()))

    def note(self, text: str) -> None:
        self._display.display(self._display.Pretty(text))

    def close(self) -> None:
        pass


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def make_display(stop: Mapping[str, float], title: str, learned: Sequence[str] = (), *, stream: IO[str] | None = None) -> Display:
    """The display that fits where the output goes."""
    if stream is None and in_notebook():
        return NotebookDisplay(stop, title, learned)
    out = stream or sys.stdout
    if out.isatty():
        return LiveDisplay(stop, title, learned)
    return LineDisplay(stop, learned, stream)
