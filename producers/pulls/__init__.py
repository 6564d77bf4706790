"""Reconciling pulls: what a hook missed, every edit, every deletion, fetched from the tools' own APIs.

| module | what it is |
| --- | --- |
| `tool_api` | a tool's API over HTTP: tries again where that helps, says in one line why not where it does not |
| `walk` | the words: a page of submissions with the cursor behind it; how far walks overlap |
| `kobo`, `odk`, `commcare` | one walk a tool |
| `pull` | a walk into the gateway's store, a page a transaction |
| `schedule` | every source's pull at its time, within the gateway's process |
| `reconcile` | what stands at the tool against what the gateway knows |

A walk begins at a cursor and ends at one. It never says that nothing is missing before the instant at which it began, less `walk.OVERLAP`: the next one starts there. So what
became visible late, or changed while pages were read, is read again, and the gateway's memory drops the repeats. Time is the tool's own clock, from its answers.
"""
