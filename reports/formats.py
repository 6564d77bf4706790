"""The formats of a report, and the function that renders one."""

from typing import TypeAlias, get_args

import orjson

from reports import choices
from reports.labels import Lang
from reports.situation import Situation

Format: TypeAlias = choices.Format
FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "png": "image/png",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def render(situation: Situation, format_: Format, lang: Lang) -> bytes:
    """Render a report as a file's content. JSON and XLSX always have both languages.

    Raises:
        MissingLibraryError: PDF and PNG need a system library that is missing.
    """
    # a format's libraries are imported when it is rendered: other formats do not need them
    if format_ == "json":
        return orjson.dumps(situation)
    if format_ == "xlsx":
        from reports.workbook import build_workbook

        return build_workbook(situation)
    from reports import page, pdf

    if format_ == "png":
        return pdf.render_png(page.render_card(situation, lang), page.CARD_SIZE[0])
    html = page.render_page(situation, lang)
    return html.encode() if format_ == "html" else pdf.render_pdf(html)
