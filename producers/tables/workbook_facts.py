"""Facts of a workbook's XML that its reader does not report.

calamine reads a formula's error and a formula without a result as empty cells, takes dates of the
strict format as texts and 100 % as 1, does not say which rows are hidden, and reserves memory for
every cell up to the last one. So the sheet's XML is scanned beside it, as a stream. Nothing that
the file says of itself is used: neither `<dimension>` nor counts; and rows and cells may lack their
addresses.
"""

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from producers.mapping.conversions import Cell
from producers.tables.cells import make_error_cell, make_formula_cell, make_percent_cell
from producers.tables.errors import TableError

# Cells of the rectangle that holds all values. calamine reserves 24 bytes for each.
MAX_CELLS = 40_000_000
_MAX_SHEET_BYTES = 2 << 30
_CHUNK_BYTES = 1 << 20
_ADDRESS = re.compile(r"([A-Za-z]{1,3})(\d{1,7})")
_TRUE = {"1", "true", "on"}
# Built-in formats 0% and 0.00%, of Office Open XML, 18.8.30.
_PERCENT_IDS = {"9", "10"}
# Parts of a number's format that are shown as they are.
_LITERALS = re.compile(r'"[^"]*"|\\.|_.|\[[^\]]*\]')


class Sheet(NamedTuple):
    """A sheet of a workbook."""

    name: str
    part: str
    """Its file in the archive."""
    is_visible: bool
    is_worksheet: bool
    """Not a chart, dialog or macro sheet."""


class SheetFacts(NamedTuple):
    """What a scan of a sheet found."""

    overrides: dict[tuple[int, int], Cell]
    """Row and column from 0 → the cell that counts instead of the reader's."""
    rows: int
    """Rows up to the last one with a value."""
    columns: int
    hidden_rows: list[int]
    """Rows with values that the sheet does not show, from 0."""


class WorkbookParts:
    """The parts of a workbook's archive."""

    def __init__(self, path: Path) -> None:
        """Read which sheets there are.

        Raises:
            TableError: parts are missing or damaged.
        """
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise _make_damage(path, error) from None
        # Some programs write backslashes, or other letters' case than they refer to.
        self._names = {_normalise(name): name for name in self._archive.namelist()}
        try:
            self._read_workbook()
        except BaseException:
            self._archive.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def scan(self, sheet: Sheet) -> SheetFacts:
        """Read a sheet's XML from beginning to end.

        Raises:
            TableError: the sheet is damaged or too large.
        """
        scan = _SheetScan(
            is_uncalculated=self._is_uncalculated, percent_styles=self._percent_styles
        )
        self._parse(sheet.part, scan.parser)
        return SheetFacts(scan.overrides, scan.rows, scan.columns, sorted(scan.hidden_rows))

    def read_part(self, part: str) -> bytes:
        """Return a part of the archive."""
        return b"".join(self._iter_chunks(part))

    def iter_parts(self) -> Iterator[tuple[str, bytes]]:
        """Yield all parts of the archive with their normalised names."""
        for name in self._names:
            if not name.endswith("/"):
                yield name, self.read_part(name)

    def _read_workbook(self) -> None:
        workbook = self._find_workbook()
        folder, file = posixpath.split(workbook)
        # part → the name under which calamine looks for it
        self.usual_names = {
            workbook: "xl/workbook.xml",
            f"{folder}/_rels/{file}.rels": "xl/_rels/workbook.xml.rels",
        }
        targets: dict[str, tuple[str, str]] = {}
        self._percent_styles: set[str] = set()
        for name, attributes in self._iter_elements(f"{folder}/_rels/{file}.rels"):
            if name == "relationship":
                target = _normalise(attributes.get("target", ""))
                if not attributes.get("target", "").startswith(("/", "\\")):
                    target = posixpath.normpath(posixpath.join(folder, target))
                targets[attributes.get("id", "")] = target, attributes.get("type", "")
                if attributes.get("type", "").endswith("/sharedStrings"):
                    self.usual_names[target] = "xl/sharedstrings.xml"
                if attributes.get("type", "").endswith("/styles"):
                    self._percent_styles = self._read_percent_styles(target)
        self.sheets: list[Sheet] = []
        self._is_uncalculated = False
        for name, attributes in self._iter_elements(workbook):
            if name == "sheet":
                part, kind = targets.get(attributes.get("id", ""), ("", ""))
                self.sheets.append(
                    Sheet(
                        attributes.get("name", ""),
                        part,
                        attributes.get("state", "visible") == "visible",
                        kind.endswith("/worksheet"),
                    )
                )
            elif name == "calcpr":
                self._is_uncalculated = attributes.get("fullcalconload", "") in _TRUE

    def _read_percent_styles(self, part: str) -> set[str]:
        """Return the numbers of the cell styles that show a number as a percentage."""
        if part not in self._names:
            return set()
        formats, styles, are_of_cells = set(_PERCENT_IDS), list[str](), False
        for name, attributes in self._iter_elements(part):
            if name == "numfmt" and "%" in _LITERALS.sub("", attributes.get("formatcode", "")):
                formats.add(attributes.get("numfmtid", ""))
            elif name in {"cellxfs", "cellstylexfs", "cellstyles", "dxfs"}:
                are_of_cells = name == "cellxfs"
            elif name == "xf" and are_of_cells:
                styles.append(attributes.get("numfmtid", "0"))
        return {str(number) for number, form in enumerate(styles) if form in formats}

    def _find_workbook(self) -> str:
        """Return the workbook's part: the usual one, or as the archive's relationships say."""
        if "xl/workbook.xml" not in self._names and "_rels/.rels" in self._names:
            for _, attributes in self._iter_elements("_rels/.rels"):
                if attributes.get("type", "").endswith("/officeDocument"):
                    return _normalise(attributes.get("target", ""))
        return "xl/workbook.xml"

    def _iter_elements(self, part: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield elements' and attributes' names in lower case, without prefixes."""
        found: list[tuple[str, dict[str, str]]] = []
        parser = _make_parser()

        def start(name: str, attributes: dict[str, str]) -> None:
            found.append(
                (
                    _get_local(name).lower(),
                    {_get_local(key).lower(): text for key, text in attributes.items()},
                )
            )

        parser.StartElementHandler = start
        self._parse(part, parser)
        yield from found

    def _parse(self, part: str, parser: expat.XMLParserType) -> None:
        try:
            for chunk in self._iter_chunks(part):
                parser.Parse(chunk, False)  # noqa: FBT003
            parser.Parse(b"", True)  # noqa: FBT003
        except (expat.ExpatError, LookupError) as error:
            raise _make_damage(self._path, f"{part}: {error}") from None

    def _iter_chunks(self, part: str) -> Iterator[bytes]:
        name = self._names.get(_normalise(part))
        if name is None:
            raise _make_damage(self._path, f"it has no part {part or 'xl/workbook.xml'}")
        size = 0
        try:
            with self._archive.open(name) as file:
                while chunk := file.read(_CHUNK_BYTES):
                    size += len(chunk)
                    if size > _MAX_SHEET_BYTES:
                        msg = f"{self._path}: {part} is larger than 2 GiB; split the workbook"
                        raise TableError(msg)
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise _make_damage(self._path, error) from None


class _SheetScan:
    """Handlers of a sheet's elements."""

    def __init__(self, *, is_uncalculated: bool, percent_styles: set[str]) -> None:
        self.overrides: dict[tuple[int, int], Cell] = {}
        self.rows = self.columns = 0
        self.hidden_rows: set[int] = set()
        self._percent_styles = percent_styles
        self._is_hidden = self._is_percent = False
        self._is_uncalculated = is_uncalculated
        self._row = self._column = -1
        self._earlier_rows: set[int] = set()
        self._columns: set[int] = set()
        self._type = ""
        self._has_formula = self._has_value = self._has_inline = self._is_value = False
        self._text: list[str] = []
        self.parser = _make_parser()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add_text

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        match _get_local(name):
            case "c":
                address = _ADDRESS.fullmatch(attributes.get("r", ""))
                if address is None:
                    self._column += 1
                else:
                    self._column, self._row = _parse_column(address[1]), int(address[2]) - 1
                if self._column in self._columns:
                    msg = f"two cells are in row {self._row + 1}, column {self._column + 1}"
                    raise LookupError(msg)
                self._columns.add(self._column)
                self._type = attributes.get("t", "n")
                self._is_percent = attributes.get("s", "") in self._percent_styles
                self._has_formula = self._has_value = self._has_inline = False
                self._text.clear()
            case "row":
                number = attributes.get("r", "")
                self._row = int(number) - 1 if number.isdigit() else self._row + 1
                self._column = -1
                self._is_hidden = attributes.get("hidden", "") in _TRUE
                self._columns.clear()
                if self._row in self._earlier_rows:
                    msg = f"row {self._row + 1} is in it twice"
                    raise LookupError(msg)
                self._earlier_rows.add(self._row)
            case "v":
                self._has_value = self._is_value = True
            case "f":
                self._has_formula = True
            case "is":
                self._has_inline = True

    def _end(self, name: str) -> None:
        match _get_local(name):
            case "v":
                self._is_value = False
            case "c":
                self._end_cell("".join(self._text))

    def _add_text(self, text: str) -> None:
        if self._is_value:
            self._text.append(text)

    def _end_cell(self, text: str) -> None:
        place = self._row, self._column
        if self._type == "e":
            self.overrides[place] = make_error_cell(text or "#N/A")
        elif self._has_formula and self._is_without_result(text):
            self.overrides[place] = make_formula_cell()
        elif self._type == "d":
            with suppress(ValueError):
                self.overrides[place] = datetime.fromisoformat(text)
        elif self._type == "n" and self._is_percent and text:
            self.overrides[place] = make_percent_cell(text)
        elif not text and not self._has_inline:
            return
        if self._is_hidden:
            self.hidden_rows.add(self._row)
        self.rows, self.columns = max(self.rows, place[0] + 1), max(self.columns, place[1] + 1)

    def _is_without_result(self, text: str) -> bool:
        if not text:
            return not (self._type == "str" and self._has_value)
        # Programs that do not calculate write 0, and ask for a calculation when it is opened.
        return self._is_uncalculated and text == "0"


def _parse_column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _make_parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        msg = "it declares entities, which no spreadsheet program does"
        raise LookupError(msg)

    parser.StartDoctypeDeclHandler = refuse
    return parser


def _get_local(name: str) -> str:
    return name.rpartition(":")[2]


def _normalise(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/").lstrip("/")).lower() if name else ""


def _make_damage(path: Path, reason: object) -> TableError:
    return TableError(
        f"{path} is a damaged workbook ({reason}); "
        "open it in Excel or LibreOffice and save it again as .xlsx, or copy it again"
    )
