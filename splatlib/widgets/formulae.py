"""Formulae of markdown as MathML, so that a page needs no MathJax.

They are taken out before nbconvert renders the markdown, and put in afterwards: it takes MathML apart.
"""

from __future__ import annotations

import html
import re

# Code first: what stands in backticks or fences is no formula. Then display and inline formulae, as MathJax reads them.
_PATTERN = re.compile(
    r"(?P<code>^```.*?^```|^~~~.*?^~~~|`+[^`]+`+)"
    r"|\$\$(?P<display>.+?)\$\$"
    r"|(?<![\\$\w])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\d\w])",
    re.DOTALL | re.MULTILINE,
)
_MARK = "splatlibformula{}end"
_MARKS = re.compile(r"splatlibformula(\d+)end")
_ATTRIBUTES = re.compile(r'((?:id|href)="[^"]*?)-?splatlibformula\d+end')


def without_formulae(markdown: str, found: list[str]) -> str:
    """Markdown with a mark for each formula; the formulae are appended to ``found`` as HTML."""

    def taken(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        found.append(_as_html(match["display"] or match["inline"], is_display=bool(match["display"])))
        return _MARK.format(len(found) - 1)

    return _PATTERN.sub(taken, markdown)


def with_formulae(page: str, found: list[str]) -> str:
    """The formulae in place of their marks; those in the ids that nbconvert makes of headings go."""
    while _ATTRIBUTES.search(page):
        page = _ATTRIBUTES.sub(r"\1", page)
    return _MARKS.sub(lambda match: found[int(match[1])], page)


def _as_html(tex: str, *, is_display: bool) -> str:
    """MathML; what cannot be read stays as it was written, as code."""
    plain = f"<code>{html.escape(tex)}</code>"
    try:
        from latex2mathml.converter import convert
    except ImportError:
        return plain
    try:
        return convert(tex.strip(), display="block" if is_display else "inline").replace("\n", "")
    except Exception:  # noqa: BLE001 - a dozen unrelated classes
        return plain
