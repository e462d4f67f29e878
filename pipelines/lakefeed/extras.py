"""Optional dependencies: the extra of this package that has what a feature needs."""

from __future__ import annotations

from importlib.util import find_spec

from lakefeed.errors import ExtraMissing


def require(module: str, extra: str, needed_for: str, *, otherwise: str = "") -> None:
    """Raises ExtraMissing, with the line to type, where a module can't be imported.

    Args:
        module: one that the extra installs, within its package: a folder of the package's name
            would pass for the package.
        extra: the name in `pip install 'lakefeed[extra]'`.
        needed_for: what can't be done without it, as the beginning of a sentence.
        otherwise: what else the user can do.
    """
    if not _is_installed(module):
        raise ExtraMissing(
            f"{needed_for} needs `{module.partition('.')[0]}`, which isn't installed",
            do=f"install it: pip install 'lakefeed[{extra}]'{otherwise}",
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
