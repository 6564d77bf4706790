"""Writes the workbooks of this folder, each by another program. Run by hand; the files are kept.

    python tests/support/workbooks/make.py

All hold the rows of `members.csv`, so the importer must make the same events from each. LibreOffice
comes from Debian: `apt-get install libreoffice-calc-nogui python3-uno`. `by_hand.py` makes those in
the way of programs that do not run here. `refused/` holds files that are no workbooks.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import openpyxl
import xlsxwriter
from openpyxl.styles import Font

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2]))

from tests.support.workbooks import by_hand  # noqa: E402

_STORE = """
import sys, uno
from com.sun.star.beans import NamedValue, PropertyValue
from time import sleep

source, target, filter_name, password = sys.argv[1:5]
local = uno.getComponentContext()
resolver = local.ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
for attempt in range(60):
    try:
        context = resolver.resolve("uno:pipe,name=workbooks;urp;StarOffice.ComponentContext")
        break
    except Exception:
        sleep(1)
desktop = context.ServiceManager.createInstance("com.sun.star.frame.Desktop")

def properties(**items):
    return tuple(PropertyValue(name, 0, value, 0) for name, value in items.items())

document = desktop.loadComponentFromURL(source, "_blank", 0, properties(Hidden=True))
options = {"FilterName": filter_name}
if password:
    named = (NamedValue("CryptoType", "StrongEncryptionDataSpace"),
             NamedValue("OOXPassword", password))
    options["EncryptionData"] = uno.Any("[]com.sun.star.beans.NamedValue", named)
document.storeToURL(target, properties(**options))
document.close(True)
desktop.terminate()
"""


def read_rows() -> list[list[object]]:
    """Return the rows of `members.csv`, with dates and numbers as a workbook has them."""
    with (HERE / "members.csv").open(encoding="utf-8", newline="") as text:
        header, *rows = csv.reader(text)
    typed = [
        [form, int(version), date.fromisoformat(day), booth, int(new), drive, photo or None]
        for form, version, day, booth, new, drive, photo in rows
    ]
    return [header, *typed]


def write_by_openpyxl(path: Path, rows: list[list[object]]) -> None:
    """Write a workbook with a title, a hidden sheet and a bold header."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Members"
    for row in rows:
        sheet.append(row)
    for cell in sheet[1]:
        cell.font = Font(bold=True)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions
    hidden = book.create_sheet("Lists", 0)
    hidden.append(["Paper", "App"])
    hidden.sheet_state = "hidden"
    book.active = 1
    book.save(path)


def write_by_xlsxwriter(path: Path, rows: list[list[object]]) -> None:
    """Write a workbook row by row, without shared texts, and with a chart sheet."""
    with xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_urls": False}) as book:
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        chartsheet = book.add_chartsheet("Chart")
        sheet = book.add_worksheet("Members")
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, date):
                    sheet.write_datetime(number, column, cell, day)
                elif cell is not None:
                    sheet.write(number, column, cell)
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": ["Members", 1, 4, len(rows) - 1, 4]})
        chartsheet.set_chart(chart)


def store_by_libreoffice(source: Path, target: Path, filter_name: str, password: str = "") -> None:
    """Open a file in LibreOffice and save it in another format."""
    with tempfile.TemporaryDirectory() as profile:
        office = subprocess.Popen(
            [
                "soffice",
                "--headless",
                "--norestore",
                f"-env:UserInstallation=file://{profile}",
                "--accept=pipe,name=workbooks;urp;",
            ]
        )
        subprocess.run(
            [
                "/usr/bin/python3",
                "-c",
                _STORE,
                source.as_uri(),
                target.as_uri(),
                filter_name,
                password,
            ],
            check=True,
        )
        office.wait(60)


def main() -> None:
    """Write all files."""
    rows = read_rows()
    refused = HERE / "refused"
    refused.mkdir(exist_ok=True)
    write_by_openpyxl(HERE / "openpyxl.xlsx", rows)
    write_by_xlsxwriter(HERE / "xlsxwriter.xlsx", rows)
    for name, content in by_hand.WORKBOOKS.items():
        (HERE / f"{name}.xlsx").write_bytes(content(rows))
    source = HERE / "openpyxl.xlsx"
    excel = "Calc MS Excel 2007 XML"
    store_by_libreoffice(source, HERE / "libreoffice.xlsx", excel)
    store_by_libreoffice(HERE / "libreoffice.xlsx", HERE / "libreoffice-again.xlsx", excel)
    store_by_libreoffice(source, refused / "encrypted.xlsx", excel, "narayanpur")
    store_by_libreoffice(source, refused / "old.xls", "MS Excel 97")
    store_by_libreoffice(source, refused / "libreoffice.ods", "calc8")
    store_by_libreoffice(source, refused / "page.xls", "HTML (StarCalc)")
    shutil.copy(HERE / "libreoffice.xlsx", refused / "workbook.csv")
    shutil.copy(HERE / "members.csv", refused / "text.xlsx")


if __name__ == "__main__":
    main()
