"""Records `lakefeed demo` in a terminal, as the picture that the README shows: docs/demo.svg.

    python docs/record_demo.py

It runs the real demo on a copy of this repository's project, so that a lake in `data/` stays as it
is. Times and durations are those of the run: the picture changes with each recording.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import struct
import sys
import tempfile
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.ansi import AnsiDecoder
from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).resolve().parent
PICTURE = DOCS / "demo.svg"
PROJECT = ("sources.yaml", "sources.lock.yaml", ".dlt", "dbt")
COLUMNS, ROWS = 104, 60
# The parts of the demo that tell the story, by the words that their headings begin with.
SHOWN = ("second load", "third load", "order ", "a customer who moved")
# A line that shows progress begins with a sign of braille.
SPINNER = re.compile("[\u2800-\u28ff] ")


def main() -> None:
    """Writes the picture.

    Raises:
        SystemExit: the demo failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in PROJECT:
            source, target = DOCS.parent / name, Path(folder) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("target", "logs"))
            else:
                shutil.copy(source, target)
        command = [str(Path(sys.executable).with_name("lakefeed")), "demo"]
        ended, output = in_a_terminal(command, folder)
    if ended:
        sys.exit(f"the demo ended with {ended}:\n{output}")
    PICTURE.write_text(drawn(shown_of(output)), encoding="utf-8")


def in_a_terminal(command: list[str], folder: str) -> tuple[int, str]:
    """Runs the command in a terminal of its own; returns its exit code and all that it printed."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvpe(command[0], command, os.environ | {"TERM": "xterm-256color", "NO_COLOR": ""})
    ioctl(terminal, TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    output = b""
    while part := read(terminal):
        output += part
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output.decode("utf-8")


def read(terminal: int) -> bytes:
    """The next part of the output; nothing at its end, which Linux reports as an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def shown_of(output: str) -> list[Text]:
    """The lines of the parts that tell the story; what a progress line overwrote is left out."""
    kept: list[Text] = []
    keeps = False
    for line in AnsiDecoder().decode(output.replace("\r\n", "\n")):
        if is_heading(line.plain):
            keeps = line.plain.startswith(SHOWN)
        if keeps and not SPINNER.match(line.plain):
            kept.append(line)
    return kept


def is_heading(line: str) -> bool:
    return bool(re.search(r" ─{3,}$", line)) and line[0].isalpha()


def drawn(lines: list[Text]) -> str:
    """The lines as SVG, in the fonts that the reader has."""
    # rich's own template has the reader fetch fonts from a public server.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere)
        for line in lines:
            console.print(line, soft_wrap=True)
        return console.export_svg(title="lakefeed demo", code_format=template)


if __name__ == "__main__":
    main()
