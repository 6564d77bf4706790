"""HTML to PDF and PNG, by WeasyPrint and PDFium. Both libraries keep state of their own, so one rendering runs at a time."""

import logging
import threading
import warnings
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from typing import Any

from pravah.errors import PravahError

DEBIAN_PACKAGES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")
"""What WeasyPrint needs beside its Python packages."""

_ONE_AT_A_TIME = threading.Lock()
_POINTS_PER_PIXEL = 0.75


class MissingLibraryError(PravahError):
    """A system library is missing; the message names the packages that bring it."""


def pdf(html: str) -> bytes:
    """Pages as its print style says. The page may not ask for anything from outside."""
    weasyprint = _weasyprint()
    with _ONE_AT_A_TIME:
        fetcher = weasyprint.URLFetcher(allowed_protocols={"data"})
        return bytes(weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf())


def png(html: str, width: int) -> bytes:
    """The first page as an image so many pixels wide."""
    import pypdfium2

    paper = pdf(html)
    with _ONE_AT_A_TIME:
        document = pypdfium2.PdfDocument(paper)
        try:
            first = document[0]
            image = first.render(scale=width / first.get_width()).to_pil()
            out = BytesIO()
            image.save(out, "PNG", optimize=True)
        finally:
            document.close()
    return out.getvalue()


def _weasyprint() -> Any:
    """WeasyPrint, which looks for its system libraries when it is imported.

    Raises:
        MissingLibraryError: it does not find them.
    """
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the check of `doctor` says better what is missing
            import weasyprint

            logging.getLogger("weasyprint").setLevel(
                logging.ERROR
            )  # it also tells of each property that is for browsers alone
    except OSError as error:
        msg = (
            f"PDF and PNG need system libraries that are missing ({str(error).partition(':')[0]});"
            f" Debian: apt-get install {' '.join(DEBIAN_PACKAGES)}"
        )
        raise MissingLibraryError(msg) from error
    return weasyprint


def missing_libraries() -> str:
    """Why PDF and PNG cannot be made; empty if they can."""
    try:
        _weasyprint()
    except MissingLibraryError as error:
        return str(error)
    return ""
