"""The model's Markdown as Discord shows it.

Discord knows most of it (https://support.discord.com/hc/en-us/articles/210298617) but no tables, pictures or small headings.
"""

from __future__ import annotations

import re

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
SMALL_HEADING = re.compile(r" {0,3}#{4,6}\s+(.+?)\s*#*$")
IMAGE = re.compile(r"!\[([^\]\n]*)\]\((<?[^)\s]+>?)(?:\s+\"[^\"\n]*\")?\)")
DELIMITER = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")


def render(text: str, limit: int) -> str:
    """Tables as code, small headings bold, pictures as links. `text` itself if that would be longer than `limit`."""
    lines, shown, index, fence = text.split("\n"), [], 0, ""
    while index < len(lines):
        line = lines[index]
        mark = FENCE.match(line)
        if fence:
            fence = "" if mark and line.strip() == mark[1] and mark[1].startswith(fence) else fence
            shown.append(line)
        elif mark:
            fence = mark[1]
            shown.append(line)
        elif end := _table_end(lines, index):
            shown += ["```", *_aligned(lines[index:end]), "```"]
            index = end
            continue
        else:
            shown.append(_line(line))
        index += 1
    rendered = "\n".join(shown)
    return rendered if len(rendered) <= limit else text


def _line(line: str) -> str:
    if heading := SMALL_HEADING.fullmatch(line):
        line = f"**{heading[1].replace('**', '')}**"
    if "![" not in line:
        return line
    parts, last = [], 0
    for code in CODE.finditer(line):
        parts += [_link(line[last : code.start()]), code[0]]
        last = code.end()
    return "".join([*parts, _link(line[last:])])


def _link(text: str) -> str:
    return IMAGE.sub(lambda found: f"[{found[1] or 'image'}]({found[2]})", text)


def _table_end(lines: list[str], start: int) -> int:
    """The line after the table that begins at `start`; 0 if none does."""
    if "|" not in lines[start] or start + 1 >= len(lines):
        return 0
    if "|" not in lines[start + 1] or not DELIMITER.fullmatch(lines[start + 1]):
        return 0
    end = start + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return end


def _aligned(table: list[str]) -> list[str]:
    rows = [_cells(line) for number, line in enumerate(table) if number != 1]
    columns = max(len(row) for row in rows)
    rows = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(columns)]
    drawn = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [drawn[0], "-+-".join("-" * width for width in widths), *drawn[1:]]


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [cell.strip().replace("\\|", "|").replace("```", "'''") for cell in cells]
