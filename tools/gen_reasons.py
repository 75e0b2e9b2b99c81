"""Make ext/reasons.h and ext/reasons.pxd from core/catalogue.py."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.catalogue import OUTCOMES  # noqa: E402 - the path is set above

BANNER = "made by tools/gen_reasons.py from core/catalogue.py; do not edit"


def header() -> str:
    """Return the C enum of outcome reasons."""
    rows = "\n".join(f"    CC_R_{r.name} = {r.number}," for r in OUTCOMES)
    return f"/* {BANNER} */\n#ifndef CC_REASONS_H\n#define CC_REASONS_H\nenum {{\n{rows}\n}};\n#endif\n"


def pxd() -> str:
    """Return the Cython declaration of the same enum."""
    rows = "\n".join(f"        CC_R_{r.name}" for r in OUTCOMES)
    return f'# {BANNER}\ncdef extern from "reasons.h" nogil:\n    enum:\n{rows}\n'


def main() -> None:
    """Write both files where they differ."""
    for name, text in (("reasons.h", header()), ("reasons.pxd", pxd())):
        path = ROOT / "ext" / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
