"""HTML to PDF and PNG by WeasyPrint and PDFium.

Both libraries keep global state, so one document is rendered at a time.
"""

import logging
import threading
import warnings
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from typing import Any

from pravah.errors import PravahError

# System libraries that WeasyPrint loads, by their Debian packages.
DEBIAN_PACKAGES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")

_RENDERING = threading.Lock()


class MissingLibraryError(PravahError):
    """A system library is missing; the message names the packages that contain it."""


def render_pdf(html: str) -> bytes:
    """Render a document in its print style. It cannot load anything from outside.

    Raises:
        MissingLibraryError: a system library is missing.
    """
    weasyprint = _import_weasyprint()
    with _RENDERING:
        fetcher = weasyprint.URLFetcher(allowed_protocols={"data"})
        return bytes(weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf())


def render_png(html: str, width: int) -> bytes:
    """Render a document's first page as an image of a width in pixels.

    Raises:
        MissingLibraryError: a system library is missing.
    """
    import pypdfium2

    content = render_pdf(html)
    with _RENDERING:
        document = pypdfium2.PdfDocument(content)
        try:
            first = document[0]
            image = first.render(scale=width / first.get_width()).to_pil()
            out = BytesIO()
            image.save(out, "PNG", optimize=True)
        finally:
            document.close()
    return out.getvalue()


def _import_weasyprint() -> Any:
    """Import WeasyPrint, which loads its system libraries then.

    Raises:
        MissingLibraryError: a library is missing.
    """
    try:
        with redirect_stdout(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `doctor` says more clearly what is missing
            import weasyprint

            # it also warns of each CSS property that is for browsers only
            logging.getLogger("weasyprint").setLevel(logging.ERROR)
    except OSError as error:
        msg = (
            "PDF and PNG need system libraries that are missing"
            f" ({str(error).partition(':')[0]}); Debian: apt-get install"
            f" {' '.join(DEBIAN_PACKAGES)}"
        )
        raise MissingLibraryError(msg) from error
    return weasyprint


def missing_libraries() -> str:
    """Why PDF and PNG cannot be made; empty if they can."""
    try:
        _import_weasyprint()
    except MissingLibraryError as error:
        return str(error)
    return ""
