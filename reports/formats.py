"""The formats of a report, and the function that renders one."""

from typing import TYPE_CHECKING, TypeAlias, get_args

import orjson

from pravah.languages import Lang, languages_of
from reports import choices
from reports.situation import Situation

if TYPE_CHECKING:
    from reports.page import Link

Format: TypeAlias = choices.Format
FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "png": "image/png",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def render(situation: Situation, format_: Format, lang: Lang, link: "Link | None" = None) -> bytes:
    """Render a report as a file's content. JSON and XLSX always have both languages.

    Args:
        situation: the report.
        format_: of the file.
        lang: of HTML, PDF and PNG; with `both`, a PDF has Hindi pages before English ones.
        link: of HTML, code of a unit below and language → address of its report.

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
    if format_ == "pdf":
        return pdf.render_paper([page.render_page(situation, one) for one in languages_of(lang)])
    return page.render_page(situation, lang, link).encode()
