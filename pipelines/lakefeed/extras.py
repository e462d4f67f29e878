"""Optional dependencies: the extra of this package that has what a feature needs."""

from __future__ import annotations

from importlib.util import find_spec

from lakefeed.errors import ExtraMissing


def require(module: str, extra: str, needed_for: str, *, otherwise: str = "") -> None:
    """Checks that a module of an extra is installed.

    Args:
        module: a submodule that the extra installs, such as `a.b`: a local folder `a` could be
            mistaken for the package `a`.
        extra: the name in `pip install 'lakefeed[extra]'`.
        needed_for: the feature that needs it; begins the message.
        otherwise: an alternative for the user; ends the message.

    Raises:
        ExtraMissing: it isn't installed; with the command that installs it.
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
