"""Take the pictures of the documentation anew, from the data of `make demo`: `make images`.

A picture is a page in a headless Chromium. The report's is that of a day in the middle of the
campaign of 2022, in the size of a phone.
"""

import shutil
import subprocess
import sys
from datetime import date
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

import stack
from pravah.settings import Settings
from reports.facts import read_situation
from reports.page import render_page
from sinks.connection import connect

FOLDER = Path("docs/images")
# Booths without an in-charge are overdue for nine days, and their training is due in six.
UNIT, DAY = "CG", date(2022, 6, 9)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Width and height of a usual phone's screen in CSS pixels, and pixels for each of them.
PHONE, DENSITY = (390, 844), 2
_COLOURS = 64
_BROWSER_SECONDS = 60


class MissingError(LookupError):
    """What the pictures are made of or with is missing; the message says how to come by it."""


def find_browser() -> str:
    """Path of a Chromium.

    Raises:
        MissingError: there is none on the PATH.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        msg = f"no {BROWSERS[0]} on the PATH (Debian: apt-get install chromium)"
        raise MissingError(msg)
    return found


def find_demo(home: Path) -> Path:
    """Folder of the demo's data.

    Raises:
        MissingError: the demo has not run there.
    """
    demo = home / "demo"
    if not (demo / "clickhouse").is_dir():
        msg = f"no data of the demo in {demo}: run `make demo` first"
        raise MissingError(msg)
    return demo


def take_picture(browser: str, address: str, size: tuple[int, int]) -> bytes:
    """The top of a page as PNG, with few colours, so that it is small.

    Args:
        browser: path of a Chromium.
        address: URL of the page.
        size: width and height in CSS pixels.

    Raises:
        subprocess.SubprocessError: the browser failed.
    """
    with TemporaryDirectory(prefix="pravah-images-") as name:
        picture = Path(name) / "page.png"
        subprocess.run(
            [
                browser,
                *("--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars"),
                f"--user-data-dir={name}/profile",
                f"--force-device-scale-factor={DENSITY}",
                f"--window-size={size[0]},{size[1]}",
                f"--screenshot={picture}",
                address,
            ],
            check=True,
            capture_output=True,
            timeout=_BROWSER_SECONDS,
        )
        out = BytesIO()
        with Image.open(picture) as image:
            few = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
            few.save(out, "PNG", optimize=True)
    return out.getvalue()


def take_picture_of(browser: str, html: str, size: tuple[int, int]) -> bytes:
    """The same of a page that is not served, and loads nothing."""
    with TemporaryDirectory(prefix="pravah-images-") as name:
        page = Path(name) / "page.html"
        page.write_text(html, encoding="utf-8")
        return take_picture(browser, page.as_uri(), size)


def main() -> None:
    """Make the pictures; exit 1 with one line if something is missing."""
    try:
        browser, demo = find_browser(), find_demo(Settings().home)
    except MissingError as error:
        raise SystemExit(str(error)) from None
    with stack.running(demo) as settings, connect(settings.clickhouse, "grafana") as client:
        situation = read_situation(client, UNIT, DAY, contacts=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / "report-phone.png"
    path.write_bytes(take_picture_of(browser, render_page(situation, "en"), PHONE))
    sys.stdout.write(f"{path}: {path.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
