"""Optional members of our contract, passed on by adapters from an environment that has them."""

from __future__ import annotations

from typing import Any

TIMING = ("elapsed_ticks", "next_call_is_decision", "discounts", "max_idle_ticks")
EVERYTHING = (*TIMING, "global_state", "global_state_space", "get_state", "set_state")


def forward(adapter: Any, inner: str, names: tuple[str, ...]) -> None:
    """Give ``adapter`` a property for each of ``names`` that the environment in its attribute ``inner`` has by now.

    ``elapsed_ticks`` is asked for at every step. A ``__getattr__`` that finds nothing costs a microsecond each
    time, as much as the rest of an adapter; a property that is not there costs next to nothing.
    """
    source = getattr(adapter, inner)
    present = tuple(name for name in names if not hasattr(adapter, name) and hasattr(source, name))
    if present:
        adapter.__class__ = _with_properties(type(adapter), inner, present)


def _with_properties(kind: type, inner: str, names: tuple[str, ...]) -> type:
    def passed_on(name: str) -> property:
        return property(lambda self: getattr(getattr(self, inner), name), doc=f"``{name}`` of the environment inside.")

    return type(kind.__name__, (kind,), {"__module__": kind.__module__, **{name: passed_on(name) for name in names}})
