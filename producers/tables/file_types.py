"""What a file is by its content, whatever its name says, and how to save it as a table."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from producers.tables.errors import TableError

WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm"})
TEXT_SUFFIXES = frozenset({".csv", ".tsv", ".txt"})

_SAMPLE_BYTES = 65_536
_WORKBOOK_PART = re.compile(r"(?:.*/)?workbook\w*\.xml")
_SAVE = "open it in Excel or LibreOffice and save it as Excel workbook (.xlsx)"
_SAVE_CSV = "save it as 'CSV UTF-8'"


class FileType(NamedTuple):
    """The content of a file."""

    name: str
    """`workbook`, `text`, or another thing with its article."""
    advice: str = ""
    """How to make a table of it. Empty for tables."""


def check_type(path: Path) -> FileType:
    """Return whether a file is a workbook or text, by its content.

    Raises:
        TableError: it is something else, or its name says otherwise; with how to save it.
        OSError: the file cannot be read.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        msg = f"{path} is a folder; name a file in it"
        raise TableError(msg)
    found = detect_type(path)
    expected = (
        "workbook" if suffix in WORKBOOK_SUFFIXES else "text" if suffix in TEXT_SUFFIXES else None
    )
    if found.name == expected:
        return found
    if path.stat().st_size == 0 and expected == "workbook":
        found = FileType("an empty file", "copy or download it again")
    elif path.name.startswith("~$"):
        found = FileType(
            "Excel's lock file of an open workbook", f"take {path.name.removeprefix('~$')}"
        )
    kinds = {
        "workbook": FileType("an Excel workbook", "rename it to .xlsx"),
        "text": FileType(
            "plain text" if expected is None else "plain text, perhaps CSV",
            "rename it to .csv if its lines are the rows of a table",
        ),
    }
    name, advice = kinds.get(found.name, found)
    refusal = {
        "workbook": "no workbook, though its name says so",
        "text": "no CSV file, though its name says so",
        None: "no table by its name: expected a .csv, .tsv or .xlsx file",
    }[expected]
    msg = f"{path} is {refusal}; it is {name}: {advice}"
    raise TableError(msg)


def detect_type(path: Path) -> FileType:
    """Return what a file is by its content.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE_BYTES)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_zip(path)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _detect_ole(path)
    for matches, found in _SIGNATURES:
        if matches(head):
            return found
    if b"\0" in head and path.suffix.lower() not in TEXT_SUFFIXES and find_utf16(head) is None:
        return FileType("a binary file", _SAVE)
    return FileType("text")


def find_utf16(head: bytes) -> str | None:
    """Return `UTF-16` in its byte order if bytes look like it, with or without its mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even + odd < len(head) / 50 or even + odd == 0:
        return None
    if even * 10 <= odd:
        return "UTF-16 little-endian"
    return "UTF-16 big-endian" if odd * 10 <= even else None


def _detect_zip(path: Path) -> FileType:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename.replace("\\", "/").lstrip("/").lower() for entry in entries]
            kind = _read_mimetype(archive) if "mimetype" in names else ""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return FileType(
            "a workbook that is cut off or damaged", "copy or download it again, or save it again"
        )
    shown = ", ".join(entry.filename for entry in entries[:3]) or "nothing"
    kinds = [
        (
            any(entry.flag_bits & 1 for entry in entries),
            FileType("a ZIP archive with a password", "unpack it first"),
        ),
        (any(map(_WORKBOOK_PART.fullmatch, names)), FileType("workbook")),
        (
            "opendocument.spreadsheet" in kind,
            FileType("an OpenDocument spreadsheet (.ods)", _SAVE),
        ),
        ("opendocument" in kind, FileType("an OpenDocument file", _SAVE)),
        ("xl/workbook.bin" in names, FileType("a binary workbook (.xlsb)", _SAVE)),
        (
            any(name.startswith(("word/", "ppt/")) for name in names),
            FileType("a Word or PowerPoint document", "copy its table into a workbook"),
        ),
        (
            any(name.endswith(".iwa") or name == "index.zip" for name in names),
            FileType("a spreadsheet of Apple Numbers", "export it as Excel (.xlsx)"),
        ),
        (True, FileType(f"a ZIP archive that holds {shown}", "unpack it first")),
    ]
    return next(found for matches, found in kinds if matches)


def _read_mimetype(archive: zipfile.ZipFile) -> str:
    with archive.open("mimetype") as file:
        return file.read(200).decode("ascii", "replace")


def _detect_ole(path: Path) -> FileType:
    # The directory of an OLE file names its streams in UTF-16; it may lie anywhere in the file.
    with path.open("rb") as file:
        content = file.read(64 << 20)
    if "EncryptedPackage".encode("utf-16-le") in content:
        return FileType(
            "a workbook protected by a password",
            "open it with the password, remove it (Excel: File, Info, Protect Workbook, "
            "Encrypt with Password) and save it as .xlsx",
        )
    if any(name.encode("utf-16-le") in content for name in ("Workbook", "Book")):
        return FileType("an old Excel workbook (.xls, Excel 97 to 2003)", _SAVE)
    if "WordDocument".encode("utf-16-le") in content:
        return FileType("a Word document", "copy its table into a workbook")
    return FileType("a file of an old Office program", _SAVE)


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signatures)


def _is_text_of(pattern: bytes) -> Callable[[bytes], bool]:
    expression = re.compile(rb"(?:\xef\xbb\xbf)?\s*" + pattern, re.IGNORECASE | re.DOTALL)
    return lambda head: expression.match(head) is not None


_SIGNATURES: list[tuple[Callable[[bytes], bool], FileType]] = [
    (lambda head: not head.strip(b"\xef\xbb\xbf\r\n\t \0"), FileType("text")),
    (_starts(b"\x1f\x8b"), FileType("compressed by gzip", "unpack it first")),
    (
        _starts(b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),
        FileType("compressed", "unpack it first"),
    ),
    (_starts(b"7z\xbc\xaf\x27\x1c", b"Rar!"), FileType("an archive", "unpack it first")),
    (_starts(b"%PDF"), FileType("a PDF document", "ask for the table it was printed from")),
    (
        _starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*"),
        FileType("a picture", "type it into a workbook, or ask for the table"),
    ),
    (_starts(b"SQLite format 3"), FileType("an SQLite database", "export its table as CSV")),
    (_starts(b"PAR1"), FileType("a Parquet file", "export it as CSV")),
    (
        _starts(b"\x09\x08", b"\x09\x04", b"\x09\x02\x06", b"\x09\x00\x04"),
        FileType("a very old Excel workbook (.xls, before Excel 97)", _SAVE),
    ),
    (
        _is_text_of(rb"<\?xml.{0,2000}?urn:schemas-microsoft-com:office:spreadsheet"),
        FileType("an XML spreadsheet (Excel 2003)", _SAVE),
    ),
    (
        _is_text_of(rb"<\?xml.{0,2000}?opendocument"),
        FileType("a flat OpenDocument spreadsheet (.fods)", _SAVE),
    ),
    (
        _is_text_of(
            rb"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?"
            rb"<(?:!doctype\s+html|html|head|body|meta|title|table|tr|style|script|div|center|font"
            rb"|span|form|h[1-6]|p|br|b|iframe)\b"
        ),
        FileType(
            "a web page (HTML)",
            f"if it shows a table, {_SAVE}; if it shows a log-in or an error, download it again",
        ),
    ),
    (
        _is_text_of(rb"(?:MIME-Version:|From:.{0,200}?\nMIME-Version:|Content-Type: ?multipart)"),
        FileType("a web archive (.mht) or a mail", _SAVE),
    ),
    (_is_text_of(rb"<\?xml"), FileType("XML", "export the table as CSV or .xlsx")),
    (
        _is_text_of(rb'(?:\{\s*"|\[\s*[{\[]|\{\s*\}|\[\s*\])'),
        FileType("JSON", "send it with `pravah emit` if it has events, or export it as CSV"),
    ),
    (_is_text_of(rb"\{\\rtf"), FileType("a document in rich text", _SAVE_CSV)),
    (
        _starts(b"version https://git-lfs"),
        FileType("a pointer to a file of Git LFS", "fetch the file itself"),
    ),
    (_is_text_of(rb"ID;P"), FileType("a SYLK spreadsheet (.slk)", _SAVE)),
]
