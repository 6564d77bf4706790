"""The situation report: one page that a leader reads on a phone, and a card to forward.

| module | what it is |
| --- | --- |
| `situation` | the report as data. Pure |
| `facts` | reads it from ClickHouse |
| `words` | everything it says, in Hindi and English; numbers and dates as India writes them. Pure |
| `charts`, `boundaries` | trend, bars and map as SVG |
| `typeface` | Noto Sans Devanagari, cut down to what a page uses |
| `page`, `paper`, `workbook` | HTML; PDF and the card's PNG; XLSX |
| `forms` | one report in the form that is asked for |
"""
