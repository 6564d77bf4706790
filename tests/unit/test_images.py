"""The pictures of the documentation: what is missing is said in one line, and they are small."""

import shutil
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import images
from benchmarks.images import PHONE, MissingError, find_browser, find_demo, main, take_picture_of
from reports.page import render_page
from tests.support.report_sample import state


def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MissingError, match=r"run `make demo` first"):
        find_demo(tmp_path)
    monkeypatch.setattr(images.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == "no chromium on the PATH (Debian: apt-get install chromium)"


@pytest.mark.skipif(not any(map(shutil.which, images.BROWSERS)), reason="needs a Chromium")
def test_the_picture_of_a_phone_is_small() -> None:
    content = take_picture_of(find_browser(), render_page(state(), "en"), PHONE)
    assert Image.open(BytesIO(content)).size == (780, 1688)
    assert len(content) < 150 * 1024
