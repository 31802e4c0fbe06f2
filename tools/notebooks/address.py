"""Where the package comes from, as the notebooks' set-up cells and the README say it.

REPOSITORY is the one setting of the public address. The notebooks' set-up cells, the README's lines
about Colab and its badge follow from it when `python -m tools.notebooks.save` is run.
"""

from __future__ import annotations

import re

from minialign.system.colab import DRIVE

REPOSITORY = ""  # such as "https://github.com/OWNER/minialign"; "" while there is none
GITHUB = "https://github.com/"
COLAB = "https://colab.research.google.com"

SETUP = """\
try:
    from minialign.course import session as sessions
except ImportError:  # not installed: from the clone around this notebook{otherwise}
    from os.path import isfile
    clone = isfile("../minialign/__init__.py") and isfile("../pyproject.toml")
{install}
    from minialign.course import session as sessions
"""
CLONE_ONLY = """\
    if not clone:
        raise SystemExit(
            "minialign is not installed: download the whole repository and open this "
            "notebook in it or %pip install PATH_OR_ADDRESS_OF_minialign; then run all"
        ) from None
    %pip install -q .."""
ANYWHERE = """\
    source = ".." if clone else "git+{address}"
    %pip install -q {{source}}"""
SETUP_LINES = re.compile(r"try:\n(?: .*\n)+except ImportError.*\n(?: .*\n)+")  # any edition

NO_ADDRESS = """\
- **Colab**: *File, Open notebook, GitHub*, and paste the address of this repository. \
Then add a first cell `%pip install -q git+ADDRESS`
  with the same address: the package brings its data along, and a torch of 2.11 or later \
stays as it is. `%env {drive}=1` in that
  cell keeps trainings on your Drive; after a disconnect, run all, and each goes on where it was."""
WITH_ADDRESS = """\
- **Colab**: [![Open in Colab]({badge})]({colab}{start})
  opens notebook 00, and *File, Open notebook, GitHub* any other one of {address}. \
The set-up cell installs
  the package, which brings its data along; a torch of 2.11 or later stays as it is. \
A first cell `%env {drive}=1` keeps
  trainings on your Drive; after a disconnect, run all, and each goes on where it was."""
README_LINES = re.compile(r"- \*\*Colab\*\*.*?(?=\n- \*\*)", re.DOTALL)  # either of them


def setup(address: str | None = None) -> str:
    """The first lines of every notebook's set-up cell.

    Where the package is missing, these lines install it: the clone that the notebook lies
    in, but no other project that happens to lie around it; else from the address; else they say
    what to do.

    Args:
        address: of the repository; "" is none, and None is REPOSITORY.

    Raises ValueError if Colab could not open it: it must be on GitHub.
    """
    address = _checked(address)
    install = ANYWHERE.format(address=address) if address else CLONE_ONLY
    return SETUP.format(otherwise=" or its address" * bool(address), install=install)


def readme(address: str | None = None) -> str:
    """The README's lines about Colab, with a badge where there is an address; as `setup`."""
    address = _checked(address)
    start = f"/github/{address.removeprefix(GITHUB)}/blob/main/notebooks/00_start_here.ipynb"
    lines = WITH_ADDRESS if address else NO_ADDRESS
    badge = f"{COLAB}/assets/colab-badge.svg"
    return lines.format(badge=badge, colab=COLAB, start=start, address=address, drive=DRIVE)


def _checked(address: str | None) -> str:
    address = REPOSITORY if address is None else address
    if address and not re.fullmatch(re.escape(GITHUB) + r"[\w.-]+/[\w.-]+", address):
        raise ValueError(f"the repository's address is {address!r}; write it as {GITHUB}OWNER/NAME")
    return address
