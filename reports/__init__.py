"""The situation report: a page for a phone, a PDF, a card to forward, a workbook, or JSON.

May import `reference`, `sinks`, `schemas` and `pravah`. Start reading at `situation`, the report
as data: `facts` reads it from ClickHouse, `formats.render` turns it into a file.
"""
