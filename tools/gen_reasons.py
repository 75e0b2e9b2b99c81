"""Make ext/reasons.h and ext/reasons.pxd from core/catalogue.py."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.catalogue import REASONS, Reason  # noqa: E402 - the path is set above

BANNER = "made by tools/gen_reasons.py from core/catalogue.py; do not edit"

HEADER = """/* {banner} */
#ifndef CC_REASONS_H
#define CC_REASONS_H

#include <stddef.h>

enum {{
{numbers}
}};

/* Texts of both languages; names in braces are filled from the decision's numbers. */
typedef struct {{
    const char *name, *clause, *zh, *en;
    unsigned char name_len, clause_len;
}} cc_reason_text;

#define CC_REASON_TEXTS {count}u

/* By number; a number without a reason has name NULL. */
static const cc_reason_text cc_reason_texts[CC_REASON_TEXTS] = {{
{texts}
}};

static inline const cc_reason_text *cc_reason_text_of(unsigned number)
{{
    static const cc_reason_text unknown = {{"UNKNOWN", "", "", "", 7, 0}};
    if (number >= CC_REASON_TEXTS || cc_reason_texts[number].name == NULL)
        return &unknown;
    return &cc_reason_texts[number];
}}

#endif
"""

PXD = """# {banner}
cdef extern from "reasons.h" nogil:
    enum:
{names}

    ctypedef struct cc_reason_text:
        const char *name
        const char *clause
        const char *zh
        const char *en
        unsigned char name_len, clause_len

    const cc_reason_text *cc_reason_text_of(unsigned number) noexcept
"""


def c_string(text: str) -> str:
    """Return a C string literal; the source is UTF-8."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def c_text(reason: Reason) -> str:
    """Return one row of the table of texts."""
    texts = (reason.name, reason.clause, reason.zh, reason.en)
    lengths = (len(reason.name.encode()), len(reason.clause.encode()))
    row = ", ".join([*map(c_string, texts), *map(str, lengths)])
    return f"    [{reason.number}] = {{{row}}},"


def header() -> str:
    """Return the C enum of all reasons and the table of their texts."""
    return HEADER.format(
        banner=BANNER,
        numbers="\n".join(f"    CC_R_{r.name} = {r.number}," for r in REASONS),
        count=max(r.number for r in REASONS) + 1,
        texts="\n".join(map(c_text, REASONS)),
    )


def pxd() -> str:
    """Return the Cython declaration of the same."""
    return PXD.format(banner=BANNER, names="\n".join(f"        CC_R_{r.name}" for r in REASONS))


def main() -> None:
    """Write both files where they differ."""
    for name, text in (("reasons.h", header()), ("reasons.pxd", pxd())):
        path = ROOT / "ext" / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
