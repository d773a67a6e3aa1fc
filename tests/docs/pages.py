"""Runs a page of the docs from top to bottom, as its reader would, in a folder of its own.

A block of Python or YAML whose first line is a comment with a file's name is written to that file. Every other block of Python is
executed, all in one namespace. In a block of shell every line that calls ``marl`` is run; ``# exit code 1`` behind it says how it ends.
A block of text tells what the block before it printed: line by line, ``…`` standing for anything; other lines may have been printed
before, between and after them.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.(?:py|yaml))\n")
_CODE = re.compile(r"#\s*exit code (\d+)")


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block is, if it names one."""
        named = _FILE.match(self.text) if self.language in ("python", "yaml") else None
        return named.group(1) if named else None


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = path.read_text()
    return [Block(one.group(1), one.group(2), text.count("\n", 0, one.start()) + 1) for one in _BLOCK.finditer(text)]


def commands(block: Block) -> list[tuple[str, int]]:
    """The ``marl`` commands of a block of shell, each with its exit code; a backslash at a line's end goes on in the next."""
    if block.language not in ("sh", ""):
        return []
    lines = block.text.replace("\\\n", " ").splitlines()
    found = [line for line in lines if re.match(r"(marl|printf .*\| *marl) ", line)]
    return [(_CODE.sub("", line).strip(), int(code.group(1)) if (code := _CODE.search(line)) else 0) for line in found]


def run_page(path: Path, folder: Path) -> dict[str, Any]:
    """Follow the page ``path`` in ``folder``, which is the current directory and stands on the import path.

    Returns:
        The names that the page's programs gave.
    """
    names: dict[str, Any] = {"__name__": "docs"}
    printed = ""
    for block in blocks(path):
        where = f"{path.name}:{block.line}"
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        elif block.language == "python":
            printed = _printed(lambda block=block, where=where: exec(compile(block.text, where, "exec"), names))
        elif block.language == "sh":
            printed = "".join(run_command(line, code) for line, code in commands(block))
        elif block.language == "text":
            told(block.text, printed, where)
    return names


def run_command(line: str, code: int) -> str:
    """Run one command and return what it printed."""
    if "|" in line:
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout
    from marl.cli import main

    ended = 0

    def call() -> None:
        nonlocal ended
        try:
            main(shlex.split(line)[1:])
        except SystemExit as stop:
            ended = int(stop.code or 0)

    printed = _printed(call)
    assert ended == code, f"{line} ended with {ended}, expected {code}\n{printed}"
    return printed


def _printed(call: Any) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        call()
    return out.getvalue()


def told(text: str, printed: str, where: str) -> None:
    """Hold the lines that a page tells against those that were printed: all of them, in their order, each as it stands."""
    lines = [line.rstrip() for line in printed.splitlines()]
    for wanted in (line.rstrip() for line in text.splitlines()):
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        place = next((place for place, line in enumerate(lines) if pattern.fullmatch(line)), None)
        assert place is not None, f"{where} tells {wanted!r}, which was not printed (any more). Printed was:\n{printed}"
        del lines[: place + 1]


def forget_modules(before: set[str], folder: Path) -> None:
    """Forget the modules that a page brought with it, so that the next page may bring others of the same names."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(folder):
            del sys.modules[name]
