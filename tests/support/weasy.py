"""WeasyPrint for tests, with one line instead of a traceback if a system library is missing."""

import warnings

import pytest

from reports.pdf import DEBIAN_PACKAGES, missing_libraries

_INSTALL = f"Debian: apt-get install {' '.join(DEBIAN_PACKAGES)}"

if missing := missing_libraries():
    pytest.fail(missing, pytrace=False)
with warnings.catch_warnings():
    # WeasyPrint warns here that HarfBuzz-Subset is missing; the line below says what to install
    warnings.simplefilter("ignore")
    import weasyprint
    from weasyprint.text.ffi import harfbuzz_subset
if harfbuzz_subset is None:
    pytest.fail(
        f"HarfBuzz-Subset is missing, which subsets fonts in PDFs; {_INSTALL}", pytrace=False
    )

__all__ = ["weasyprint"]
