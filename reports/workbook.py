"""The report as an Excel workbook: programme, children, defaulters and figures.

Headings are in Hindi and English.
"""

from collections.abc import Sequence
from datetime import date, datetime
from io import BytesIO

from openpyxl import Workbook
from openpyxl.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet

from pravah.days import KOLKATA
from reports.labels import PHRASES, heading
from reports.situation import Situation

# Excel's number format for Indian grouping, up to hundreds of crores.
WHOLE = r"[>=10000000]##\,##\,##\,##0;[>=100000]##\,##\,##0;##,##0"
SHARE, DAY, INSTANT = "0.0%", "dd-mm-yyyy", "dd-mm-yyyy hh:mm"

_HEADING_FILL = PatternFill("solid", fgColor="0072B2")
_MAX_WIDTH, _MIN_WIDTH = 48, 11
_FIRST_ROW = 4

Value = str | int | float | date | datetime | None
Row = tuple[Value, ...]
# Key of the heading, number format.
Column = tuple[str, str | None]


def build_workbook(situation: Situation) -> bytes:
    """The workbook as a file's content."""
    book = Workbook()
    sheet = book.active
    assert isinstance(sheet, Worksheet)
    book.remove(sheet)
    _programme(book, situation)
    _children(book, situation)
    _defaulters(book, situation)
    _figures(book, situation)
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def _programme(book: Workbook, s: Situation) -> None:
    columns: list[Column] = [
        *(
            ("milestone", None),
            ("name_hi", None),
            ("name_en", None),
            ("level", None),
            ("deadline", DAY),
        ),
        *((name, WHOLE) for name in ("expected", "done_on_time", "done_late", "overdue", "due")),
        *(("share", SHARE), ("known_late", WHOLE), ("newly_done", WHOLE), ("newly_overdue", WHOLE)),
    ]
    rows: list[Row] = [
        (
            *(
                m.milestone,
                m.name_hi,
                m.name_en,
                heading(m.level),
                m.deadline,
                m.expected,
                m.done_on_time,
                m.done_late,
                m.overdue,
                m.due,
            ),
            *(m.share, m.known_late, m.newly_done, m.newly_overdue),
        )
        for m in s.milestones
    ]
    _sheet(book, "programme", s, columns, rows)


def _children(book: Workbook, s: Situation) -> None:
    columns: list[Column] = [
        *(
            ("code", None),
            ("name_hi", None),
            ("name_en", None),
            ("share", SHARE),
            ("expected", WHOLE),
            ("done", WHOLE),
            ("overdue", WHOLE),
        ),
        *(("days_overdue", WHOLE), ("silent_booths", WHOLE)),
    ]
    rows: list[Row] = [
        (
            c.unit,
            c.name_hi,
            c.name_en,
            c.share,
            c.expected,
            c.done,
            c.overdue,
            c.days_overdue,
            c.silent_booths,
        )
        for c in s.children
    ]
    _sheet(book, f"children_{s.child_level}" if s.child_level else "children", s, columns, rows)


def _defaulters(book: Workbook, s: Situation) -> None:
    columns: list[Column] = [
        *(
            ("code", None),
            ("name_hi", None),
            ("name_en", None),
            ("level", None),
            ("milestone", None),
            ("deadline", DAY),
            ("days_overdue", WHOLE),
        ),
        *(("waiting", WHOLE), ("last_report", DAY), ("responsible", None)),
    ]
    rows: list[Row] = []
    for one in s.defaulters:
        about = one.about
        office = " · ".join(
            filter(
                None,
                (about.office_hi, about.responsible, about.responsible_hi, about.responsible_en),
            )
        )
        named = (
            about.unit,
            about.name_hi,
            about.name_en,
            heading(about.level),
            f"{about.milestone_hi} · {about.milestone_en}",
            about.deadline,
        )
        rows.append((*named, about.days_overdue, about.blocks, about.last_report, office))
    if any(one.call for one in s.defaulters):
        columns += [("call", None), ("phone", None)]
        rows = [
            (*row, *((one.call.name, one.call.phone) if one.call else (None, None)))
            for row, one in zip(rows, s.defaulters, strict=True)
        ]
    _sheet(book, "overdue_units", s, columns, rows)


def _figures(book: Workbook, s: Situation) -> None:
    columns: list[Column] = [
        *(
            ("metric", None),
            ("name_hi", None),
            ("name_en", None),
            ("that_day", WHOLE),
            ("usual", WHOLE),
            ("to_date", WHOLE),
            ("verified", WHOLE),
        ),
    ]
    missing = heading("not_reported")
    rows: list[Row] = [
        (
            m.metric,
            m.name_hi,
            m.name_en,
            missing if m.today is None else m.today,
            m.usual,
            m.to_date,
            m.verified_to_date,
        )
        for m in s.metrics
    ]
    sheet = _sheet(book, "figures", s, columns, rows)
    if s.age is None:
        return
    number = sheet.max_row + 1
    for key, instant in (
        ("newest_event", s.age.newest_event),
        ("figures_updated", s.age.figures_updated),
        ("reconciled", s.age.reconciled_at),
        ("made_at", s.made_at),
    ):
        number += 1
        sheet.cell(number, 1, heading(key))
        if instant is not None:
            sheet.cell(
                number, 4, instant.astimezone(KOLKATA).replace(tzinfo=None)
            ).number_format = INSTANT


def _sheet(
    book: Workbook, title: str, s: Situation, columns: Sequence[Column], rows: Sequence[Row]
) -> Worksheet:
    """Add a sheet: a title, a frozen row of headings, and the rows; columns fit their content."""
    hindi, english = PHRASES[title]
    sheet: Worksheet = book.create_sheet(english)
    sheet.cell(1, 1, f"{hindi} · {english}").font = Font(bold=True, size=14)
    _put(sheet.cell(2, 1), f"{s.name_hi} · {s.name_en} ({s.unit}), {s.day:%d-%m-%Y}")
    for column, (key, number_format) in enumerate(columns, start=1):
        head = sheet.cell(_FIRST_ROW - 1, column, heading(key))
        head.font, head.fill = Font(bold=True, color="FFFFFF"), _HEADING_FILL
        head.alignment = Alignment(
            wrap_text=True, vertical="top", horizontal="right" if number_format else "left"
        )
        for number, row in enumerate(rows, start=_FIRST_ROW):
            cell = sheet.cell(number, column)
            _put(cell, row[column - 1])
            if number_format and not isinstance(row[column - 1], str):
                cell.number_format = number_format
        longest = max(
            [len(str(row[column - 1])) for row in rows if row[column - 1] is not None], default=0
        )
        sheet.column_dimensions[get_column_letter(column)].width = min(
            max(longest + 2, _MIN_WIDTH, len(heading(key)) // 2 + 2), _MAX_WIDTH
        )
    sheet.freeze_panes = f"B{_FIRST_ROW}"
    if rows:
        sheet.auto_filter.ref = (
            f"A{_FIRST_ROW - 1}:{get_column_letter(len(columns))}{_FIRST_ROW - 1 + len(rows)}"
        )
    return sheet


def _put(cell: Cell | MergedCell, value: Value) -> None:
    """Set a cell's value; text is never a formula, even if it begins with `=`."""
    cell.value = value
    if isinstance(value, str):
        cell.data_type = "s"
