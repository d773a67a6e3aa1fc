"""Builds the wheel and uses it from outside the checkout.

The wheel is installed without its dependencies into a fresh virtual environment, which borrows the
third-party packages of the environment that runs this script through one line in a ``.pth`` file. Such a
line adds a folder to ``sys.path`` without reading the ``.pth`` files in it, so the editable install of the
checkout stays out of sight: what is imported is what the wheel holds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command to its end; its output is shown, a failure ends this script."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, check=False)
    if done.returncode:
        sys.exit(f"wheel test: {' '.join(str(part) for part in command)} ended with {done.returncode}")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="marl-wheel-") as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", CHECKOUT, cwd=folder)
        (wheel,) = (folder / "dist").glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        missing = {f"{package}/py.typed" for package in ("marl", "marl_envs", "marl_plugins")} - names
        if missing:
            sys.exit(f"wheel test: {wheel.name} lacks {sorted(missing)}")

        home = folder / "venv"
        venv.create(home, with_pip=False)
        python = home / "bin" / "python"
        site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
        pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
        # pip sees the borrowed editable install as "already there"; it must neither stop at it nor remove it.
        run(*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=folder)

        script = folder / "smoke.py"
        script.write_text((CHECKOUT / ".ci" / "smoke.py").read_text())
        run(python, "-I", script, CHECKOUT, cwd=folder)
        run(home / "bin" / "marl", "--help", cwd=folder)
        run(home / "bin" / "marl", "list", cwd=folder)
    print("wheel test: passed")


if __name__ == "__main__":
    main()
