"""One report in the form that is asked for."""

from typing import Literal, get_args

import orjson

from reports.labels import Tongue
from reports.situation import Situation

Form = Literal["html", "pdf", "xlsx", "png", "json"]
FORMS: tuple[Form, ...] = get_args(Form)
MEDIA_TYPES: dict[Form, str] = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "png": "image/png",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def rendered(situation: Situation, form: Form, tongue: Tongue) -> bytes:
    """The report as a file's content. JSON and XLSX have both languages always.

    Raises:
        MissingLibraryError: PDF and PNG need a system library that is missing.
    """
    # each form's libraries are loaded when it is asked for: the others do not wait for them
    if form == "json":
        return orjson.dumps(situation)
    if form == "xlsx":
        from reports.workbook import workbook

        return workbook(situation)
    from reports import page
    from reports import pdf as paper

    if form == "png":
        return paper.png(page.card(situation, tongue), page.CARD_SIZE[0])
    html = page.page(situation, tongue)
    return html.encode() if form == "html" else paper.pdf(html)
