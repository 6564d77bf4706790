"""Reconciling pulls: submissions, edits and deletions that no hook reported, from the tools' APIs.

Holds one paginator per tool (`kobo`, `odk`, `commcare`), the pull of a source (`pull`), its
schedule within the gateway's process (`schedule`), and the comparison of both sides (`reconcile`).
Imports the gateway and the tools' adapters; start reading at `pull`.

A pull reads from a cursor to the end, and leaves a cursor `OVERLAP` before the instant at which it
began, by the tool's own clock. So everything that became visible late, or changed while pages were
read, is read again by the next pull, and the gateway's store drops the repeats.
"""
