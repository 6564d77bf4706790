"""HTML to PDF and PNG by WeasyPrint and PDFium.

Both libraries keep global state, so one document is rendered at a time.
"""

import logging
import threading
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import BytesIO, StringIO
from math import sqrt
from typing import Any

from pravah.errors import PravahError

# System libraries that WeasyPrint loads, by their Debian packages.
DEBIAN_PACKAGES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")

# A last page with less on it is mostly empty; no more than a fifth is shrunk, to stay legible.
_MIN_FILL, _MAX_SHRINK = 0.6, 1.2
_A4_MM = (210.0, 297.0)
# The page number stands below this share of the height.
_ABOVE_FOOTER = 0.955
_WHITE = 255

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


def render_paper(pages: Sequence[str]) -> bytes:
    """Render documents in their print style on A4, one after another.

    A document whose last page would be mostly empty is set in smaller type, so that it has a page
    less, or else in larger type, so that it fills the page.

    Raises:
        MissingLibraryError: a system library is missing.
    """
    import pypdfium2

    contents = [_fill_pages(html) for html in pages]
    if len(contents) == 1:
        return contents[0]
    with _RENDERING:
        whole = pypdfium2.PdfDocument.new()
        try:
            for content in contents:
                document = pypdfium2.PdfDocument(content)
                whole.import_pages(document)
                document.close()
            out = BytesIO()
            whole.save(out)
        finally:
            whole.close()
    return out.getvalue()


def _fill_pages(html: str) -> bytes:
    content = _render_scaled(html, 1)
    pages, fill = _measure_fill(content)
    if pages == 1 or fill >= _MIN_FILL:
        return content
    needed = sqrt((pages - 1 + fill) / (pages - 1))
    if needed <= _MAX_SHRINK:
        for smaller in sorted({min(needed + 0.03, _MAX_SHRINK), _MAX_SHRINK}):
            other = _render_scaled(html, smaller)
            if _measure_fill(other)[0] < pages:
                return other
    larger = _render_scaled(html, sqrt((pages - 1 + fill) / (pages - 0.2)))
    return larger if _measure_fill(larger)[0] == pages else content


def _render_scaled(html: str, scale: float) -> bytes:
    """Set a document on paper that is larger by a factor than A4, and shrink it to A4."""
    weasyprint = _import_weasyprint()
    with _RENDERING:
        width, height = (side * scale for side in _A4_MM)
        paper = f"@page {{ size: {width:.3f}mm {height:.3f}mm !important }}"
        document = weasyprint.HTML(
            string=html, url_fetcher=weasyprint.URLFetcher(allowed_protocols={"data"})
        )
        return bytes(document.write_pdf(stylesheets=[weasyprint.CSS(string=paper)], zoom=1 / scale))


def _measure_fill(content: bytes) -> tuple[int, float]:
    """Number of pages, and the share of the last one's height, without the footer, that is used."""
    import pypdfium2

    with _RENDERING:
        document = pypdfium2.PdfDocument(content)
        try:
            bitmap = document[len(document) - 1].render(scale=0.25, grayscale=True)
            rows = int(bitmap.height * _ABOVE_FOOTER)
            pixels = bytes(bitmap.buffer)
            used = [
                row
                for row in range(rows)
                if min(pixels[row * bitmap.stride : row * bitmap.stride + bitmap.width]) < _WHITE
            ]
            return len(document), (used[-1] + 1) / rows if used else 0.0
        finally:
            document.close()


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
