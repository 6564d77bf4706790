"""Workbooks in the way of programs that do not run here, part by part.

Each function writes the same rows. What differs is what real files were reported to have: a
`<dimension>` that is too small or malformed, no addresses of rows and cells, texts in the cell,
prefixed elements, the strict format with dates as texts, days counted from 1904, styles that other
readers refuse, parts in other letters' case or with backslashes.
"""

import io
import zipfile
from collections.abc import Callable, Iterable
from datetime import date
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
STRICT_RELATIONS = "http://purl.oclc.org/ooxml/officeDocument/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
# Formats of cells: 0 none, 1 a built-in date, 2 a date in the language of India, 3 a number whose
# format has the letters of a date in quotation marks.
STYLES = (
    '<styleSheet xmlns="{main}"><numFmts count="2">'
    '<numFmt numFmtId="176" formatCode="[$-4000439]dd/mm/yyyy;@"/>'
    '<numFmt numFmtId="177" formatCode="0&quot; days&quot;"/></numFmts>'
    '<fonts count="1"><font><sz val="11"/><name val="宋体"/><charset val="134"/></font></fonts>'
    '<fills count="1">{fill}</fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="176"/>'
    '<xf numFmtId="177"/></cellXfs></styleSheet>'
)
FILL = '<fill><patternFill patternType="none"/></fill>'

Rows = Iterable[Iterable[object]]


def make_book(
    sheet: str,
    *,
    shared: str | None = None,
    workbook: str = "",
    main: str = MAIN,
    relations: str = RELATIONS,
    fill: str = FILL,
    target: str = "worksheets/sheet1.xml",
    part: str = "xl/worksheets/sheet1.xml",
) -> bytes:
    """Return a workbook of one sheet.

    Args:
        sheet: the sheet's XML.
        shared: the shared texts' XML.
        workbook: elements before the workbook's sheets.
        main: the namespace of the parts.
        relations: the namespace of relations.
        fill: the only fill of the styles.
        target: the sheet's part as the workbook refers to it.
        part: the sheet's part in the archive.
    """
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{kind}.{content}+xml"/>'
        for name, content in (
            ("xl/workbook.xml", "sheet.main"),
            ("xl/worksheets/sheet1.xml", "worksheet"),
            ("xl/styles.xml", "styles"),
            *([("xl/sharedStrings.xml", "sharedStrings")] if shared else []),
        )
    )
    links = [("rId1", "worksheet", target), ("rId2", "styles", "styles.xml")]
    links += [("rId3", "sharedStrings", "sharedStrings.xml")] if shared else []
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relations}">{workbook}<sheets>'
        f'<sheet name="Members" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
        + "".join(
            f'<Relationship Id="{name}" Type="{relations}/{kind}" Target="{to}"/>'
            for name, kind, to in links
        )
        + "</Relationships>",
        part: sheet,
        "xl/styles.xml": STYLES.format(main=main, fill=fill),
        **({"xl/sharedStrings.xml": shared} if shared else {}),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            # the same bytes at each run
            archive.writestr(zipfile.ZipInfo(name, (2022, 6, 1, 12, 0, 0)), HEAD + text)
    return content.getvalue()


def make_sheet(
    rows: str, *, before: str = "", after: str = "", main: str = MAIN, prefix: str = ""
) -> str:
    """Return a sheet's XML."""
    if prefix:
        rows = rows.replace("</", f"</{prefix}:").replace("<", f"<{prefix}:")
        rows = rows.replace(f"<{prefix}:/", "</")
        begin, end = f'<{prefix}:worksheet xmlns:{prefix}="{main}">', f"</{prefix}:worksheet>"
        return f"{begin}<{prefix}:sheetData>{rows}</{prefix}:sheetData>{end}"
    return (
        f'<worksheet xmlns="{main}" xmlns:r="{RELATIONS}">{before}<sheetData>{rows}</sheetData>'
        f"{after}</worksheet>"
    )


def make_rows(
    rows: Rows,
    *,
    shared: list[str] | None = None,
    has_addresses: bool = True,
    style: int = 1,
    first_day: date = date(1899, 12, 30),
    is_iso: bool = False,
) -> str:
    """Return the XML of rows.

    Args:
        rows: texts, whole numbers, days, None.
        shared: receives the texts; None to write them into the cells.
        has_addresses: whether rows and cells say where they are. Without, empty cells are written.
        style: the format of days.
        first_day: the day with the number 0.
        is_iso: whether days are written as texts, as the strict format does.
    """
    found = []
    for number, row in enumerate(rows, start=1):
        cells = []
        for column, cell in enumerate(row):
            place = f' r="{chr(ord("A") + column)}{number}"' if has_addresses else ""
            if cell is None:
                cells.append("" if has_addresses else "<c/>")
            elif isinstance(cell, date) and is_iso:
                cells.append(f'<c{place} s="{style}" t="d"><v>{cell.isoformat()}</v></c>')
            elif isinstance(cell, date):
                cells.append(f'<c{place} s="{style}"><v>{(cell - first_day).days}</v></c>')
            elif isinstance(cell, int):
                cells.append(f"<c{place}><v>{cell}</v></c>")
            elif shared is not None:
                shared.append(str(cell))
                cells.append(f'<c{place} t="s"><v>{len(shared) - 1}</v></c>')
            else:
                text = escape(str(cell))
                cells.append(f'<c{place} t="inlineStr"><is><t>{text}</t></is></c>')
        place = f' r="{number}"' if has_addresses else ""
        found.append(f"<row{place}>{''.join(cells)}</row>")
    return "".join(found)


def make_shared(texts: list[str]) -> str:
    """Return the XML of shared texts, of which every second has several parts."""
    items = []
    for number, text in enumerate(texts):
        half = len(text) // 2 if number % 2 else 0
        runs = "".join(
            f'<r><t xml:space="preserve">{escape(part)}</t></r>'
            for part in (text[:half], text[half:])
        )
        phonetic = '<rPh sb="0" eb="1"><t>ruby</t></rPh>'
        items.append(f"<si>{runs}{phonetic}</si>")
    return f'<sst xmlns="{MAIN}" count="1" uniqueCount="1">{"".join(items)}</sst>'


def write_as_wps(rows: Rows) -> bytes:
    """Write a workbook in the way of WPS Office, with its extensions and a wrong dimension."""
    texts: list[str] = []
    data = make_rows(rows, shared=texts, style=2)
    sheet = make_sheet(
        data,
        before='<sheetPr/><dimension ref="A1:D3"/><sheetViews><sheetView tabSelected="1" '
        'workbookViewId="0"/></sheetViews><sheetFormatPr defaultColWidth="9" '
        'defaultRowHeight="13.5"/><cols><col min="3" max="3" width="10.375"/></cols>',
        after='<pageMargins left="0.75" right="0.75" top="1" bottom="1" header="0.5" footer="0.5"/>'
        "<headerFooter/>",
    )
    return make_book(
        sheet,
        shared=make_shared(texts),
        workbook='<fileVersion appName="xl" lastEdited="3" lowestEdited="5" rupBuild="9302"/>'
        '<workbookPr/><bookViews><workbookView windowWidth="27945" windowHeight="12375"/>'
        "</bookViews>",
    )


def write_with_dimension(rows: Rows, dimension: str) -> bytes:
    """Write a workbook whose sheet has another `<dimension>`, such as that of an export."""
    return make_book(make_sheet(make_rows(rows), before=f'<dimension ref="{dimension}"/>'))


def write_without_addresses(rows: Rows) -> bytes:
    """Write rows and cells that do not say where they are."""
    return make_book(make_sheet(make_rows(rows, has_addresses=False)), fill="<fill/>")


def write_strict(rows: Rows) -> bytes:
    """Write the strict format, with days as texts."""
    sheet = make_sheet(make_rows(rows, is_iso=True), main=STRICT)
    return make_book(sheet, main=STRICT, relations=STRICT_RELATIONS)


def write_from_1904(rows: Rows) -> bytes:
    """Write days counted from 1904, as Excel for the Mac did."""
    data = make_rows(rows, first_day=date(1904, 1, 1))
    return make_book(make_sheet(data), workbook='<workbookPr date1904="1"/>')


def write_with_prefixes(rows: Rows) -> bytes:
    """Write elements with a prefix, in a part that is named with backslashes."""
    return make_book(make_sheet(make_rows(rows), prefix="x"), part="xl\\worksheets\\sheet1.xml")


def write_unordered(rows: Rows) -> bytes:
    """Write the rows in reverse order, in a part whose reference has other letters' case."""
    data = make_rows(rows)
    reverse = "</row>".join(reversed(data.split("</row>")[:-1])) + "</row>"
    return make_book(make_sheet(reverse), target="/xl/Worksheets/Sheet1.xml")


WORKBOOKS: dict[str, Callable[[Rows], bytes]] = {
    "wps": write_as_wps,
    "dimension-a1": lambda rows: write_with_dimension(rows, "A1"),
    "dimension-empty": lambda rows: write_with_dimension(rows, ""),
    "dimension-whole-sheet": lambda rows: write_with_dimension(rows, "A1:XFD1048576"),
    "no-addresses": write_without_addresses,
    "strict": write_strict,
    "from-1904": write_from_1904,
    "prefixes": write_with_prefixes,
    "unordered": write_unordered,
}
